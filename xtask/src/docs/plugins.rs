//! The pages of the plugins: one each, an index, and the table in the README.

use super::markdown::{cell, code, summary, table};
use super::{KINDS, Pages, folder};
use anyhow::{Context as _, Result};
use ferrostash_conf::{
    CommonCodec, CommonFilter, CommonInput, CommonOutput, OptionDef, OptionsDef, PluginKind,
};
use ferrostash_plugin::PluginDef;
use std::fmt::Write as _;

const WRITTEN: &str = "<!-- written by `cargo xtask docs` -->\n";
const BEGIN: &str = "<!-- plugins:begin -->";
const END: &str = "<!-- plugins:end -->";

/// A page for each plugin, and the index.
pub(super) fn pages(defs: &[&PluginDef]) -> Pages {
    let mut pages = Pages::new();
    for def in defs {
        pages.insert(format!("{}/{}.md", folder(def.kind), def.name).into(), page(def));
    }
    pages.insert("docs/plugins/README.md".into(), index(defs));
    pages
}

fn page(def: &PluginDef) -> String {
    let PluginDef { kind, name, doc, .. } = def;
    let mut out = format!("{WRITTEN}# {name} ({kind})\n\n{}\n\n## Options\n\n", doc.trim());
    if def.options.is_empty() {
        out.push_str("None of its own.\n");
    } else {
        out.push_str(&options(def.options));
    }
    let _ = writeln!(out, "\nAlso the [options of every {kind}](../README.md#options-of-every-{kind}).");
    out
}

fn options(options: &[OptionDef]) -> String {
    table(&["option", "type", "default", "meaning"], options.iter().map(row))
}

fn row(option: &OptionDef) -> Vec<String> {
    let mut type_name = cell(&option.type_name());
    if let Some((min, max)) = option.range {
        type_name = format!("{type_name} from {min} to {max}");
    }
    if option.list {
        type_name = format!("list of {type_name}");
    }
    let default = match option.default {
        _ if option.required => "required".to_owned(),
        Some(default) => code(default),
        None => String::new(),
    };
    vec![code(option.name), type_name, default, meaning(option)]
}

/// What it is for, and what stands in the way of using it.
fn meaning(option: &OptionDef) -> String {
    let mut parts = vec![cell(option.doc)];
    let notes = [
        ("Deprecated", option.deprecated),
        ("Obsolete", option.obsolete),
        ("Not supported", option.unsupported),
    ];
    for (title, note) in notes {
        parts.extend(note.map(|note| format!("**{title}**: {}", cell(note))));
    }
    parts.retain(|part| !part.is_empty());
    parts.join("<br>")
}

fn index(defs: &[&PluginDef]) -> String {
    let mut out = format!("{WRITTEN}# Plugins\n");
    for kind in KINDS {
        let of_kind = defs.iter().filter(|def| def.kind == kind);
        let rows =
            of_kind.map(|def| vec![format!("[{0}]({kind}s/{0}.md)", def.name), cell(&summary(def.doc))]);
        let _ = write!(out, "\n## {}\n\n{}", title(kind), table(&["name", "what it does"], rows));
        let _ = write!(out, "\n### Options of every {kind}\n\n{}", options(common(kind)));
    }
    out
}

fn title(kind: PluginKind) -> &'static str {
    match kind {
        PluginKind::Input => "Inputs",
        PluginKind::Filter => "Filters",
        PluginKind::Output => "Outputs",
        PluginKind::Codec => "Codecs",
    }
}

fn common(kind: PluginKind) -> &'static [OptionDef] {
    match kind {
        PluginKind::Input => CommonInput::OPTIONS,
        PluginKind::Filter => CommonFilter::OPTIONS,
        PluginKind::Output => CommonOutput::OPTIONS,
        PluginKind::Codec => CommonCodec::OPTIONS,
    }
}

/// The README with its table of plugins renewed.
pub(super) fn in_readme(readme: &str, defs: &[&PluginDef]) -> Result<String> {
    let (before, rest) = readme.split_once(BEGIN).context("README.md has no <!-- plugins:begin -->")?;
    let (_, after) = rest.split_once(END).context("README.md has no <!-- plugins:end -->")?;
    let rows = KINDS.map(|kind| {
        let of_kind = defs.iter().filter(|def| def.kind == kind);
        let links: Vec<String> =
            of_kind.map(|def| format!("[{0}]({1}/{0}.md)", def.name, folder(kind))).collect();
        vec![format!("{} ({})", title(kind), links.len()), links.join(", ")]
    });
    Ok(format!("{before}{BEGIN}\n{}{END}{after}", table(&["", "built in"], rows)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_says_what_an_option_is() {
        let mut option = OptionDef::new("fields");
        option.list = true;
        option.doc = "Fields\nto cut.";
        option.unsupported = Some("needs | a thing");
        let expected =
            ["`fields`", "list of string", "", "Fields to cut.<br>**Not supported**: needs \\| a thing"];
        assert_eq!(row(&option), expected);
        option.required = true;
        assert_eq!(row(&option)[2], "required");
    }

    #[test]
    fn the_readme_keeps_what_is_around_the_table() {
        let readme = "# x\n<!-- plugins:begin -->\nold\n<!-- plugins:end -->\nrest\n";
        let new = in_readme(readme, &[]).unwrap();
        assert!(new.starts_with("# x\n<!-- plugins:begin -->\n| "), "{new}");
        assert!(new.ends_with("<!-- plugins:end -->\nrest\n") && !new.contains("old"));
        assert_eq!(in_readme(&new, &[]).unwrap(), new);
        assert!(in_readme("# x\n", &[]).is_err());
    }

    #[test]
    fn every_plugin_has_a_page_and_an_entry() {
        let registry = ferrostash::plugins::registry();
        let defs: Vec<_> = registry.iter().collect();
        let pages = pages(&defs);
        let index = &pages[std::path::Path::new("docs/plugins/README.md")];
        for def in defs {
            let page = &pages[std::path::Path::new(&format!("{}/{}.md", folder(def.kind), def.name))];
            assert!(page.contains(&format!("# {} ({})", def.name, def.kind)), "{page}");
            assert!(index.contains(&format!("[{0}]({1}s/{0}.md)", def.name, def.kind)));
        }
    }
}
