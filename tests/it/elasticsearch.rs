//! The executable against a cluster that misbehaves: nothing is lost, nothing is there twice, and it ends in time.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use ferrostash_doubles::Elasticsearch;
use ferrostash_doubles::elasticsearch::Reply;
use serde_json::Value;
use tempfile::TempDir;

use crate::harness::{Ferrostash, PATIENCE, Start, is_balanced};

/// How long a stop waits for outputs, with a little for the rest.
const GRACE: Duration = Duration::from_secs(13);
/// Waits of the output that tests can afford.
const QUICK: &str = "retry_initial_interval => 0.05 retry_max_interval => 0.5 resurrect_delay => 0.1 \
                     manage_template => false";

/// What outlives the processes of a test: lines to read, the position in them.
struct Place(TempDir);

impl Place {
    fn new(lines: &[String]) -> Self {
        let place = Self(tempfile::tempdir().unwrap());
        std::fs::write(place.path("lines.log"), lines.concat()).unwrap();
        place
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// From the lines to the cluster.
    fn start(&self, cluster: &Elasticsearch, filters: &str, options: &str) -> Ferrostash {
        let text = format!(
            "input {{ file {{ path => \"{0}/lines.log\" start_position => \"beginning\" sincedb_path => \"{0}/sincedb\" }} }} \
             filter {{ {filters} }} \
             output {{ elasticsearch {{ hosts => \"{1}\" {QUICK} {options} }} }}",
            self.0.path().display(),
            cluster.url()
        );
        Start::pipeline(&["--path.data"]).arg(self.path("data")).arg("-e").arg(text).start()
    }
}

fn lines(count: usize) -> Vec<String> {
    (0..count).map(|n| format!("line {n:05}\n")).collect()
}

/// The lines that are not in the cluster, and how many are there twice.
fn lost_and_repeated(cluster: &Elasticsearch, lines: &[String]) -> (Vec<String>, usize) {
    let documents = cluster.state().documents.clone();
    (documents.lost(lines.iter().map(|line| line.trim_end())), documents.duplicates())
}

fn ledger(process: &mut Ferrostash) -> Value {
    process.json("/_node/stats/pipelines/main")["pipelines"]["main"]["ledger"].clone()
}

/// Waits until it is so.
fn until(process: &mut Ferrostash, mut is_so: impl FnMut(&mut Ferrostash) -> bool) {
    let begun = Instant::now();
    while !is_so(process) {
        assert!(begun.elapsed() < PATIENCE, "waited in vain; {}", process.said());
    }
}

fn assert_balanced(ledger: &Value) {
    assert!(is_balanced(ledger), "{ledger}");
}

fn output_metric(process: &mut Ferrostash, group: &str, name: &str) -> u64 {
    let stats = process.json("/_node/stats/pipelines/main");
    let outputs = stats["pipelines"]["main"]["plugins"]["outputs"].as_array().unwrap().clone();
    outputs[0][group][name].as_u64().unwrap_or(0)
}

#[test]
fn a_stop_while_the_cluster_is_down_or_busy_ends_in_time_and_loses_nothing() {
    let lines = lines(500);
    let each = [None, Some(Reply::Status(503))].map(|reply| {
        let lines = lines.clone();
        std::thread::spawn(move || {
            let (place, cluster) = (Place::new(&lines), Elasticsearch::start());
            let is_down = reply.is_none();
            cluster.state().always = reply;
            if is_down {
                cluster.stop();
            }
            let mut process = place.start(&cluster, "", "");
            process.wait(|process| {
                let said = process.said();
                (said.contains("Encountered a retryable error")
                    || said.contains("no living connections")
                    || said.contains("resurrect connection"))
                .then_some(())
            });
            let begun = Instant::now();
            let finished = process.stop();
            assert!(begun.elapsed() < GRACE, "{:?}", begun.elapsed());
            assert!(cluster.documents().is_empty(), "{finished:?}");
            cluster.state().always = None;
            if is_down {
                cluster.restart();
            }
            let mut process = place.start(&cluster, "", "");
            process.wait(|_| cluster.at_least(lines.len()));
            assert_balanced(&ledger(&mut process));
            process.stop();
            assert_eq!(lost_and_repeated(&cluster, &lines), (Vec::new(), 0));
        })
    });
    each.into_iter().for_each(|thread| thread.join().unwrap());
}

#[test]
fn one_closed_index_among_fifty_holds_up_nothing_else() {
    const LINES: usize = 5_000;
    for kind in ["cluster_block_exception", "security_exception"] {
        let lines: Vec<String> = (0..LINES).map(|n| format!("{:02} line {n:05}\n", n % 50)).collect();
        let (place, cluster) = (Place::new(&lines), Elasticsearch::start());
        cluster.refuse_index("logs-07", Some((403, kind)));
        let filters = "grok { match => { \"message\" => \"^%{INT:[@metadata][n]} \" } }";
        let options = "index => \"logs-%{[@metadata][n]}\" document_id => auto action => create";
        let mut process = place.start(&cluster, filters, options);
        process.wait(|_| cluster.at_least(LINES / 50 * 49));
        process.wait(|process| process.said().contains("An index takes no documents").then_some(()));
        until(&mut process, |process| output_metric(process, "quarantine", "documents") == LINES as u64 / 50);
        assert_eq!(output_metric(&mut process, "quarantine", "indices"), 1);
        assert_balanced(&ledger(&mut process));
        // Those that came before it was known, then one document at a time, ever more rarely.
        let asked = |bulk: &&ferrostash_doubles::elasticsearch::Bulk| bulk.indices() == ["logs-07"];
        let probes = cluster.bulks().iter().filter(asked).count();
        assert!(probes < 40, "{probes}");

        cluster.refuse_index("logs-07", None);
        process.wait(|_| cluster.at_least(LINES));
        until(&mut process, |process| ledger(process)["in_flight"] == 0);
        assert_balanced(&ledger(&mut process));
        assert_eq!(output_metric(&mut process, "quarantine", "documents"), 0);
        process.stop();
        assert_eq!(lost_and_repeated(&cluster, &lines), (Vec::new(), 0));
    }
}

#[test]
fn what_waits_for_an_index_is_read_again_after_a_stop() {
    let lines: Vec<String> = (0..200).map(|n| format!("{} line {n:05}\n", n % 2)).collect();
    let (place, cluster) = (Place::new(&lines), Elasticsearch::start());
    cluster.refuse_index("logs-1", Some((403, "cluster_block_exception")));
    let filters = "grok { match => { \"message\" => \"^%{INT:[@metadata][n]} \" } }";
    let options = "index => \"logs-%{[@metadata][n]}\" document_id => auto action => create";
    let mut process = place.start(&cluster, filters, options);
    process.wait(|_| cluster.at_least(100));
    let begun = Instant::now();
    process.stop();
    assert!(begun.elapsed() < GRACE, "{:?}", begun.elapsed());
    cluster.refuse_index("logs-1", None);
    let mut process = place.start(&cluster, filters, options);
    process.wait(|_| cluster.at_least(200));
    process.stop();
    assert_eq!(lost_and_repeated(&cluster, &lines), (Vec::new(), 0));
}

#[test]
fn no_position_passes_events_that_the_cluster_does_not_let_in() {
    for status in [401, 403] {
        let lines = lines(2_000);
        let (place, cluster) = (Place::new(&lines), Elasticsearch::start());
        // The key is good at the start, and then it expires.
        cluster.script([Reply::Normal]);
        cluster.state().always = Some(Reply::Status(status));
        let mut process = place.start(&cluster, "", "");
        process.wait_for("refuses our credentials or privileges");
        // The line comes a moment before it is counted.
        until(&mut process, |process| output_metric(process, "bulk_requests", "unauthorized") == 1);
        assert_balanced(&ledger(&mut process));
        // Killed amid it, nothing that was not delivered is skipped.
        process.kill();
        let mut process = place.start(&cluster, "", "");
        process.wait_for("refuses our credentials or privileges");
        // It heals without a restart.
        cluster.state().always = None;
        process.wait(|_| cluster.at_least(lines.len()));
        until(&mut process, |process| ledger(process)["in_flight"] == 0);
        assert_eq!(output_metric(&mut process, "bulk_requests", "unauthorized"), 0);
        assert_balanced(&ledger(&mut process));
        process.stop();
        assert_eq!(lost_and_repeated(&cluster, &lines), (Vec::new(), 0));
    }
}

#[test]
fn kills_and_lost_answers_make_no_document_twice() {
    let lines = lines(20_000);
    let (place, cluster) = (Place::new(&lines), Elasticsearch::start());
    let mut cuts = 0;
    for at_least in [1, lines.len() / 3, lines.len() / 2] {
        cluster.script([Reply::Normal, Reply::Cut, Reply::Normal, Reply::Half]);
        let mut process = place.start(&cluster, "", "");
        process.wait(|_| cluster.at_least(at_least));
        process.kill();
        cuts += usize::from(cluster.documents().len() < lines.len());
    }
    assert!(cuts > 0, "all was delivered before it was killed: this has shown nothing");
    let mut process = place.start(&cluster, "", "");
    process.wait(|_| cluster.at_least(lines.len()));
    until(&mut process, |process| ledger(process)["in_flight"] == 0);
    assert_balanced(&ledger(&mut process));
    process.stop();
    assert_eq!(lost_and_repeated(&cluster, &lines), (Vec::new(), 0));
    let ids: BTreeSet<String> = cluster.documents().into_iter().map(|document| document.id).collect();
    assert_eq!(ids.len(), lines.len());
}

#[test]
fn a_key_that_is_wrong_at_the_start_is_an_error_of_the_configuration() {
    let (place, cluster) = (Place::new(&lines(1)), Elasticsearch::start());
    cluster.state().everything = Some(401);
    let finished = place.start(&cluster, "", "").finish();
    assert_eq!(finished.code, Some(1), "{finished:?}");
    assert!(finished.said().contains("Please check the credentials"), "{finished:?}");
}
