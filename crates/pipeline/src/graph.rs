//! How the parts of a pipeline hang together, for `GET /_node/pipelines?graph=true`.
//!
//! Inputs lead to the queue, the queue to the first filter, each filter to the next, the last ones to every output. A
//! condition is a vertex with two kinds of edges; `else if` is one condition in the other's `else`.

use ferrostash_conf::{Condition, If, PipelineConf, PluginBlock, PluginKind, SourceMap, Span, Statement};

/// The id of the queue's vertex.
const QUEUE: &str = "__QUEUE__";

/// Vertices and edges, in the order of the configuration.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Graph {
    /// Plugins, conditions and the queue.
    pub vertices: Vec<Vertex>,
    /// The ways of events.
    pub edges: Vec<Edge>,
}

/// A plugin, a condition or the queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Vertex {
    /// Unique in the pipeline, and the same after a restart.
    pub id: String,
    /// Whether the configuration gives the id.
    pub has_explicit_id: bool,
    /// What it is.
    pub kind: VertexKind,
    /// Where it is written.
    pub source: Option<VertexSource>,
}

/// A place in the configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VertexSource {
    /// `file` or `string`.
    pub protocol: String,
    /// The file's name.
    pub id: String,
    /// From 1.
    pub line: usize,
    /// From 1.
    pub column: usize,
}

/// What a vertex is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum VertexKind {
    /// A plugin.
    Plugin {
        /// Input, filter or output.
        plugin_type: PluginKind,
        /// Its name.
        config_name: String,
    },
    /// A condition.
    If {
        /// As written.
        condition: String,
    },
    /// The queue.
    Queue,
}

/// The way from one vertex to another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Edge {
    /// Where events come from.
    pub from: String,
    /// Where they go.
    pub to: String,
    /// Which events take it.
    pub kind: EdgeKind,
}

/// Which events take an edge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EdgeKind {
    /// All.
    Plain,
    /// Those for which the condition gives this answer.
    Boolean(bool),
}

impl Edge {
    /// An id of its own.
    pub fn id(&self) -> String {
        let answer = match self.kind {
            EdgeKind::Plain => "",
            EdgeKind::Boolean(true) => ":true",
            EdgeKind::Boolean(false) => ":false",
        };
        format!("{}->{}{answer}", self.from, self.to)
    }
}

impl Graph {
    /// The graph of a configuration.
    pub fn new(conf: &PipelineConf, sources: &SourceMap) -> Graph {
        let mut drawing = Drawing { graph: Graph::default(), sources };
        let mut ends = Vec::new();
        for input in &conf.inputs {
            let id = drawing.plugin(input);
            drawing.edge(&(id, EdgeKind::Plain), QUEUE);
        }
        drawing.vertex(Vertex {
            id: QUEUE.to_owned(),
            has_explicit_id: false,
            kind: VertexKind::Queue,
            source: None,
        });
        ends.push((QUEUE.to_owned(), EdgeKind::Plain));
        let ends = drawing.chain(&conf.filters, ends);
        for output in &conf.outputs {
            drawing.chain(std::slice::from_ref(output), ends.clone());
        }
        drawing.graph
    }
}

/// A vertex, and which of its events go on from there.
type End = (String, EdgeKind);

struct Drawing<'a> {
    graph: Graph,
    sources: &'a SourceMap,
}

impl Drawing<'_> {
    fn vertex(&mut self, vertex: Vertex) {
        self.graph.vertices.push(vertex);
    }

    fn edge(&mut self, (from, kind): &End, to: &str) {
        self.graph.edges.push(Edge { from: from.clone(), to: to.to_owned(), kind: *kind });
    }

    /// Draws statements one behind the other, in the output section side by side; returns their loose ends.
    fn chain(&mut self, statements: &[Statement], mut ends: Vec<End>) -> Vec<End> {
        let before = ends.clone();
        for statement in statements {
            let from = if is_output(statement) { &before } else { &ends };
            ends = match statement {
                Statement::Plugin(block) => {
                    let id = self.plugin(block);
                    from.iter().for_each(|end| self.edge(end, &id));
                    vec![(id, EdgeKind::Plain)]
                }
                Statement::If(branch) => self.branch(branch, from.clone()),
            };
        }
        ends
    }

    fn branch(&mut self, branch: &If, mut from: Vec<End>) -> Vec<End> {
        let mut ends = Vec::new();
        for arm in &branch.arms {
            let id = self.condition(&arm.condition);
            from.iter().for_each(|end| self.edge(end, &id));
            ends.extend(self.chain(&arm.body, vec![(id.clone(), EdgeKind::Boolean(true))]));
            from = vec![(id, EdgeKind::Boolean(false))];
        }
        ends.extend(self.chain(&branch.otherwise, from));
        ends
    }

    fn plugin(&mut self, block: &PluginBlock) -> String {
        let kind = VertexKind::Plugin { plugin_type: block.kind, config_name: block.name.clone() };
        self.vertex(Vertex {
            id: block.id.clone(),
            has_explicit_id: block.has_explicit_id,
            kind,
            source: self.source(block.span),
        });
        block.id.clone()
    }

    fn condition(&mut self, condition: &Condition) -> String {
        // Two conditions never stand at one place.
        let id = format!("if:{}", self.sources.place(condition.span));
        let text = self.sources.slice(condition.span).to_owned();
        self.vertex(Vertex {
            id: id.clone(),
            has_explicit_id: false,
            kind: VertexKind::If { condition: text },
            source: self.source(condition.span),
        });
        id
    }

    fn source(&self, span: Span) -> Option<VertexSource> {
        let source = self.sources.get(span.source)?;
        let at = source.line_column(span.start);
        let protocol = source.protocol.to_string();
        Some(VertexSource { protocol, id: source.name.clone(), line: at.line, column: at.column })
    }
}

fn is_output(statement: &Statement) -> bool {
    match statement {
        Statement::Plugin(block) => block.kind == PluginKind::Output,
        Statement::If(branch) => {
            branch.arms.iter().flat_map(|arm| &arm.body).chain(&branch.otherwise).any(is_output)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ferrostash_conf::{ConfSettings, Diagnostics, Protocol, Vars};

    fn graph(text: &str) -> Graph {
        let mut sources = SourceMap::new();
        sources.add(Protocol::File, "a.conf", text);
        let mut diagnostics = Diagnostics::new();
        let vars = Vars::default();
        let conf = PipelineConf::parse(&sources, ConfSettings::default(), &vars, &mut diagnostics);
        assert!(!diagnostics.has_errors(), "{}", diagnostics.render(&sources, false));
        Graph::new(&conf, &sources)
    }

    #[test]
    fn branches_meet_again_and_outputs_stand_side_by_side() {
        let graph = graph(
            "input { stdin { id => in } }\n\
             filter { if [a] { x { id => xx } } else if [b] { y { id => yy } } z { id => zz } }\n\
             output { o { id => o1 } if [c] { o { id => o2 } o { id => o3 } } }",
        );
        let edges: Vec<String> = graph.edges.iter().map(Edge::id).collect();
        assert_eq!(
            edges,
            [
                "in->__QUEUE__",
                "__QUEUE__->if:a.conf:2:13",
                "if:a.conf:2:13->xx:true",
                "if:a.conf:2:13->if:a.conf:2:44:false",
                "if:a.conf:2:44->yy:true",
                "xx->zz",
                "yy->zz",
                "if:a.conf:2:44->zz:false",
                "zz->o1",
                "zz->if:a.conf:3:28",
                "if:a.conf:3:28->o2:true",
                "if:a.conf:3:28->o3:true",
            ]
        );
        let first = graph.vertices.iter().find(|vertex| vertex.id == "xx").unwrap();
        assert!(first.has_explicit_id);
        assert_eq!(first.source.as_ref().map(|source| (source.line, source.column)), Some((2, 19)));
    }
}
