//! One pipeline's configuration, put together from its texts.

use crate::diagnostics::Diagnostics;
use crate::grammar;
use crate::ids::{IdGiver, check_written, sha256_hex, visit_statements};
use crate::lower::{Sections, Statement, lower};
use crate::plugin_block::PluginBlock;
use crate::source::{Source, SourceMap};
use crate::vars::{Vars, expand_block, expand_statements};

/// Settings of a pipeline that concern its configuration.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ConfSettings {
    /// `config.support_escapes`: whether `\n` in a string is a newline.
    pub support_escapes: bool,
}

/// A pipeline as configured: variables replaced, every plugin with its id, nothing built.
#[derive(Clone, Debug, Default)]
pub struct PipelineConf {
    /// The inputs.
    pub inputs: Vec<PluginBlock>,
    /// The filters of all texts, one after the other.
    pub filters: Vec<Statement>,
    /// The outputs of all texts, side by side.
    pub outputs: Vec<Statement>,
    /// SHA-256 of the texts; a reload happens when it changes.
    pub hash: String,
}

impl PipelineConf {
    /// Reads all texts. They are taken in the order of protocol and name, each is complete by itself, inputs and
    /// outputs are united and filters chained.
    ///
    /// Everything wrong goes to `diagnostics`; what is returned can be built when there are no errors, and can be
    /// checked further in any case.
    pub fn parse(
        sources: &SourceMap,
        settings: ConfSettings,
        vars: &Vars,
        diagnostics: &mut Diagnostics,
    ) -> PipelineConf {
        let parts = sorted(sources);
        let mut conf = PipelineConf { hash: hash(&parts), ..PipelineConf::default() };
        for source in parts {
            match grammar::parse(source) {
                Ok(document) => conf.add(lower(&document, source, settings.support_escapes, diagnostics)),
                Err(diagnostic) => diagnostics.push(*diagnostic),
            }
        }
        let written = conf.check_ids(sources, diagnostics);
        for block in &mut conf.inputs {
            expand_block(block, vars, diagnostics);
        }
        expand_statements(&mut conf.filters, vars, diagnostics);
        expand_statements(&mut conf.outputs, vars, diagnostics);
        conf.give_ids(IdGiver::new(sources, diagnostics, written));
        conf
    }

    fn add(&mut self, sections: Sections) {
        self.inputs.extend(sections.inputs);
        self.filters.extend(sections.filters);
        self.outputs.extend(sections.outputs);
    }

    /// Every plugin in the order of the text: inputs, filters, outputs; codecs are inside their plugins.
    pub fn plugins(&self) -> Vec<&PluginBlock> {
        let mut blocks: Vec<&PluginBlock> = self.inputs.iter().collect();
        collect(&self.filters, &mut blocks);
        collect(&self.outputs, &mut blocks);
        blocks
    }

    /// Reports ids that are written twice, and returns those that are written.
    fn check_ids(&self, sources: &SourceMap, diagnostics: &mut Diagnostics) -> Vec<String> {
        let blocks = self.plugins();
        let before = diagnostics.error_count();
        check_written(&blocks, sources, diagnostics);
        if diagnostics.error_count() == before {
            return Vec::new();
        }
        let id = |block: &&PluginBlock| {
            block.option("id").and_then(|attr| attr.value.as_text()).map(str::to_owned)
        };
        blocks.iter().filter_map(id).collect()
    }

    fn give_ids(&mut self, mut giver: IdGiver<'_>) {
        for (index, block) in self.inputs.iter_mut().enumerate() {
            giver.give(&format!("input/{index}"), block);
        }
        visit_statements(&mut self.filters, "filter", &mut |position, block| giver.give(position, block));
        visit_statements(&mut self.outputs, "output", &mut |position, block| giver.give(position, block));
    }
}

fn collect<'s>(statements: &'s [Statement], blocks: &mut Vec<&'s PluginBlock>) {
    for statement in statements {
        match statement {
            Statement::Plugin(block) => blocks.push(block),
            Statement::If(branch) => {
                branch.arms.iter().for_each(|arm| collect(&arm.body, blocks));
                collect(&branch.otherwise, blocks);
            }
        }
    }
}

/// The texts by protocol and name, in the order of UTF-16 code units.
fn sorted(sources: &SourceMap) -> Vec<&Source> {
    let mut parts: Vec<&Source> = sources.iter().collect();
    parts.sort_by(|a, b| {
        a.protocol.cmp(&b.protocol).then_with(|| a.name.encode_utf16().cmp(b.name.encode_utf16()))
    });
    parts
}

/// SHA-256 of the texts, joined by newlines.
fn hash(parts: &[&Source]) -> String {
    let texts: Vec<&str> = parts.iter().map(|source| source.text.as_str()).collect();
    sha256_hex(&[&texts.join("\n")])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::Protocol;

    fn parse(texts: &[(&str, &str)], vars: &Vars) -> (PipelineConf, SourceMap, Diagnostics) {
        let (mut sources, mut diagnostics) = (SourceMap::new(), Diagnostics::new());
        for (name, text) in texts {
            sources.add(Protocol::File, *name, *text);
        }
        let conf = PipelineConf::parse(&sources, ConfSettings::default(), vars, &mut diagnostics);
        (conf, sources, diagnostics)
    }

    fn errors(text: &str, vars: &Vars) -> Vec<String> {
        let (_, _, diagnostics) = parse(&[("/a.conf", text)], vars);
        diagnostics.iter().filter_map(|d| d.logstash.as_ref().map(|l| l.message.clone())).collect()
    }

    #[test]
    fn files_are_chained_by_name() {
        let texts = [("20.conf", "filter { bb {} }"), ("10.conf", "filter { aa {} }\noutput { oo {} }\n")];
        let (conf, _, diagnostics) = parse(&texts, &Vars::new());
        assert!(diagnostics.is_empty());
        let names: Vec<&str> = conf.plugins().iter().map(|block| block.name.as_str()).collect();
        assert_eq!(names, ["aa", "bb", "oo"]);
        let (again, ..) = parse(&[texts[1], texts[0]], &Vars::new());
        assert_eq!(conf.hash, again.hash);
    }

    #[test]
    fn every_file_reports_its_errors() {
        let (.., diagnostics) = parse(&[("a", "filter {"), ("b", "output { x { a = 1 } }")], &Vars::new());
        assert_eq!(diagnostics.error_count(), 2);
    }

    #[test]
    fn ids_are_stable_and_differ() {
        let text = "filter { mutate { } mutate { } if [x] { mutate { } } }";
        let ids = |name: &str| -> Vec<String> {
            parse(&[(name, text)], &Vars::new()).0.plugins().iter().map(|block| block.id.clone()).collect()
        };
        let mut unique = ids("a");
        assert_eq!(unique, ids("a"));
        assert_eq!(unique[0].len(), 64);
        unique.sort();
        unique.dedup();
        assert_eq!(unique.len(), 3);
    }

    #[test]
    fn repeated_ids_are_refused() {
        assert_eq!(
            errors("input { g { id => 'x' } }\noutput { n { id => 'x' } }", &Vars::new()),
            ["org.logstash.config.ir.InvalidIRException: Config has duplicate Ids: \nID: x \
              P[input-g{\"id\" => \"x\"}|[file]/a.conf:1:9:```\ng { id => 'x' }\n```]\n\
              P[output-n{\"id\" => \"x\"}|[file]/a.conf:2:10:```\nn { id => 'x' }\n```]"]
        );
        let vars = Vars::new().with_environment([("A".to_owned(), "x".to_owned())]);
        assert_eq!(
            errors("filter { m { id => 'x' } m { id => '${A}' } }", &vars),
            ["Two plugins have the id 'x', please fix this conflict"]
        );
        assert!(
            errors("filter { m { id => 5 } }", &vars)[0].starts_with("class java.lang.Long cannot be cast")
        );
    }

    #[test]
    fn hashes_of_options_have_javas_order() {
        let (conf, ..) =
            parse(&[("a", "filter { m { rename => { 'b' => 'c' 'a' => 'b' } } }")], &Vars::new());
        assert_eq!(conf.plugins()[0].options[0].value.inspect(), r#"{"a" => "b", "b" => "c"}"#);
    }
}
