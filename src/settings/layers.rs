//! The layers of settings, lowest first: defaults, `logstash.yml`, environment, flags, entry of `pipelines.yml`.
//!
//! Each layer types its values when they are added, so that a wrong value is reported even where a higher layer hides
//! it. `config` then decides which layer wins.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use config::{Config, ConfigError, Map, Source};

use super::kind::{Kind, Raw, Value};
use super::problem::{Origin, Problem};
use super::table::{self, SETTINGS, Setting, Status};
use super::variables::refine;

/// The values of one source, typed.
#[derive(Clone, Default)]
pub(crate) struct Layer {
    values: BTreeMap<&'static str, (&'static Setting, Value, Origin)>,
}

impl Layer {
    /// Types a value and puts it in; a later one of the same name wins.
    pub(crate) fn put(
        &mut self,
        setting: &'static Setting,
        raw: &Raw,
        origin: Origin,
    ) -> Result<(), Problem> {
        if *raw == Raw::Null && setting.default.is_none() {
            return Ok(());
        }
        let value =
            setting.kind.parse(raw).map_err(|reason| bad_value(setting, raw, &reason, origin.clone()))?;
        self.values.insert(setting.name, (setting, value, origin));
        Ok(())
    }

    /// Where this layer sets the setting.
    pub(crate) fn origin(&self, name: &str) -> Option<&Origin> {
        self.values.get(name).map(|(_, _, origin)| origin)
    }

    /// Errors and warnings about values that are not the default, and not built or without meaning here.
    pub(crate) fn check_status(&self) -> (Vec<Problem>, Vec<Problem>) {
        let (mut errors, mut warnings) = (Vec::new(), Vec::new());
        for (setting, value, origin) in self.values.values() {
            if default_value(setting).as_ref() == Some(value) {
                continue;
            }
            let (name, origin) = (setting.name, origin.clone());
            match setting.status {
                Status::Refused(why) => errors.push(
                    Problem::new(origin, format!("setting `{name}` is not supported by ferrostash: {why}"))
                        .hint("take it out"),
                ),
                Status::NoEffect(why) => {
                    warnings.push(Problem::new(origin, format!("setting `{name}` has no effect: {why}")));
                }
                Status::Built | Status::Details(_) => {}
            }
        }
        (errors, warnings)
    }

    fn defaults() -> Self {
        let mut layer = Self::default();
        for setting in SETTINGS {
            if let Some(value) = default_value(setting) {
                layer.values.insert(setting.name, (setting, value, Origin::Default));
            }
        }
        layer
    }
}

// Values may be secrets, so a layer shows its names only.
impl std::fmt::Debug for Layer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.values.keys()).finish()
    }
}

impl Source for Layer {
    fn clone_into_box(&self) -> Box<dyn Source + Send + Sync> {
        Box::new(self.clone())
    }

    fn collect(&self) -> Result<Map<String, config::Value>, ConfigError> {
        let typed = |(setting, value, origin): &(&Setting, Value, Origin)| {
            (setting.key(), config::Value::new(Some(&origin.to_string()), value.clone()))
        };
        Ok(self.values.values().map(typed).collect())
    }
}

fn default_value(setting: &Setting) -> Option<Value> {
    let text = setting.default?;
    let raw = if matches!(setting.kind, Kind::List(_)) { refine(text) } else { Raw::Text(text.to_owned()) };
    setting.kind.parse(&raw).ok()
}

fn bad_value(setting: &Setting, raw: &Raw, reason: &str, origin: Origin) -> Problem {
    let problem = Problem::new(origin, format!("invalid value for setting `{}`: {reason}", setting.name))
        .logstash(format!("Your settings are invalid. Reason: Setting \"{}\": {reason}", setting.name));
    let (Raw::Plain(text) | Raw::Text(text)) = raw else { return problem };
    match setting.kind.suggestion(text) {
        Some(word) => problem.hint(format!("did you mean `{word}`?")),
        None => problem,
    }
}

/// Layers in order, the lowest first.
#[derive(Clone, Debug)]
pub(crate) struct Layers(Vec<Layer>);

impl Layers {
    pub(crate) fn new(above_defaults: impl IntoIterator<Item = Layer>) -> Self {
        let mut layers = vec![Layer::defaults()];
        layers.extend(above_defaults);
        Self(layers)
    }

    /// These layers with one more on top.
    pub(crate) fn with(&self, top: Layer) -> Self {
        let mut layers = self.clone();
        layers.0.push(top);
        layers
    }

    /// The values that win.
    pub(crate) fn resolve(&self) -> Result<Resolved, ConfigError> {
        let builder =
            self.0.iter().cloned().fold(Config::builder(), |builder, layer| builder.add_source(layer));
        Ok(Resolved { values: builder.build()?.collect()? })
    }

    /// Where the winning value was set; `None` for a default.
    pub(crate) fn origin(&self, name: &str) -> Option<&Origin> {
        self.0.iter().skip(1).rev().find_map(|layer| layer.origin(name))
    }

    /// Errors and warnings about winning values that are not built, or have no meaning here.
    pub(crate) fn check_status(&self) -> (Vec<Problem>, Vec<Problem>) {
        let mut winners = Layer::default();
        for layer in self.0.iter().skip(1) {
            winners.values.extend(layer.values.clone());
        }
        winners.check_status()
    }
}

/// The winning values, read by name and type.
pub(crate) struct Resolved {
    values: Map<String, config::Value>,
}

impl Resolved {
    fn value(&self, name: &str) -> Result<config::Value, ConfigError> {
        self.values.get(&table::key(name)).cloned().ok_or_else(|| ConfigError::NotFound(name.to_owned()))
    }

    pub(crate) fn bool(&self, name: &str) -> Result<bool, ConfigError> {
        self.value(name)?.into_bool()
    }

    pub(crate) fn text(&self, name: &str) -> Result<String, ConfigError> {
        self.value(name)?.into_string()
    }

    pub(crate) fn optional_text(&self, name: &str) -> Result<Option<String>, ConfigError> {
        self.values.get(&table::key(name)).cloned().map(config::Value::into_string).transpose()
    }

    pub(crate) fn optional_path(&self, name: &str) -> Result<Option<PathBuf>, ConfigError> {
        Ok(self.optional_text(name)?.map(PathBuf::from))
    }

    pub(crate) fn unsigned(&self, name: &str) -> Result<u64, ConfigError> {
        self.value(name)?.into_uint()
    }

    pub(crate) fn size(&self, name: &str) -> Result<usize, ConfigError> {
        Ok(usize::try_from(self.unsigned(name)?).unwrap_or(usize::MAX))
    }

    pub(crate) fn optional_size(&self, name: &str) -> Result<Option<usize>, ConfigError> {
        self.values.contains_key(&table::key(name)).then(|| self.size(name)).transpose()
    }

    pub(crate) fn millis(&self, name: &str) -> Result<Duration, ConfigError> {
        Ok(Duration::from_millis(self.unsigned(name)?))
    }

    /// A time; `None` when it is unset or `-1`.
    pub(crate) fn time(&self, name: &str) -> Result<Option<Duration>, ConfigError> {
        let Some(value) = self.values.get(&table::key(name)).cloned() else { return Ok(None) };
        Ok(u64::try_from(value.into_int()?).ok().map(Duration::from_nanos))
    }

    /// A word of an enum.
    pub(crate) fn word<T>(&self, name: &str, from_word: fn(&str) -> Option<T>) -> Result<T, ConfigError> {
        let word = self.text(name)?;
        from_word(&word).ok_or_else(|| ConfigError::Message(format!("`{word}` is no word of `{name}`")))
    }
}
