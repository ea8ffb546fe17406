//! `pipelines.yml`: a list of maps with flat, dotted keys, one map per pipeline.
//!
//! It counts only when no configuration is given elsewhere. `${VAR}` is replaced in the raw values, so also in the
//! whole text of a `config.string`, comments and all, before that text is parsed.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::kind::Raw;
use super::layers::{Layer, Layers};
use super::problem::{Origin, Problem, Problems, SourceFile};
use super::table::{self, SETTINGS};
use super::variables::expand;
use super::yaml::{self, Node, NodeKind};
use super::{Found, Loaded, PipelineSettings, Settings, internal, nearest, order_conflict, read_text};
use ferrostash_conf::Vars;

/// Keys that Logstash drops with a note.
const PROCESS_WIDE: [&str; 2] = ["config.reload.automatic", "config.reload.interval"];

pub(crate) fn load(
    settings: &Settings,
    layers: &Layers,
    variables: &Vars,
) -> Result<Loaded<Vec<PipelineSettings>>, Problems> {
    let path = settings.path_settings.join("pipelines.yml");
    if settings.pipeline.has_config() {
        let sentence = "Ignoring the 'pipelines.yml' file because command line options are specified";
        let warnings = path.exists().then(|| Problem::new(Origin::Default, sentence)).into_iter().collect();
        return Ok(Loaded { value: vec![settings.pipeline.clone()], warnings });
    }
    let text = read_text(&path).map_err(|error| {
        let place = path.display();
        Problem::new(
            Origin::Default,
            format!("no configuration: neither -f nor -e is given, and {place}: {error}"),
        )
        .hint("give a configuration with `-f logstash.conf`")
        .logstash(format!("Failed to read pipelines yaml file. Location: {place}, Exception: {error}"))
    })?;
    let file = Arc::new(SourceFile { path, text });
    let entries = entries_of(&file)?;
    let mut reader = Reader { file, layers, variables, found: Found::default() };
    let mut pipelines = Vec::new();
    let mut places: BTreeMap<String, Origin> = BTreeMap::new();
    for entry in &entries {
        if let Some(pipeline) = reader.pipeline(entry, settings)? {
            let origin = reader.at(entry);
            if let Some(first) = places.get(&pipeline.id) {
                reader.found.errors.push(duplicate(&pipeline.id, origin, first, &reader.file));
            } else {
                places.insert(pipeline.id.clone(), origin);
            }
            pipelines.push(pipeline);
        }
    }
    match reader.found {
        Found { errors, warnings } if errors.is_empty() => Ok(Loaded { value: pipelines, warnings }),
        Found { errors, .. } => Err(Problems(errors)),
    }
}

fn duplicate(id: &str, origin: Origin, first: &Origin, file: &SourceFile) -> Problem {
    let place = file.path.display();
    Problem::new(origin, format!("two pipelines have the id `{id}`"))
        .hint(format!("the other one is at {first}; give each a `pipeline.id` of its own"))
        .logstash(format!(
            "Pipelines YAML file contains duplicate pipeline ids: [\"{id}\"]. Location: {place}"
        ))
}

fn entries_of(file: &Arc<SourceFile>) -> Result<Vec<Node>, Problem> {
    let place = file.path.display();
    let node = yaml::parse(&file.text).map_err(|error| {
        let origin = Origin::File(Arc::clone(file), error.offset..error.offset);
        let message = error.message;
        Problem::new(origin, format!("pipelines.yml is not valid YAML: {message}")).logstash(format!(
            "Failed to parse contents of pipelines yaml file. Location: {place}, Exception: {message}"
        ))
    })?;
    let (class, origin) = match node {
        None | Some(Node { kind: NodeKind::Null, .. }) => {
            return Err(Problem::new(Origin::Default, format!("{place} is empty"))
                .hint("list your pipelines there, or give a configuration with `-f logstash.conf`")
                .logstash(format!("Pipelines YAML file is empty. Location: {place}")));
        }
        Some(Node { kind: NodeKind::List(entries), .. }) => return Ok(entries),
        Some(Node { kind: NodeKind::Map(_), span }) => ("Hash", span),
        Some(Node { span, .. }) => ("String", span),
    };
    Err(Problem::new(Origin::File(Arc::clone(file), origin), "pipelines.yml has to be a list of pipelines")
        .hint("begin each pipeline with `- pipeline.id: …`")
        .logstash(format!(
            "Pipelines YAML file must contain an array of pipeline configs. Found \"{class}\" in {place}"
        )))
}

struct Reader<'a> {
    file: Arc<SourceFile>,
    layers: &'a Layers,
    variables: &'a Vars,
    found: Found,
}

impl Reader<'_> {
    fn at(&self, node: &Node) -> Origin {
        // The first line of an entry is enough to find it.
        let first = match &node.kind {
            NodeKind::Map(entries) => entries.first().map_or(&node.span, |(key, _)| &key.span),
            _ => &node.span,
        };
        Origin::File(Arc::clone(&self.file), first.clone())
    }

    /// The settings of one entry, or `None` when something is wrong with it.
    fn pipeline(&mut self, entry: &Node, settings: &Settings) -> Result<Option<PipelineSettings>, Problems> {
        let NodeKind::Map(options) = &entry.kind else {
            let problem = Problem::new(self.at(entry), "a pipeline has to be a map of settings")
                .hint("begin it with `- pipeline.id: …`");
            self.found.errors.push(problem);
            return Ok(None);
        };
        let errors_before = self.found.errors.len();
        let mut layer = Layer::default();
        for (key, value) in options {
            self.option(key, value, &mut layer);
        }
        // What stands below the entry was checked with the process's own settings.
        self.found.add(layer.check_status());
        let layers = self.layers.with(layer);
        let pipeline = layers
            .resolve()
            .and_then(|resolved| PipelineSettings::read(&resolved, &settings.path_data))
            .map_err(internal)?;
        if self.found.errors.len() == errors_before {
            let problem = source_conflict(&pipeline, self.at(entry));
            self.found.errors.extend(problem.into_iter().chain(order_conflict(&pipeline, &layers)));
        }
        Ok((self.found.errors.len() == errors_before).then_some(pipeline))
    }

    fn option(&mut self, key: &Node, value: &Node, layer: &mut Layer) {
        let origin = Origin::File(Arc::clone(&self.file), key.span.clone());
        let (NodeKind::Plain(name) | NodeKind::Quoted(name)) = &key.kind else {
            self.found.errors.push(Problem::new(origin, "the name of a setting has to be a text"));
            return;
        };
        if PROCESS_WIDE.contains(&name.as_str()) {
            let message = format!("setting `{name}` is ignored here: it is one for the whole process");
            self.found.warnings.push(Problem::new(origin, message).hint("set it in logstash.yml"));
            return;
        }
        let Some(setting) = table::find(name).filter(|setting| setting.per_pipeline) else {
            self.found.errors.push(not_allowed(name, value, origin));
            return;
        };
        let value_origin = Origin::File(Arc::clone(&self.file), value.span.clone());
        match self.raw(value) {
            Ok(raw) => self.found.put(layer, setting, &raw, value_origin),
            Err(reason) => self.found.errors.push(Problem::new(value_origin, reason)),
        }
    }

    /// Unlike in logstash.yml, a replaced value is not refined.
    fn raw(&self, node: &Node) -> Result<Raw, String> {
        let expand = |text: &str| expand(self.variables, text);
        match &node.kind {
            NodeKind::Null => Ok(Raw::Null),
            NodeKind::Plain(text) => Ok(expand(text)?.map_or_else(|| Raw::Plain(text.clone()), Raw::Text)),
            NodeKind::Quoted(text) => Ok(Raw::Text(expand(text)?.unwrap_or_else(|| text.clone()))),
            NodeKind::List(items) => {
                items.iter().map(|item| self.raw(item)).collect::<Result<_, _>>().map(Raw::List)
            }
            NodeKind::Map(_) => Err("a map where a value is expected".to_owned()),
        }
    }
}

fn source_conflict(pipeline: &PipelineSettings, origin: Origin) -> Option<Problem> {
    match (&pipeline.config_string, &pipeline.path_config) {
        (Some(_), Some(_)) => Some(Problem::new(
            origin,
            "Settings 'path.config' (-f) and 'config.string' (-e) can't be used simultaneously.",
        )),
        (None, None) => Some(
            Problem::new(origin, format!("pipeline `{}` has no configuration", pipeline.id))
                .hint("add `path.config: …` or `config.string: …`"),
        ),
        _ => None,
    }
}

fn not_allowed(name: &str, value: &Node, origin: Origin) -> Problem {
    let allowed: Vec<&str> = SETTINGS.iter().filter(|s| s.per_pipeline).map(|s| s.name).collect();
    let hint = match (table::find(name), &value.kind, nearest(name, allowed.iter().copied())) {
        (None, NodeKind::Map(_), _) => {
            format!("nested maps don't work here: write `{name}.…: value` on one line")
        }
        (Some(_), ..) => "set it in logstash.yml: it is one for the whole process".to_owned(),
        (None, _, Some(near)) => format!("did you mean `{near}`?"),
        (None, _, None) => "only settings of a pipeline can stand here".to_owned(),
    };
    Problem::new(origin, format!("setting `{name}` cannot be set for a pipeline")).hint(hint).logstash(
        format!(
            "Only pipeline related settings are expected. Received \"{name}\". Allowed settings: {allowed:?}"
        ),
    )
}
