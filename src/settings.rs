//! The settings of the process: `logstash.yml`, environment and flags, typed and checked as a whole.
//!
//! Precedence, highest first:
//!
//! 1. flags (`-w 4`, `-S pipeline.workers=4`),
//! 2. environment variables named after a setting as the official container takes them (`PIPELINE_WORKERS`,
//!    `pipeline.workers`),
//! 3. `logstash.yml` in `path.settings` (nested maps, dotted keys or both; `${VAR}` and `${VAR:default}` in any value),
//! 4. Logstash's default.
//!
//! An entry of `pipelines.yml` stands above all of them for its own pipeline. Every setting Logstash knows is in one
//! table (`table.rs`). What is not built is refused by name when set to anything but its default; what can have no
//! meaning here (Java, Ruby) gives one warning. All problems of all sources are reported at once.

mod kind;
mod layers;
mod pipeline;
mod pipelines_yml;
mod problem;
mod table;
mod variables;
mod yaml;

use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use config::ConfigError;
use ferrostash_conf::Vars;

pub(crate) use self::kind::choice;
use self::kind::{Kind, Raw};
use self::layers::{Layer, Layers, Resolved};
pub use self::pipeline::{
    BatchMetrics, ConfigText, DeadLetterQueueSettings, EcsCompatibility, EscapeStyle, Ordered,
    PipelineSettings, QueueCompression, QueueSettings, QueueType, Recoverable, StoragePolicy,
};
use self::problem::{Origin, SourceFile};
pub use self::problem::{Problem, Problems};
use self::table::{SETTINGS, Setting, Status};
use self::variables::{expand, refine};
use self::yaml::{Node, NodeKind};
use crate::logging::{LogFormat, LogLevel, LogSettings};

/// Largest settings file that is read, in bytes.
pub const SETTINGS_FILE_BYTES_MAX: u64 = 16 << 20;

/// How alike two words must be (0 to 1) for one to be suggested for the other.
const LIKENESS_MIN: f64 = 0.7;

/// A setting given on the command line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Flag {
    /// Name of the setting.
    pub setting: String,
    /// Its value, as written.
    pub value: String,
    /// The flag, as the user knows it, for messages: `--pipeline.workers`.
    pub flag: String,
}

/// What settings are made of.
#[derive(Default)]
pub struct Inputs {
    /// Settings from the command line, in order.
    pub flags: Vec<Flag>,
    /// The environment.
    pub env: BTreeMap<String, String>,
}

impl Inputs {
    /// What `${NAME}` means: the environment, with `PWD` as it is (what a parent process left in it may be another folder).
    pub(crate) fn variables(&self) -> Vars {
        let here = std::env::current_dir().map(|dir| ("PWD".to_owned(), dir.display().to_string()));
        Vars::new().with_environment(self.env.clone()).with_environment(here.ok())
    }

    fn path_settings(&self) -> PathBuf {
        let flag = self.flags.iter().rev().find(|f| f.setting == "path.settings").map(|f| &f.value);
        match flag.or_else(|| self.env.get("LS_SETTINGS_DIR").filter(|dir| !dir.is_empty())) {
            Some(dir) => PathBuf::from(dir),
            None => self.home().join("config"),
        }
    }

    /// `LS_HOME`, or the current folder.
    fn home(&self) -> PathBuf {
        self.env.get("LS_HOME").map(PathBuf::from).unwrap_or_default()
    }
}

/// The settings of the process.
#[derive(Clone, Debug)]
pub struct Settings {
    /// `node.name`
    pub node_name: String,
    /// `allow_superuser`
    pub allow_superuser: bool,
    /// `path.settings`: folder of logstash.yml and pipelines.yml.
    pub path_settings: PathBuf,
    /// `path.data`: folder for state; it need not exist yet.
    pub path_data: PathBuf,
    /// `keystore.file`
    pub keystore_file: PathBuf,
    /// `config.test_and_exit` (`-t`)
    pub test_and_exit: bool,
    /// `config.reload.automatic` (`-r`)
    pub reload_automatic: bool,
    /// `config.reload.interval`
    pub reload_interval: Duration,
    /// `memory.max_bytes`: what the events of all pipelines may weigh together.
    pub memory_max_bytes: usize,
    /// `api.*`
    pub api: ApiSettings,
    /// `log.*` and `path.logs`
    pub log: LogSettings,
    /// `monitoring.cluster_uuid`
    pub cluster_uuid: Option<String>,
    /// What each pipeline starts from, and the only pipeline when there is no pipelines.yml.
    pub pipeline: PipelineSettings,
    layers: Layers,
}

/// `api.*`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiSettings {
    /// `api.enabled`
    pub enabled: bool,
    /// `api.http.host`
    pub host: String,
    /// `api.http.port`: the first of the ports to try.
    pub port_first: u16,
    /// The last of the ports to try; the same as the first when there is one.
    pub port_last: u16,
    /// `api.environment`
    pub environment: String,
}

/// Good settings, and what to say about them.
#[derive(Debug)]
pub struct Loaded<T> {
    /// The settings.
    pub value: T,
    /// Warnings to log once logging is up.
    pub warnings: Vec<Problem>,
}

impl Settings {
    /// Reads and checks all settings of the process.
    ///
    /// # Errors
    /// All that is wrong in the file, the environment and the flags, at once.
    pub fn load(inputs: &Inputs) -> Result<Loaded<Self>, Problems> {
        let mut found = Found::default();
        let path_settings = inputs.path_settings();
        let file = file_layer(&path_settings, inputs, &mut found);
        let env = env_layer(&inputs.env, &mut found);
        let flags = flag_layer(&inputs.flags, &mut found);
        let layers = Layers::new([file, env, flags]);
        found.add(layers.check_status());
        if !found.errors.is_empty() {
            return Err(Problems(found.errors));
        }
        let read = layers.resolve().and_then(|resolved| Self::read(&resolved, layers, path_settings, inputs));
        let settings = read.map_err(internal)?;
        found.errors.extend(settings.conflicts());
        if !found.errors.is_empty() {
            return Err(Problems(found.errors));
        }
        if settings.keystore_file.exists() {
            let path = settings.keystore_file.display();
            let message = format!("the keystore {path} is not read: keystores are not built yet");
            found
                .warnings
                .push(Problem::new(Origin::Default, message).hint("give its values in the environment"));
        }
        Ok(Loaded { value: settings, warnings: found.warnings })
    }

    /// The pipelines to run: the one of `-e`, `-f`, `config.string` or `path.config`, else those of `pipelines.yml`.
    ///
    /// # Errors
    /// All that is wrong in pipelines.yml, at once.
    pub fn pipelines(&self, inputs: &Inputs) -> Result<Loaded<Vec<PipelineSettings>>, Problems> {
        pipelines_yml::load(self, &self.layers, &inputs.variables())
    }

    /// Where a setting was set, as `file:line:column`, environment variable or flag; `None` for a default.
    #[must_use]
    pub fn origin(&self, setting: &str) -> Option<String> {
        self.layers.origin(setting).map(Origin::to_string)
    }

    fn read(from: &Resolved, layers: Layers, dir: PathBuf, inputs: &Inputs) -> Result<Self, ConfigError> {
        let path_data = from.optional_path("path.data")?.unwrap_or_else(|| inputs.home().join("data"));
        let host_name = || gethostname::gethostname().to_string_lossy().into_owned();
        Ok(Self {
            node_name: from.optional_text("node.name")?.unwrap_or_else(host_name),
            allow_superuser: from.bool("allow_superuser")?,
            keystore_file: from
                .optional_path("keystore.file")?
                .unwrap_or_else(|| dir.join("logstash.keystore")),
            test_and_exit: from.bool("config.test_and_exit")?,
            reload_automatic: from.bool("config.reload.automatic")?,
            reload_interval: from.time("config.reload.interval")?.unwrap_or_default(),
            memory_max_bytes: from.size("memory.max_bytes")?,
            api: ApiSettings::read(from)?,
            log: LogSettings {
                level: from.word("log.level", LogLevel::from_word)?,
                format: from.word("log.format", LogFormat::from_word)?,
                fix_duplicate_message_fields: from.bool("log.format.json.fix_duplicate_message_fields")?,
                folder: from.optional_path("path.logs")?,
            },
            cluster_uuid: from.optional_text("monitoring.cluster_uuid")?,
            pipeline: PipelineSettings::read(from, &path_data)?,
            path_settings: dir,
            path_data,
            layers,
        })
    }

    /// Settings that are right one by one, but not together.
    fn conflicts(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        let at = |name: &str| self.layers.origin(name).cloned().unwrap_or(Origin::Default);
        let string_set = self.pipeline.config_string.is_some();
        if string_set && self.pipeline.path_config.is_some() {
            let sentence =
                "Settings 'path.config' (-f) and 'config.string' (-e) can't be used simultaneously.";
            problems.push(Problem::new(at("config.string"), sentence).hint(also_set(&at("path.config"))));
        }
        if string_set && self.reload_automatic {
            let sentence = "Configuration reloading can't be used with 'config.string' (-e).";
            problems
                .push(Problem::new(at("config.reload.automatic"), sentence).hint("put the text into a file"));
        }
        if self.reload_interval.is_zero() {
            let message = "setting `config.reload.interval` has to be longer than 0";
            problems.push(Problem::new(at("config.reload.interval"), message));
        }
        problems.extend(order_conflict(&self.pipeline, &self.layers));
        problems
    }
}

impl ApiSettings {
    fn read(from: &Resolved) -> Result<Self, ConfigError> {
        let ports = from.text("api.http.port")?;
        let (port_first, port_last) = kind::ports_of(&ports)
            .ok_or_else(|| ConfigError::Message(format!("`{ports}` is no port range")))?;
        Ok(Self {
            enabled: from.bool("api.enabled")?,
            host: from.text("api.http.host")?,
            port_first,
            port_last,
            environment: from.text("api.environment")?,
        })
    }
}

/// `pipeline.ordered: true` and several workers exclude each other.
fn order_conflict(pipeline: &PipelineSettings, layers: &Layers) -> Option<Problem> {
    let workers = pipeline.worker_count();
    (pipeline.ordered == Ordered::True && workers > 1).then(|| {
        let origin = layers.origin("pipeline.ordered").cloned().unwrap_or(Origin::Default);
        Problem::new(
            origin,
            "enabling the 'pipeline.ordered' setting requires the use of a single pipeline worker",
        )
        .hint(format!("pipeline `{}` has {workers} workers: set `pipeline.workers: 1`", pipeline.id))
    })
}

fn also_set(origin: &Origin) -> String {
    format!("the other one is set by: {origin}")
}

/// A resolved value that doesn't have the type its layer gave it: a bug, but no reason to panic.
fn internal(error: ConfigError) -> Problems {
    Problem::new(Origin::Default, format!("settings could not be resolved: {error}")).into()
}

/// Problems found so far.
#[derive(Default)]
struct Found {
    errors: Vec<Problem>,
    warnings: Vec<Problem>,
}

impl Found {
    fn put(&mut self, layer: &mut Layer, setting: &'static Setting, raw: &Raw, origin: Origin) {
        if let Err(problem) = layer.put(setting, raw, origin) {
            self.errors.push(problem);
        }
    }

    fn add(&mut self, (errors, warnings): (Vec<Problem>, Vec<Problem>)) {
        self.errors.extend(errors);
        self.warnings.extend(warnings);
    }
}

fn file_layer(dir: &Path, inputs: &Inputs, found: &mut Found) -> Layer {
    let mut layer = Layer::default();
    let path = dir.join("logstash.yml");
    let text = match read_text(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            let message = format!("could not find {}; continuing with the defaults", path.display());
            found
                .warnings
                .push(Problem::new(Origin::Default, message).hint("give its folder with --path.settings"));
            return layer;
        }
        Err(error) => {
            found.errors.push(unreadable(dir, &path, &error.to_string()));
            return layer;
        }
    };
    let file = Arc::new(SourceFile { path, text });
    match yaml::parse(&file.text) {
        Ok(None) | Ok(Some(Node { kind: NodeKind::Null, .. })) => {}
        Ok(Some(Node { kind: NodeKind::Map(entries), .. })) => {
            add_entries(&entries, "", &file, &inputs.variables(), &mut layer, found);
        }
        Ok(Some(node)) => {
            let origin = Origin::File(Arc::clone(&file), node.span);
            found.errors.push(Problem::new(origin, "logstash.yml has to be a map of settings"));
        }
        Err(error) => {
            let origin = Origin::File(Arc::clone(&file), error.offset..error.offset);
            let sentence = load_failure(dir, &error.message);
            found.errors.push(
                Problem::new(origin, format!("logstash.yml is not valid YAML: {}", error.message))
                    .logstash(sentence),
            );
        }
    }
    layer
}

fn unreadable(dir: &Path, path: &Path, reason: &str) -> Problem {
    Problem::new(Origin::Default, format!("could not read {}: {reason}", path.display()))
        .logstash(load_failure(dir, reason))
}

fn load_failure(dir: &Path, reason: &str) -> String {
    let dir = dir.display();
    format!(
        "ERROR: Failed to load settings file from \"path.settings\". Aborting... path.setting={dir}, message=>{reason}"
    )
}

/// Nested maps are the same as dotted keys: `pipeline: {workers: 2}` is `pipeline.workers: 2`.
fn add_entries(
    entries: &[(Node, Node)],
    prefix: &str,
    file: &Arc<SourceFile>,
    variables: &Vars,
    layer: &mut Layer,
    found: &mut Found,
) {
    for (key, value) in entries {
        let origin = Origin::File(Arc::clone(file), key.span.clone());
        let (NodeKind::Plain(word) | NodeKind::Quoted(word)) = &key.kind else {
            found.errors.push(Problem::new(origin, "the name of a setting has to be a text"));
            continue;
        };
        let name = format!("{prefix}{word}");
        if let NodeKind::Map(nested) = &value.kind {
            add_entries(nested, &format!("{name}."), file, variables, layer, found);
            continue;
        }
        let Some(setting) = table::find(&name) else {
            found.errors.push(unknown_setting(&name, origin));
            continue;
        };
        if let Some(first) = layer.origin(setting.name) {
            let message = format!("setting `{name}` is given twice; the last one counts");
            found.warnings.push(Problem::new(origin.clone(), message).hint(also_set(first)));
        }
        let value_origin = Origin::File(Arc::clone(file), value.span.clone());
        match raw_of(value, setting.kind, variables) {
            Ok(raw) => found.put(layer, setting, &raw, value_origin),
            Err(reason) => found.errors.push(Problem::new(value_origin, reason)),
        }
    }
}

/// The value of a node, with its variables replaced.
fn raw_of(node: &Node, kind: Kind, variables: &Vars) -> Result<Raw, String> {
    let expanded = |text: &str, as_written: fn(String) -> Raw| {
        let replaced = expand(variables, text)?;
        Ok(replaced.map_or_else(|| as_written(text.to_owned()), |text| refine_for(kind, &text)))
    };
    match &node.kind {
        NodeKind::Null => Ok(Raw::Null),
        NodeKind::Plain(text) => expanded(text, Raw::Plain),
        NodeKind::Quoted(text) => expanded(text, Raw::Text),
        NodeKind::List(items) => {
            items.iter().map(|item| raw_of(item, kind, variables)).collect::<Result<_, _>>().map(Raw::List)
        }
        NodeKind::Map(_) => Err("a map where a value is expected".to_owned()),
    }
}

/// Refines, but leaves a text in brackets alone where no list is expected.
fn refine_for(kind: Kind, text: &str) -> Raw {
    match refine(text) {
        Raw::List(_) if !matches!(kind, Kind::List(_)) => Raw::Text(text.to_owned()),
        refined => refined,
    }
}

fn env_layer(env: &BTreeMap<String, String>, found: &mut Found) -> Layer {
    let normal = |name: &str| name.to_ascii_lowercase().replace(['.', '_', '-'], "");
    let by_name: BTreeMap<String, &'static Setting> =
        SETTINGS.iter().filter(|s| s.may_come_from_env()).map(|s| (normal(s.name), s)).collect();
    let mut layer = Layer::default();
    for (name, value) in env.iter().filter(|(_, value)| !value.is_empty()) {
        if let Some(setting) = by_name.get(&normal(name)) {
            let raw = refine_for(setting.kind, value);
            found.put(&mut layer, setting, &raw, Origin::Env(name.clone()));
        }
    }
    layer
}

fn flag_layer(flags: &[Flag], found: &mut Found) -> Layer {
    let mut layer = Layer::default();
    for flag in flags {
        let origin = Origin::Flag(flag.flag.clone());
        match table::find(&flag.setting) {
            Some(setting) => found.put(&mut layer, setting, &Raw::Text(flag.value.clone()), origin),
            None => found.errors.push(unknown_setting(&flag.setting, origin)),
        }
    }
    layer
}

/// A setting as the manual shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SettingDoc {
    /// Its name.
    pub name: &'static str,
    /// What it is for.
    pub doc: &'static str,
    /// What a value looks like.
    pub values: String,
    /// The default, as written; `None` when there is none or it is computed.
    pub default: Option<&'static str>,
    /// Whether pipelines.yml may set it.
    pub per_pipeline: bool,
    /// Why other values than the default are refused or without effect.
    pub limitation: Option<String>,
}

/// All settings Logstash knows, in the order of its manual.
pub fn reference() -> impl Iterator<Item = SettingDoc> {
    SETTINGS.iter().map(|setting| SettingDoc {
        name: setting.name,
        doc: setting.doc,
        values: setting.kind.expected(),
        default: setting.default,
        per_pipeline: setting.per_pipeline,
        limitation: match setting.status {
            Status::Built => None,
            Status::Refused(why) => Some(format!("refused: {why}")),
            Status::NoEffect(why) => Some(format!("no effect: {why}")),
            Status::Details(of) => Some(format!("no effect while `{of}` is off")),
        },
    })
}

/// Whether Logstash knows a setting of this name.
#[cfg(test)]
pub(crate) fn is_setting(name: &str) -> bool {
    table::find(name).is_some()
}

fn unknown_setting(name: &str, origin: Origin) -> Problem {
    let problem = Problem::new(origin, format!("unknown setting `{name}`")).logstash(format!(
        "Your settings are invalid. Reason: Setting \"{name}\" doesn't exist. Please check if you haven't made a typo."
    ));
    let nearest = || nearest(name, SETTINGS.iter().map(|s| s.name));
    match table::removed(name).or_else(|| nearest().map(|near| format!("did you mean `{near}`?"))) {
        Some(hint) => problem.hint(hint),
        None => problem,
    }
}

/// The word most like a wrong one, if any is like it.
pub(crate) fn nearest<'a>(wrong: &str, words: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let wrong = wrong.to_ascii_lowercase();
    let likeness = |word: &str| strsim::normalized_damerau_levenshtein(&wrong, &word.to_ascii_lowercase());
    words
        .into_iter()
        .map(|word| (likeness(word), word))
        .filter(|(likeness, _)| *likeness >= LIKENESS_MIN)
        .max_by(|(a, _), (b, _)| a.total_cmp(b))
        .map(|(_, word)| word)
}

/// Reads a settings file, refusing one that is too large.
fn read_text(path: &Path) -> std::io::Result<String> {
    let mut text = String::new();
    std::fs::File::open(path)?.take(SETTINGS_FILE_BYTES_MAX + 1).read_to_string(&mut text)?;
    if text.len() as u64 > SETTINGS_FILE_BYTES_MAX {
        return Err(std::io::Error::other(format!("larger than {SETTINGS_FILE_BYTES_MAX} bytes")));
    }
    Ok(text)
}

#[cfg(test)]
mod tests;
