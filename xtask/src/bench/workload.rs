//! What the pipelines do.

use super::generate::{self, Dice};
use anyhow::Result;
use std::io::Write as _;
use std::path::Path;

/// A pipeline from a file to a file.
pub(crate) struct Workload {
    /// Its name on the command line.
    pub(crate) name: &'static str,
    filters: &'static str,
    line: fn(usize, &mut Dice, &mut String),
}

/// All of them.
pub(crate) static WORKLOADS: [Workload; 3] = [
    Workload {
        name: "json",
        filters: r#"
  json { source => "message" }
  mutate {
    rename => { "logger" => "log_name" }
    add_field => { "env" => "prod" }
    remove_field => ["thread"]
  }"#,
        line: generate::json,
    },
    Workload {
        name: "apache",
        filters: r#"
  grok {
    ecs_compatibility => "disabled"
    match => { "message" => "%{COMBINEDAPACHELOG}" }
    remove_field => ["message"]
  }
  date { match => ["timestamp", "dd/MMM/yyyy:HH:mm:ss Z"] }
  mutate { convert => { "bytes" => "integer" "response" => "integer" } }"#,
        line: generate::apache,
    },
    PASS,
];

/// No filter at all.
pub(crate) const PASS: Workload = Workload { name: "pass", filters: "", line: generate::json };

const SEED: u64 = 1;

impl Workload {
    /// Writes `events` lines to `file`.
    pub(crate) fn generate(&self, events: usize, file: &Path) -> Result<()> {
        let mut out = std::io::BufWriter::new(std::fs::File::create(file)?);
        let (mut dice, mut line) = (Dice::new(SEED), String::new());
        for number in 0..events {
            line.clear();
            (self.line)(number, &mut dice, &mut line);
            out.write_all(line.as_bytes())?;
        }
        Ok(out.flush()?)
    }

    /// The configuration.
    pub(crate) fn config(&self, input: &Path, output: &Path, sincedb: &Path) -> String {
        let (input, output, sincedb, filters) =
            (input.display(), output.display(), sincedb.display(), self.filters);
        format!(
            r#"input {{
  file {{
    path => "{input}"
    mode => "tail"
    start_position => "beginning"
    sincedb_path => "{sincedb}"
    ecs_compatibility => "disabled"
    codec => plain {{ ecs_compatibility => "disabled" }}
  }}
}}
filter {{{filters}
}}
output {{
  file {{ path => "{output}" flush_interval => 1 codec => json_lines }}
}}
"#
        )
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
            let text = workload.config(Path::new("/in"), Path::new("/out"), Path::new("/sincedb"));
            sources.add(Protocol::File, "bench.conf", text);
            let conf = PipelineConf::parse(&sources, ConfSettings::default(), &Vars::new(), &mut diagnostics);
            assert!(!diagnostics.has_errors(), "{}", diagnostics.render(&sources, false));
            assert_eq!((conf.inputs.len(), conf.outputs.len()), (1, 1));
        }
    }

    #[test]
    fn input_is_written() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("in");
        PASS.generate(50, &file).unwrap();
        assert_eq!(std::fs::read_to_string(file).unwrap().lines().count(), 50);
    }
}
