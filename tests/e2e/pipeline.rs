//! A pipeline from a file to a service.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::PathBuf;

use serde_json::Value;

use crate::harness::{Ferrostash, Start, is_balanced};

/// Reads a file of JSON lines, which tests write.
pub(crate) struct Pipeline {
    process: Ferrostash,
    lines: PathBuf,
}

impl Pipeline {
    /// Starts with this output section, and lines in the file already.
    pub(crate) fn start(output: &str, lines: impl IntoIterator<Item = Value>) -> Pipeline {
        let start = Start::pipeline(&["-f"]);
        let path = start.file("lines.json", "");
        append(&path, lines);
        let input = format!(
            r#"file {{ path => "{}" start_position => "beginning" codec => "json" }}"#,
            path.display()
        );
        let conf = start.file("pipeline.conf", format!("input {{ {input} }}\noutput {{ {output} }}\n"));
        Pipeline { process: start.arg(conf).start(), lines: path }
    }

    /// More lines for the file.
    pub(crate) fn append(&self, lines: impl IntoIterator<Item = Value>) {
        append(&self.lines, lines);
    }

    /// Waits until `found` gives something.
    pub(crate) fn wait<T>(&mut self, found: impl FnMut(&Ferrostash) -> Option<T>) -> T {
        self.process.wait(found)
    }

    pub(crate) fn wait_for(&mut self, words: &str) {
        self.process.wait_for(words);
    }

    /// Events that are behind all outputs.
    pub(crate) fn accepted(&mut self) -> u64 {
        self.process.wait(|process| Some(number(&ledger(process)?, "accepted")))
    }

    /// Waits until `events` were delivered, looks whether every one is accounted for, and stops.
    pub(crate) fn finish(self, events: u64) {
        finish(self.process, events);
    }
}

fn append(path: &PathBuf, lines: impl IntoIterator<Item = Value>) {
    let text: String = lines.into_iter().map(|line| format!("{line}\n")).collect();
    OpenOptions::new().append(true).open(path).unwrap().write_all(text.as_bytes()).unwrap();
}

/// The pipeline's account; `None` as long as there is no pipeline.
fn ledger(process: &Ferrostash) -> Option<Value> {
    let (status, body) = process.ask("/_node/stats/pipelines/main")?;
    let mut stats: Value = serde_json::from_str(&body).ok().filter(|_| status == 200)?;
    stats.pointer_mut("/pipelines/main/ledger").map(Value::take)
}

fn number(ledger: &Value, side: &str) -> u64 {
    ledger[side].as_u64().unwrap_or_else(|| panic!("no {side} in {ledger}"))
}

/// [`Pipeline::finish`] for any process.
pub(crate) fn finish(mut process: Ferrostash, events: u64) {
    let done = |ledger: &Value| {
        let moving = number(ledger, "in_flight") + number(ledger, "queued");
        number(ledger, "received") >= events && moving == 0
    };
    let ledger = process.wait(|process| {
        let ledger = ledger(process).filter(done)?;
        is_balanced(&ledger).then_some(ledger)
    });
    let delivered = (number(&ledger, "received"), number(&ledger, "accepted"));
    assert_eq!(delivered, (events, events), "{ledger}");
    process.stop();
}
