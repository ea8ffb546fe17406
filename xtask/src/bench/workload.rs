//! What the pipelines do.

use super::generate::{self, Dice};
use anyhow::Result;
use std::io::Write as _;
use std::path::Path;

/// A pipeline, its input and what must come out.
pub(crate) struct Workload {
    /// Its name on the command line.
    pub(crate) name: &'static str,
    /// Where its events come from.
    pub(crate) from: From,
    lines: Lines,
    filters: &'static [&'static str],
    /// Lines that hold this are dropped.
    dropped: Option<&'static str>,
    /// Where its events go.
    pub(crate) to: To,
}

/// An input.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum From {
    File,
    /// Four connections that send as fast as they may.
    Tcp,
}

/// An output.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum To {
    File,
    /// A sink of ours that answers bulk requests.
    Elasticsearch,
}

enum Lines {
    One(fn(usize, &mut Dice, &mut String)),
    /// An array of so many events.
    Arrays(usize),
}

/// Where a run's input and output are.
pub(crate) struct Places<'a> {
    /// The file with the lines.
    pub(crate) input: &'a Path,
    /// The port to listen on.
    pub(crate) port: u16,
    /// The file for the events.
    pub(crate) output: &'a Path,
    /// The address of the sink.
    pub(crate) sink: &'a str,
    /// Where the input remembers how far it is.
    pub(crate) sincedb: &'a Path,
}

const READ_JSON: &str = r#"
  json { source => "message" }"#;
/// What is done to a JSON log line.
pub(crate) const TIDY: &str = r#"
  mutate {
    rename => { "logger" => "log_name" }
    add_field => { "env" => "prod" }
    remove_field => ["thread"]
  }"#;

/// All of them.
pub(crate) static WORKLOADS: [Workload; 7] = [
    Workload { name: "json", filters: &[READ_JSON, TIDY], ..PASS },
    Workload {
        name: "apache",
        lines: Lines::One(generate::apache),
        filters: &[r#"
  grok {
    ecs_compatibility => "disabled"
    match => { "message" => "%{COMBINEDAPACHELOG}" }
    remove_field => ["message"]
  }
  date { match => ["timestamp", "dd/MMM/yyyy:HH:mm:ss Z"] }
  mutate { convert => { "bytes" => "integer" "response" => "integer" } }"#],
        ..PASS
    },
    PASS,
    Workload { name: "tcp", from: From::Tcp, filters: &[TIDY], ..PASS },
    Workload {
        name: "conditions",
        filters: &[
            READ_JSON,
            TIDY,
            r#"
  if [level] == "DEBUG" { drop { } }
  else if [level] == "CRITICAL" { mutate { add_tag => ["page"] } }
  else if [level] == "ERROR" and [service] == "billing" { mutate { add_tag => ["billing-error"] } }
  else if [level] == "ERROR" and [service] == "auth" { mutate { add_tag => ["auth-error"] } }
  else if [level] == "ERROR" { mutate { add_tag => ["error"] } }
  else if [level] == "WARNING" and [service] == "gateway" { mutate { add_tag => ["gateway-warn"] } }
  else if [level] == "WARNING" { mutate { add_tag => ["warn"] } }
  else if [service] == "search" { mutate { add_tag => ["search"] } }
  else if [service] == "catalog" { mutate { add_tag => ["catalog"] } }
  else if [service] == "billing" or [service] == "auth" { mutate { add_tag => ["core"] } }
  else { mutate { add_tag => ["other"] } }"#,
        ],
        dropped: Some("\"level\":\"DEBUG\""),
        ..PASS
    },
    Workload { name: "elasticsearch", filters: &[READ_JSON, TIDY], to: To::Elasticsearch, ..PASS },
    Workload {
        name: "split",
        lines: Lines::Arrays(50),
        filters: &[r#"
  json { source => "message" target => "rec" remove_field => ["message"] }
  split { field => "rec" }
  mutate {
    rename => { "[rec][event_timestamp]" => "[rec][timestamp]" }
    add_field => { "[rec][log_type]" => "mail_routing" }
    remove_field => ["[rec][file_path]"]
    convert => { "[rec][size]" => "integer" }
  }"#],
        ..PASS
    },
];

/// No filter at all.
pub(crate) const PASS: Workload = Workload {
    name: "pass",
    from: From::File,
    lines: Lines::One(generate::json),
    filters: &[],
    dropped: None,
    to: To::File,
};

const SEED: u64 = 1;

impl Workload {
    /// Writes lines with `events` events to `file`, and says how many must come out.
    pub(crate) fn generate(&self, events: usize, file: &Path) -> Result<usize> {
        let mut out = std::io::BufWriter::new(std::fs::File::create(file)?);
        let (mut dice, mut line) = (Dice::new(SEED), String::new());
        let (mut number, mut kept) = (0, 0);
        while number < events {
            line.clear();
            let end = match self.lines {
                Lines::One(write) => {
                    write(number, &mut dice, &mut line);
                    number + 1
                }
                Lines::Arrays(size) => {
                    let end = events.min(number + size);
                    generate::array(number..end, &mut dice, &mut line);
                    end
                }
            };
            if self.dropped.is_none_or(|dropped| !line.contains(dropped)) {
                kept += end - number;
            }
            number = end;
            out.write_all(line.as_bytes())?;
        }
        out.flush()?;
        Ok(kept)
    }

    /// The configuration.
    pub(crate) fn config(&self, places: &Places<'_>) -> String {
        let Places { input, port, output, sink, sincedb } = places;
        let (input, output, sincedb) = (input.display(), output.display(), sincedb.display());
        let from = match self.from {
            From::File => format!(
                r#"file {{
    path => "{input}"
    mode => "tail"
    start_position => "beginning"
    sincedb_path => "{sincedb}"
    ecs_compatibility => "disabled"
    codec => plain {{ ecs_compatibility => "disabled" }}
  }}"#
            ),
            From::Tcp => format!(
                r#"tcp {{
    host => "127.0.0.1"
    port => {port}
    ecs_compatibility => "disabled"
    codec => json_lines {{ ecs_compatibility => "disabled" }}
  }}"#
            ),
        };
        let to = match self.to {
            To::File => format!(r#"file {{ path => "{output}" flush_interval => 1 codec => json_lines }}"#),
            To::Elasticsearch => format!(
                r#"elasticsearch {{
    hosts => ["http://{sink}"]
    index => "logs"
    action => "create"
    manage_template => false
    ilm_enabled => false
    data_stream => false
    compression_level => 0
    ecs_compatibility => "disabled"
  }}"#
            ),
        };
        format!("input {{\n  {from}\n}}\nfilter {{{}\n}}\noutput {{\n  {to}\n}}\n", self.filters.concat())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ferrostash_conf::{ConfSettings, Diagnostics, PipelineConf, Protocol, SourceMap, Vars};

    #[test]
    fn the_configurations_are_valid() {
        for workload in &WORKLOADS {
            let (mut sources, mut diagnostics) = (SourceMap::new(), Diagnostics::new());
            let text = workload.config(&Places {
                input: Path::new("/in"),
                port: 5000,
                output: Path::new("/out"),
                sink: "127.0.0.1:9200",
                sincedb: Path::new("/sincedb"),
            });
            sources.add(Protocol::File, "bench.conf", text);
            let conf = PipelineConf::parse(&sources, ConfSettings::default(), &Vars::new(), &mut diagnostics);
            assert!(!diagnostics.has_errors(), "{}", diagnostics.render(&sources, false));
            assert_eq!((conf.inputs.len(), conf.outputs.len()), (1, 1));
        }
    }

    #[test]
    fn input_is_written_and_output_foretold() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("in");
        for (name, lines, kept) in
            [("pass", 1020, 1020..1021), ("split", 21, 1020..1021), ("conditions", 1020, 600..800)]
        {
            let workload = WORKLOADS.iter().find(|workload| workload.name == name).unwrap();
            let expected = workload.generate(1020, &file).unwrap();
            assert_eq!(std::fs::read_to_string(&file).unwrap().lines().count(), lines, "{name}");
            assert!(kept.contains(&expected), "{name}: {expected}");
        }
    }
}
