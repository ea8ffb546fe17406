//! The options of every plugin against the catalogue of Logstash's: none missing, none extra, the same types, the same
//! defaults, the same ones required, deprecated and gone.
//!
//! `catalogue.yaml` was read out of the plugins of Logstash 9.5.2.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may fail loudly")]

use ferrostash_conf::{
    CommonCodec, CommonFilter, CommonInput, CommonOutput, OptionDef, OptionKind, OptionsDef, PluginKind,
};
use serde::Deserialize;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// Options that Logstash does not have: plugin, option, and why we have it.
const OWN_OPTIONS: &[(&str, &str, &str)] =
    &[("output/kafka", "transactional_id", "exactly once from topic to topic, which Logstash does not have")];

/// Plugins that Logstash does not bundle, with the reason that we have them.
const OWN_PLUGINS: &[(&str, &str)] =
    &[("output/opensearch", "OpenSearch's own plugin for Logstash, under the name that it has there")];

#[derive(Deserialize)]
struct Catalogue {
    validators: BTreeMap<String, String>,
    common: BTreeMap<String, Vec<Entry>>,
    plugins: Vec<Plugin>,
}

#[derive(Deserialize)]
struct Plugin {
    kind: String,
    name: String,
    #[serde(default)]
    aliases: Vec<String>,
    /// Also has the options of `common/threadable`.
    #[serde(default)]
    threadable: bool,
    options: Vec<Entry>,
}

/// One option of the catalogue.
#[derive(Deserialize)]
struct Entry {
    name: String,
    #[serde(rename = "type")]
    type_name: String,
    default: Option<Value>,
    #[serde(default)]
    required: bool,
    #[serde(default)]
    list: bool,
    #[serde(rename = "enum")]
    values: Option<Vec<Value>>,
    #[serde(default)]
    enum_ref: Option<String>,
    #[serde(default)]
    deprecated: bool,
    #[serde(default)]
    obsolete: bool,
}

fn catalogue() -> Catalogue {
    serde_saphyr::from_str(include_str!("catalogue.yaml")).unwrap()
}

impl Catalogue {
    fn options(&self, kind: PluginKind, name: &str) -> Option<Vec<&Entry>> {
        let is_it = |plugin: &&Plugin| {
            plugin.kind == kind.name()
                && (plugin.name == name || plugin.aliases.iter().any(|alias| alias == name))
        };
        let plugin = self.plugins.iter().find(is_it)?;
        let threadable = self.common["threadable"]
            .iter()
            .filter(|entry| plugin.threadable && plugin.options.iter().all(|own| own.name != entry.name));
        Some(plugin.options.iter().chain(threadable).collect())
    }
}

#[test]
fn plugins_have_logstashs_options() {
    let catalogue = catalogue();
    let mut faults = Vec::new();
    for def in ferrostash::plugins::registry().iter() {
        let plugin = format!("{}/{}", def.kind, def.name);
        match catalogue.options(def.kind, def.name) {
            Some(options) => compare(&plugin, &options, def.options, &common_names(def.kind), &mut faults),
            None if OWN_PLUGINS.iter().any(|(own, _)| *own == plugin) => {}
            None => faults.push(format!("{plugin}: Logstash bundles no such plugin")),
        }
    }
    assert!(faults.is_empty(), "{} faults:\n{}", faults.len(), faults.join("\n"));
}

#[test]
fn common_options_are_logstashs() {
    let catalogue = catalogue();
    let mut faults = Vec::new();
    let kinds = [
        ("input", CommonInput::OPTIONS),
        ("filter", CommonFilter::OPTIONS),
        ("output", CommonOutput::OPTIONS),
        ("codec", CommonCodec::OPTIONS),
    ];
    for (kind, defs) in kinds {
        let entries = catalogue.common["plugin"].iter().chain(&catalogue.common[kind]);
        for entry in entries {
            match defs.iter().find(|def| def.name == entry.name) {
                Some(def) => compare_one(&format!("common/{kind}"), entry, def, &mut faults),
                None => faults.push(format!("common/{kind}: no option `{}`", entry.name)),
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn the_lists_of_our_own_are_used_up() {
    let registry = ferrostash::plugins::registry();
    let plugins: BTreeSet<String> = registry.iter().map(|def| format!("{}/{}", def.kind, def.name)).collect();
    for (plugin, reason) in OWN_PLUGINS {
        assert!(plugins.contains(*plugin) && !reason.is_empty(), "{plugin}");
    }
    for (plugin, option, reason) in OWN_OPTIONS {
        let def = registry.iter().find(|def| format!("{}/{}", def.kind, def.name) == *plugin);
        assert!(def.is_some_and(|def| def.options.iter().any(|o| o.name == *option)), "{plugin}: {option}");
        assert!(!reason.is_empty());
    }
}

#[test]
fn every_validator_has_a_kind() {
    let known: BTreeSet<&str> = KINDS.iter().map(|kind| kind.name()).collect();
    for validator in catalogue().validators.keys() {
        assert!(known.contains(validator.as_str()), "{validator}");
    }
}

const KINDS: [OptionKind; 25] = [
    OptionKind::String,
    OptionKind::Number,
    OptionKind::Boolean,
    OptionKind::Array,
    OptionKind::Hash,
    OptionKind::Password,
    OptionKind::Uri,
    OptionKind::Path,
    OptionKind::Bytes,
    OptionKind::Codec,
    OptionKind::FieldReference,
    OptionKind::Sha256Hex,
    OptionKind::IpAddr,
    OptionKind::EcsCompatibility,
    OptionKind::FriendlyDuration,
    OptionKind::PositiveWholeNumber,
    OptionKind::UriOrEmpty,
    OptionKind::RequiredHostOptionalPort,
    OptionKind::JdbcTimezoneSpec,
    OptionKind::DatasetIdentifier,
    OptionKind::NamespaceIdentifier,
    OptionKind::Enum,
    OptionKind::Float,
    OptionKind::Custom,
    OptionKind::Any,
];

fn common_names(kind: PluginKind) -> Vec<&'static str> {
    let options = match kind {
        PluginKind::Input => CommonInput::OPTIONS,
        PluginKind::Filter => CommonFilter::OPTIONS,
        PluginKind::Output => CommonOutput::OPTIONS,
        PluginKind::Codec => CommonCodec::OPTIONS,
    };
    options.iter().map(|option| option.name).collect()
}

fn compare(plugin: &str, entries: &[&Entry], defs: &[OptionDef], common: &[&str], faults: &mut Vec<String>) {
    // A plugin that gives a common option another meaning declares it; else the engine's own one serves.
    for entry in entries {
        match defs.iter().find(|def| def.name == entry.name) {
            Some(def) => compare_one(plugin, entry, def, faults),
            None if common.contains(&entry.name.as_str()) => {}
            None => faults.push(format!("{plugin}: no option `{}`", entry.name)),
        }
    }
    for def in defs.iter().filter(|def| entries.iter().all(|entry| entry.name != def.name)) {
        if !OWN_OPTIONS.iter().any(|(own, name, _)| *own == plugin && *name == def.name) {
            faults.push(format!("{plugin}: Logstash has no option `{}`", def.name));
        }
    }
}

fn compare_one(plugin: &str, entry: &Entry, def: &OptionDef, faults: &mut Vec<String>) {
    let mut fault = |what: &str, wanted: &dyn std::fmt::Debug, is: &dyn std::fmt::Debug| {
        faults.push(format!("{plugin}: `{}`: {what} should be {wanted:?}, is {is:?}", entry.name));
    };
    if !same_type(entry, def) {
        fault("type", &(&entry.type_name, &entry.values), &(def.kind.name(), def.values));
    }
    if entry.list != def.list {
        fault("list", &entry.list, &def.list);
    }
    if entry.required != def.required {
        fault("required", &entry.required, &def.required);
    }
    if entry.deprecated != def.deprecated.is_some() {
        fault("deprecated", &entry.deprecated, &def.deprecated);
    }
    if entry.obsolete != def.obsolete.is_some() {
        fault("obsolete", &entry.obsolete, &def.obsolete);
    }
    // What can't be used has no default that matters.
    let unusable = def.obsolete.is_some() || def.unsupported.is_some();
    if !unusable && !same_default(entry.default.as_ref(), def.default) {
        fault("default", &entry.default, &def.default);
    }
}

fn same_type(entry: &Entry, def: &OptionDef) -> bool {
    if entry.enum_ref.is_some() {
        // The names of encodings and cipher suites: too many to list, the plugin checks them itself.
        return matches!(def.kind, OptionKind::Enum | OptionKind::String);
    }
    let wanted: BTreeSet<String> = entry.values.iter().flatten().map(plain).collect();
    let values: BTreeSet<String> = def.values.iter().map(|value| (*value).to_owned()).collect();
    // Where Logstash means an empty address to be none, its validator refuses it all the same.
    let takes_more = entry.type_name == OptionKind::Uri.name() && def.kind == OptionKind::UriOrEmpty;
    (entry.type_name == def.kind.name() || takes_more) && wanted == values
}

/// Defaults are equal when they say the same, quotes and separators aside.
fn same_default(entry: Option<&Value>, def: Option<&str>) -> bool {
    match (entry, def) {
        (None | Some(Value::Null), None) => true,
        (Some(Value::String(computed)), _) if computed.starts_with("expr:") => true,
        (Some(wanted), Some(is)) => {
            let (wanted, is) = (words(&plain(wanted)), words(is));
            let number = |text: &str| text.parse::<f64>().ok();
            wanted == is || number(&wanted).zip(number(&is)).is_some_and(|(a, b)| a == b)
        }
        _ => false,
    }
}

fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

fn words(text: &str) -> String {
    let text =
        text.replace("=>", " ").replace(['"', '\'', ',', ':'], " ").replace(['[', ']', '{', '}'], " | ");
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[test]
fn the_comparison_finds_differences() {
    let entry: Entry =
        serde_json::from_str(r#"{"name": "a", "type": "array", "default": ["x", "y"]}"#).unwrap();
    let mut def = OptionDef::new("a");
    def.kind = OptionKind::Array;
    def.default = Some("[\"x\", \"y\"]");
    let faults = |def: &OptionDef| {
        let mut faults = Vec::new();
        compare("filter/x", &[&entry], std::slice::from_ref(def), &[], &mut faults);
        faults
    };
    assert_eq!(faults(&def), Vec::<String>::new());
    def.default = Some("[\"x\"]");
    assert_eq!(faults(&def).len(), 1);
    (def.kind, def.required, def.list) = (OptionKind::Hash, true, true);
    (def.deprecated, def.default) = (Some("x"), None);
    assert_eq!(faults(&def).len(), 5);
    def.name = "b";
    assert_eq!(faults(&def), ["filter/x: no option `a`", "filter/x: Logstash has no option `b`"]);
}
