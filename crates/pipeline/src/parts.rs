//! What a pipeline is made of, built and not yet running.

use crate::condition::Predicate;
use crate::graph::Graph;
use crate::pipeline::StartFailure;
use ferrostash_conf::Span;
use ferrostash_plugin::{
    CodecFactory, Decoration, Filter, Input, InputDecoration, OutputFactory, PluginMetrics,
};
use std::sync::Arc;

/// What all parts have.
#[derive(Clone, Debug)]
pub struct Part {
    /// The plugin's id, given or made; unique in its pipeline.
    pub id: Arc<str>,
    /// The plugin's name, such as `mutate`.
    pub name: Arc<str>,
    /// Where it is written.
    pub span: Span,
    /// What is counted for it.
    pub metrics: Arc<PluginMetrics>,
    /// Whether the API shows that.
    pub enable_metric: bool,
}

impl Part {
    /// A part that stands nowhere, with counters of its own.
    pub fn new(id: &str, name: &str) -> Part {
        Part {
            id: id.into(),
            name: name.into(),
            span: Span::nowhere(),
            metrics: Arc::default(),
            enable_metric: true,
        }
    }
}

/// An input of a pipeline.
pub struct InputPart {
    /// Id, name and counters.
    pub part: Part,
    /// The input.
    pub input: Box<dyn Input>,
    /// Its codec.
    pub codec: Arc<dyn CodecFactory>,
    /// Its common options.
    pub decoration: Arc<InputDecoration>,
}

/// Gives each worker its own instance of a filter.
pub type ForWorker = Box<dyn Fn() -> Box<dyn Filter> + Send + Sync>;

/// A filter of a pipeline.
pub struct FilterPart {
    /// Id, name and counters.
    pub part: Part,
    /// Gives each worker its own instance.
    pub for_worker: ForWorker,
    /// Its common options.
    pub decoration: Arc<Decoration>,
    /// The option `periodic_flush`.
    pub periodic_flush: bool,
    /// Whether events on which it fails go to the dead letter queue.
    pub sends_failures: bool,
}

/// An output of a pipeline.
pub struct OutputPart {
    /// Id, name and counters.
    pub part: Part,
    /// Makes its instances.
    pub factory: Arc<dyn OutputFactory>,
    /// Whether events that it can never deliver are kept, where the pipeline can.
    pub keeps_dead_letters: bool,
}

/// A plugin, or plugins under conditions.
pub enum Node<P> {
    /// A plugin.
    Plugin(P),
    /// `if … else if … else …`
    If(If<P>),
}

/// `if` with all that belongs to it.
pub struct If<P> {
    /// `if` and each `else if`: the first whose condition holds runs.
    pub arms: Vec<Arm<P>>,
    /// What runs when none holds.
    pub otherwise: Vec<Node<P>>,
}

/// A condition with what it guards.
pub struct Arm<P> {
    /// The condition.
    pub predicate: Arc<Predicate>,
    /// What runs when it holds.
    pub body: Vec<Node<P>>,
}

/// A pipeline whose plugins are built; nothing is open yet.
pub struct BuiltPipeline {
    /// `pipeline.id`.
    pub id: Arc<str>,
    /// Its inputs.
    pub inputs: Vec<InputPart>,
    /// The filter section, in order.
    pub filters: Vec<Node<FilterPart>>,
    /// The output section.
    pub outputs: Vec<Node<OutputPart>>,
    /// How all of it hangs together, for the API.
    pub graph: Graph,
}

/// A plugin's counters, for the API.
#[derive(Clone, Debug, Default)]
pub struct PluginStats {
    /// Inputs, in the order of the configuration.
    pub inputs: Vec<Part>,
    /// Filters, in the order of the configuration.
    pub filters: Vec<Part>,
    /// Outputs, in the order of the configuration.
    pub outputs: Vec<Part>,
}

impl BuiltPipeline {
    /// What can be said about the start without opening anything.
    ///
    /// # Errors
    /// [`StartFailure::NoInputs`]. Filters alone may start, as in Logstash; such a pipeline is at its end at once.
    pub fn check_start(&self) -> Result<(), StartFailure> {
        match self.inputs.is_empty() && self.filters.is_empty() {
            true => Err(StartFailure::NoInputs),
            false => Ok(()),
        }
    }

    /// Id, name and counters of all plugins.
    pub fn stats(&self) -> PluginStats {
        PluginStats {
            inputs: self.inputs.iter().map(|input| input.part.clone()).collect(),
            filters: plugins(&self.filters).into_iter().map(|filter| filter.part.clone()).collect(),
            outputs: plugins(&self.outputs).into_iter().map(|output| output.part.clone()).collect(),
        }
    }
}

/// All plugins below these nodes, in the order of the text.
pub(crate) fn plugins<P>(nodes: &[Node<P>]) -> Vec<&P> {
    let mut found = Vec::new();
    for node in nodes {
        match node {
            Node::Plugin(plugin) => found.push(plugin),
            Node::If(branch) => {
                branch.arms.iter().for_each(|arm| found.extend(plugins(&arm.body)));
                found.extend(plugins(&branch.otherwise));
            }
        }
    }
    found
}
