//! A case: what a pipeline is given, and what Logstash made of it.

use super::yaml;
use crate::json::Json;
use anyhow::{Context as _, Result, bail};
use base64::Engine as _;
use std::collections::HashMap;
use std::path::Path;

/// One case.
#[derive(Clone, Debug)]
pub(crate) struct Case {
    pub(crate) area: String,
    pub(crate) name: String,
    pub(crate) why: String,
    pub(crate) kind: Kind,
    /// Settings that differ from the defaults.
    pub(crate) settings: Vec<(String, String)>,
    pub(crate) env: Vec<(String, String)>,
    /// Files beside the pipeline, found below `${CASE_DIR}`.
    pub(crate) files: Vec<(String, String)>,
    pub(crate) input: Vec<Json>,
    pub(crate) metadata: bool,
    /// Fields of which only the presence counts.
    pub(crate) ignore: Vec<Vec<String>>,
    pub(crate) expected: Expected,
    /// Why the expected result is not Logstash's.
    pub(crate) deviation: Option<String>,
}

/// What is asked of the engine.
#[derive(Clone, Debug)]
pub(crate) enum Kind {
    /// Runs these filters over the input.
    Filters(String),
    /// Is this a configuration at all?
    Parse(String),
    /// Can this whole pipeline be built?
    Config(String),
    /// Reads bytes with a codec.
    Decode(String, Vec<u8>),
    /// Writes the input with a codec.
    Encode(String),
    /// The case itself is wrong, for this reason; it fails, and the others run.
    Unreadable(String),
}

/// What came out of Logstash.
#[derive(Clone, Debug)]
pub(crate) struct Expected {
    pub(crate) result: Json,
}

/// What differed between two runs of Logstash.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Unstable {
    Nothing,
    KeyOrder,
    Fields(Vec<Vec<String>>),
    Everything,
}

impl Case {
    /// `AREA/NAME`.
    pub(crate) fn id(&self) -> String {
        format!("{}/{}", self.area, self.name)
    }
}

impl Expected {
    pub(crate) fn events(&self) -> Option<&[Json]> {
        self.result.get("events").and_then(Json::as_list)
    }

    pub(crate) fn encoded(&self) -> Option<&[Json]> {
        self.result.get("encoded").and_then(Json::as_list)
    }

    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        self.result.get(name).and_then(Json::as_text)
    }

    /// For config and parse cases: whether Logstash took it.
    pub(crate) fn accepted(&self) -> Option<bool> {
        match self.result.get("accepted") {
            Some(Json::Bool(accepted)) => Some(*accepted),
            _ => None,
        }
    }

    pub(crate) fn unstable(&self) -> Unstable {
        match self.result.get("unstable") {
            Some(Json::Text(text)) if text == "key order" => Unstable::KeyOrder,
            Some(Json::List(fields)) => {
                Unstable::Fields(fields.iter().filter_map(Json::as_text).map(path).collect())
            }
            Some(Json::Bool(true)) => Unstable::Everything,
            _ => Unstable::Nothing,
        }
    }
}

/// All cases of a folder with `cases/` and `expected/`, in the order of areas and files.
///
/// `deviations` is a file of better results; it may be missing.
pub(crate) fn load(folder: &Path, deviations: &Path) -> Result<Vec<Case>> {
    let mut deviations = load_deviations(deviations)?;
    let mut files: Vec<_> = std::fs::read_dir(folder.join("cases"))
        .with_context(|| format!("no folder `cases` in {}", folder.display()))?
        .filter_map(|entry| entry.ok().map(|entry| entry.path()))
        .filter(|path| path.extension().is_some_and(|extension| extension == "yaml"))
        .collect();
    files.sort();
    let mut cases = Vec::new();
    for file in files {
        let area = file.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default().to_owned();
        let results = folder.join("expected").join(format!("{area}.json"));
        let read = |path: &Path| std::fs::read_to_string(path).with_context(|| path.display().to_string());
        let results = Json::parse(&read(&results)?).with_context(|| results.display().to_string())?;
        let list = yaml::parse(&read(&file)?).with_context(|| file.display().to_string())?;
        for entry in list.as_list().unwrap_or_default() {
            let mut case = case(&area, entry, &results);
            if let Some((result, why)) = deviations.remove(&case.id()) {
                case.expected = Expected { result };
                case.deviation = Some(why);
            }
            cases.push(case);
        }
    }
    Ok(cases)
}

fn load_deviations(file: &Path) -> Result<HashMap<String, (Json, String)>> {
    let Ok(text) = std::fs::read_to_string(file) else { return Ok(HashMap::new()) };
    let list = yaml::parse(&text).with_context(|| file.display().to_string())?;
    let mut deviations = HashMap::new();
    for (id, entry) in list.as_map().unwrap_or_default() {
        let result = entry.get("result").with_context(|| format!("{id} has no `result`"))?;
        let why = entry.get("why").and_then(Json::as_text).with_context(|| format!("{id} has no `why`"))?;
        deviations.insert(id.clone(), (result.clone(), why.to_owned()));
    }
    Ok(deviations)
}

fn case(area: &str, entry: &Json, results: &Json) -> Case {
    let name = entry.get("name").map(Json::to_setting).unwrap_or_default();
    let result = results.get(&name);
    let kind = match result {
        Some(_) => kind(entry).unwrap_or_else(|error| Kind::Unreadable(format!("{error:#}"))),
        None => Kind::Unreadable("there is no recorded result".to_owned()),
    };
    let texts = |key: &str| -> Vec<(String, String)> {
        let entries = entry.get(key).and_then(Json::as_map).unwrap_or_default();
        entries.iter().map(|(name, value)| (name.clone(), value.to_setting())).collect()
    };
    let ignore = entry.get("ignore").and_then(Json::as_list).unwrap_or_default();
    Case {
        area: area.to_owned(),
        why: entry.get("why").map(Json::to_setting).unwrap_or_default(),
        kind,
        settings: texts("settings"),
        env: texts("env"),
        files: texts("files"),
        input: entry.get("input").and_then(Json::as_list).unwrap_or_default().to_vec(),
        metadata: matches!(entry.get("metadata"), Some(Json::Bool(true))),
        ignore: ignore.iter().filter_map(Json::as_text).map(path).collect(),
        expected: Expected { result: result.cloned().unwrap_or(Json::Null) },
        deviation: None,
        name,
    }
}

fn kind(entry: &Json) -> Result<Kind> {
    let text = |key: &str| entry.get(key).and_then(Json::as_text).map(str::to_owned);
    if let Some(codec) = text("decode") {
        let bytes = match (text("bytes"), text("bytes_base64")) {
            (Some(bytes), None) => bytes.into_bytes(),
            (None, Some(encoded)) => base64::engine::general_purpose::STANDARD.decode(encoded)?,
            _ => bail!("a decode case has either `bytes` or `bytes_base64`"),
        };
        return Ok(Kind::Decode(codec, bytes));
    }
    if let Some(codec) = text("encode") {
        return Ok(Kind::Encode(codec));
    }
    let config = text("config").context("no config")?;
    match text("kind").as_deref() {
        None => Ok(Kind::Filters(config)),
        Some("parse") => Ok(Kind::Parse(config)),
        Some("config") => Ok(Kind::Config(config)),
        Some(other) => bail!("no such kind: {other}"),
    }
}

/// The names in `[a][b]`; `[@metadata]` is recorded as `[_metadata]`.
fn path(field: &str) -> Vec<String> {
    let names = field.trim_start_matches('[').trim_end_matches(']').split("][");
    names.map(|name| if name == "@metadata" { "_metadata" } else { name }.to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_recorded_cases_load() {
        let folder = crate::repository().join("tests/conformance");
        let cases = load(&folder, &folder.join("deviations.yaml")).unwrap();
        assert!(cases.len() > 1000);
        let first = cases.iter().find(|case| case.id() == "codec-decode/plain-utf8").unwrap();
        assert!(
            matches!(&first.kind, Kind::Decode(codec, bytes) if codec.starts_with("plain") && !bytes.is_empty())
        );
        assert_eq!(first.ignore, [["@timestamp"]]);
    }

    #[test]
    fn a_case_that_is_wrong_fails_alone() {
        let results = Json::parse(r#"{"a": {"events": []}}"#).unwrap();
        let case = |text: &str| case("x", &yaml::parse(text).unwrap(), &results).kind;
        assert!(matches!(case("{name: a, config: 'filter { }'}"), Kind::Filters(_)));
        assert!(
            matches!(case("{name: a, kind: dance, config: x}"), Kind::Unreadable(why) if why.contains("dance"))
        );
        assert!(matches!(case("{name: b, config: x}"), Kind::Unreadable(why) if why.contains("recorded")));
        assert!(matches!(case("{name: a, decode: plain}"), Kind::Unreadable(_)));
    }

    #[test]
    fn deviations_replace_results() {
        let folder = tempfile::tempdir().unwrap();
        for part in ["cases", "expected"] {
            std::fs::create_dir(folder.path().join(part)).unwrap();
        }
        let cases = "- name: x\n  config: filter { }\n  input: [a]\n";
        std::fs::write(folder.path().join("cases/a.yaml"), cases).unwrap();
        std::fs::write(folder.path().join("expected/a.json"), r#"{"x": {"pipeline_error": "boom"}}"#)
            .unwrap();
        let deviations = folder.path().join("deviations.yaml");
        std::fs::write(&deviations, "a/x: {result: {events: []}, why: data must not stop a pipeline}\n")
            .unwrap();
        let cases = load(folder.path(), &deviations).unwrap();
        assert!(cases[0].expected.events().unwrap().is_empty());
        assert_eq!(cases[0].deviation.as_deref(), Some("data must not stop a pipeline"));
        assert!(load(folder.path(), Path::new("none")).unwrap()[0].expected.events().is_none());
    }
}
