//! From a configuration to a pipeline that can be started.

use crate::condition::Predicate;
use crate::graph::Graph;
use crate::parts::{Arm, BuiltPipeline, FilterPart, If, InputPart, Node, OutputPart, Part};
use ferrostash_conf::{self as conf, Diagnostics, PipelineConf, PluginBlock, SourceMap};
use ferrostash_plugin::{Built, Bus, Maker, PipelineInfo, Registry};
use std::sync::Arc;

/// What a pipeline is built from, beside its configuration.
pub struct BuildParts<'a> {
    /// All plugins there are.
    pub registry: &'a Registry,
    /// What plugins know of their pipeline.
    pub pipeline: &'a PipelineInfo,
    /// The ways between pipelines.
    pub bus: &'a Bus,
    /// The texts of the configuration.
    pub sources: &'a SourceMap,
}

/// Builds all plugins and compiles all conditions; nothing is opened.
///
/// Everything that is wrong goes to `diagnostics`, not only the first error. `None` when there was one.
pub fn build(
    conf: &PipelineConf,
    parts: &BuildParts<'_>,
    diagnostics: &mut Diagnostics,
) -> Option<BuiltPipeline> {
    let mut builder = Builder { parts, diagnostics };
    let inputs: Vec<_> = conf.inputs.iter().map(|block| builder.input(block)).collect();
    let filters = builder.section(&conf.filters, &mut Builder::filter);
    let outputs = builder.section(&conf.outputs, &mut Builder::output);
    if builder.diagnostics.has_errors() {
        return None;
    }
    Some(BuiltPipeline {
        id: Arc::clone(&parts.pipeline.id),
        inputs: inputs.into_iter().collect::<Option<_>>()?,
        filters: filters?,
        outputs: outputs?,
        graph: Graph::new(conf, parts.sources),
    })
}

struct Builder<'a> {
    parts: &'a BuildParts<'a>,
    diagnostics: &'a mut Diagnostics,
}

impl<'a> Builder<'a> {
    /// Builds every statement before it says that one was refused.
    fn section<P>(
        &mut self,
        statements: &[conf::Statement],
        plugin: &mut impl FnMut(&mut Self, &PluginBlock) -> Option<P>,
    ) -> Option<Vec<Node<P>>> {
        let mut nodes = Vec::with_capacity(statements.len());
        for statement in statements {
            nodes.push(match statement {
                conf::Statement::Plugin(block) => plugin(self, block).map(Node::Plugin),
                conf::Statement::If(branch) => self.branch(branch, plugin).map(Node::If),
            });
        }
        nodes.into_iter().collect()
    }

    fn branch<P>(
        &mut self,
        branch: &conf::If,
        plugin: &mut impl FnMut(&mut Self, &PluginBlock) -> Option<P>,
    ) -> Option<If<P>> {
        let mut arms = Vec::with_capacity(branch.arms.len());
        for arm in &branch.arms {
            let predicate = Predicate::compile(&arm.condition, self.parts.sources, self.diagnostics);
            let body = self.section(&arm.body, plugin);
            arms.push(predicate.map(Arc::new).zip(body).map(|(predicate, body)| Arm { predicate, body }));
        }
        let otherwise = self.section(&branch.otherwise, plugin);
        Some(If { arms: arms.into_iter().collect::<Option<_>>()?, otherwise: otherwise? })
    }

    fn make(&mut self, block: &PluginBlock) -> Option<Built> {
        let BuildParts { registry, pipeline, bus, .. } = self.parts;
        registry.build(block, pipeline, bus, self.diagnostics).ok()
    }

    fn input(&mut self, block: &PluginBlock) -> Option<InputPart> {
        let built = self.make(block)?;
        match built.maker {
            Maker::Input { input, codec, decoration, enable_metric } => {
                let part = part(block, built.id, built.metrics, enable_metric);
                Some(InputPart { part, input, codec, decoration })
            }
            _ => None,
        }
    }

    fn filter(&mut self, block: &PluginBlock) -> Option<FilterPart> {
        let built = self.make(block)?;
        match built.maker {
            Maker::Filter { for_worker, decoration, periodic_flush, sends_failures, enable_metric } => {
                let part = part(block, built.id, built.metrics, enable_metric);
                Some(FilterPart { part, for_worker, decoration, periodic_flush, sends_failures })
            }
            _ => None,
        }
    }

    fn output(&mut self, block: &PluginBlock) -> Option<OutputPart> {
        let built = self.make(block)?;
        match built.maker {
            Maker::Output { factory, keeps_dead_letters, enable_metric } => {
                let part = part(block, built.id, built.metrics, enable_metric);
                Some(OutputPart { part, factory, keeps_dead_letters })
            }
            _ => None,
        }
    }
}

fn part(
    block: &PluginBlock,
    id: Arc<str>,
    metrics: Arc<ferrostash_plugin::PluginMetrics>,
    enable_metric: bool,
) -> Part {
    Part { id, name: block.name.as_str().into(), span: block.name_span, metrics, enable_metric }
}
