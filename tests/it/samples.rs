//! Every file of `conf/`, run as a user would run it.

use std::collections::BTreeSet;
use std::io::Write as _;
use std::path::Path;

use ferrostash::settings::{Flag, Inputs, Settings, reference};
use ferrostash_doubles::{Elasticsearch, Stored};
use serde_json::{Value, json};

use crate::harness::{Ferrostash, Start, conf, free_port, root, sample};

/// The JSON lines of a file that is being written; an unfinished last line is left out.
fn json_lines(path: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    let finished = text.rsplit_once('\n').map_or("", |(lines, _)| lines);
    finished.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Waits until a file has `count` JSON lines.
fn wait_for_lines(process: &mut Ferrostash, path: &Path, count: usize) -> Vec<Value> {
    process.wait(|_| Some(json_lines(path)).filter(|lines| lines.len() >= count))
}

fn with<'a>(events: &'a [Value], pointer: &str, value: &Value) -> Vec<&'a Value> {
    events.iter().filter(|event| event.pointer(pointer) == Some(value)).collect()
}

/// The one event in which `pointer` has this value.
fn one<'a>(events: &'a [Value], pointer: &str, value: impl Into<Value>) -> &'a Value {
    let value = value.into();
    let found = with(events, pointer, &value);
    assert_eq!(found.len(), 1, "{pointer} = {value} in {events:#?}");
    found[0]
}

fn has_tag(event: &Value, tag: &str) -> bool {
    event["tags"].as_array().is_some_and(|tags| tags.contains(&json!(tag)))
}

#[test]
fn every_sample_passes_the_check() {
    let samples = std::fs::read_dir(root().join("conf")).unwrap().map(|entry| entry.unwrap().path());
    let samples: Vec<_> = samples.filter(|path| path.extension().is_some_and(|e| e == "conf")).collect();
    assert!(samples.len() >= 5);
    for path in samples {
        let finished = Start::plain(&["-t", "-f"]).arg(&path).finish();
        assert_eq!(finished.code, Some(0), "{finished:?}");
        assert!(finished.stdout.contains("Configuration OK"), "{finished:?}");
    }
}

#[test]
fn demo_takes_three_kinds_of_lines_apart() {
    // demo.conf reads demo.log.
    let start = Start::pipeline(&["-f", "conf/demo.conf"]);
    let copy = start.folder().join("demo.json");
    let mut process = start.env("FERROSTASH_OUT", &copy).start();
    let events = wait_for_lines(&mut process, &copy, 10);

    let access = one(&events, "/user_agent/original", "curl/8.5.0");
    assert_eq!(access["@timestamp"], "2025-11-14T08:15:27.000Z");
    assert_eq!(access["source"]["address"], "198.51.100.230");
    assert_eq!(access["http"]["response"]["status_code"], 404);
    assert_eq!(access["http"]["response"]["body"]["bytes"], 196);
    assert_eq!(access["event"]["dataset"], "shop.access");
    assert!(access.get("timestamp").is_none() && access.get("tags").is_none());

    let failed = one(&events, "/http/response/status_code", 502);
    assert!(has_tag(failed, "server_error"));
    assert_eq!(failed["user"]["name"], "anna");

    let payment = one(&events, "/log/logger", "shop.payment");
    assert_eq!(payment["@timestamp"], "2025-11-14T08:15:12.077Z");
    assert_eq!(payment["log"]["level"], "ERROR");
    assert_eq!(payment["event"]["duration_ms"], 5003);
    assert_eq!(payment["error"], json!({"type": "TimeoutError", "retry": true}));
    assert!(has_tag(payment, "program_error"));

    let stock = one(&events, "/log/logger", "shop.stock");
    assert_eq!(stock["@timestamp"], "2025-11-14T08:15:20.250Z");
    assert_eq!(stock["message"], "Größe unbekannt: 灯 4");

    let unreadable = with(&events, "/event/dataset", &json!("shop.unreadable"));
    let tags: BTreeSet<_> = unreadable.iter().map(|event| event["tags"][0].as_str().unwrap()).collect();
    assert_eq!(tags, BTreeSet::from(["_grokparsefailure", "_jsonparsefailure"]));
    for event in unreadable {
        assert_eq!(event["message"], event["event"]["original"]);
    }
    assert!(with(&events, "/url/original", &json!("/healthz")).is_empty());
    assert_eq!(events.len(), 10);

    let (status, stats) = process.get("/_node/stats/events");
    assert_eq!(status, 200);
    let stats: Value = serde_json::from_str(&stats).unwrap();
    assert_eq!((&stats["events"]["in"], &stats["events"]["out"]), (&json!(11), &json!(10)));
    assert!(process.stop().stdout.contains("shop.payment"), "rubydebug on standard output");
}

#[test]
fn python_libraries_come_out_alike() {
    // python-tcp.conf with the lines of python-tcp.jsonl.
    let (elasticsearch, port) = (Elasticsearch::start(), free_port());
    let start = Start::pipeline(&["-f", &conf("python-tcp.conf")]);
    let start = start.env("ES_HOSTS", elasticsearch.url()).env("PYTHON_TCP_HOST", "127.0.0.1");
    let mut process = start.env("PYTHON_TCP_PORT", port.to_string()).start();
    process.connect(port).write_all(sample("python-tcp.jsonl").as_bytes()).unwrap();
    let documents = process.wait(|_| elasticsearch.at_least(7));
    let events: Vec<_> = documents.iter().map(|document| document.source.clone()).collect();

    for (library, time, level, logger) in [
        ("python-logstash-async", "2025-11-14T08:00:00.123Z", "WARNING", "shop.payment"),
        ("ecs-logging", "2025-11-14T08:00:01.000Z", "INFO", "shop.cart"),
        ("structlog", "2025-11-14T08:00:02.250Z", "ERROR", "shop.stock"),
        ("loguru", "2025-11-14T08:00:03.500Z", "INFO", "shop.mail"),
        ("python-json-logger", "2025-11-14T08:00:04.750Z", "DEBUG", "shop.report"),
    ] {
        let event = one(&events, "/message", format!("{library} says hello"));
        assert_eq!(event["@timestamp"], time, "{library}");
        assert_eq!(event["log"]["level"], level, "{library}");
        assert_eq!(event["log"]["logger"], logger, "{library}");
        assert!(event.get("tags").is_none_or(|tags| tags == &json!(["shop"])), "{event}");
    }
    let old = one(&events, "/message", "python-logstash v0 says hello");
    assert_eq!(old["host"]["name"], "app2");
    assert_eq!(one(&events, "/host/name", "app1")["extra"]["order"], "o-20117");
    assert!(has_tag(one(&events, "/message", "not json at all"), "_jsonparsefailure"));
    assert!(documents.iter().any(|document| document.index == "python-logs-2025.11.14"));
    process.stop();
}

/// Starts mdaemon.conf on a folder with copies of these exports.
fn mdaemon(elasticsearch: &Elasticsearch, exports: &[&str]) -> Ferrostash {
    let start = Start::pipeline(&["-f", &conf("mdaemon.conf")]);
    for name in exports {
        start.file(&format!("logs/{name}"), sample(name));
    }
    let logs = start.folder().join("logs/MDaemon-*-Routing.log");
    start.env("MDAEMON_LOGS", logs).env("ES_HOSTS", elasticsearch.url()).start()
}

#[test]
fn mdaemon_mails_have_ids_of_their_own() {
    let elasticsearch = Elasticsearch::start();
    let mut process = mdaemon(&elasticsearch, &["MDaemon-2025-06-07-Routing.log"]);
    let documents = process.wait(|_| elasticsearch.at_least(4));
    let mail = |id: &str| documents.iter().find(|document| document.id == id).unwrap();

    let report = mail("<20250607000012.4F1A@mail.example.com>");
    // Midnight in Shanghai is the day before in UTC.
    assert_eq!(report.index, "mail-logs-2025.06.06");
    assert_eq!(report.source["@timestamp"], "2025-06-06T16:00:12.000Z");
    assert_eq!(report.source["subject"], "月度报告");
    assert_eq!(report.source["mail_size"], 123_123);
    assert_eq!(report.source["file_path"], r"z:\mdaemon\queues\local\pd50000000001.msg");
    assert_eq!(report.source["log_type"], "mail_routing");
    assert_eq!(report.source["from_tips"], Value::Null);
    for gone in ["message", "host", "log", "event", "size", "message-id"] {
        assert!(report.source.get(gone).is_none(), "{gone}");
    }
    assert_eq!(mail("<20250607.998@news.example.net>").index, "mail-logs-2025.06.07");

    let bounce =
        documents.iter().find(|document| document.source["from"] == "postmaster@example.net").unwrap();
    let id = &bounce.id;
    let subject = bounce.source["file_path"].as_str().unwrap();
    assert!(id.contains("postmaster@example.net") && id.contains(subject), "{id}");
    assert!(has_tag(&bounce.source, "no_message_id"));
    process.stop();
}

#[test]
fn mdaemon_exports_may_be_cut_and_rewritten() {
    let elasticsearch = Elasticsearch::start();
    let name = "MDaemon-2025-06-08-Routing.log";
    assert!(!sample(name).ends_with('\n'));
    let mut process = mdaemon(&elasticsearch, &[name]);
    let documents = process.wait(|_| elasticsearch.at_least(3));
    let is_unreadable = |document: &&Stored| document.index == "mail-logs-unreadable";
    let cut: Vec<_> = documents.iter().filter(is_unreadable).collect();
    assert_eq!(cut.len(), 1);
    assert_eq!(cut[0].source["message"], r#"8.msg", "to_addr": "local"}"#);

    // The day goes on: the export is written anew, and the line that had no end now has one.
    let more = format!("{}\n", sample(name));
    std::fs::write(process.folder().join("logs").join(name), more).unwrap();
    let last = |document: &Stored| document.source["subject"] == "last mail of the export";
    let documents = process.wait(|_| Some(elasticsearch.documents()).filter(|all| all.iter().any(last)));
    assert!(
        documents.iter().all(|document| document.has_own_id),
        "read again or not, a line is one document"
    );
    let unreadable = documents.iter().filter(is_unreadable).count();
    assert_eq!((documents.len(), unreadable), (4, 1));
    process.stop();
}

#[test]
fn json_lines_into_opensearch() {
    // opensearch.conf with the lines of shop.jsonl.
    let opensearch = Elasticsearch::start();
    let version = json!({"number": "2.19.6", "distribution": "opensearch"});
    opensearch.state().root = Some((200, json!({"version": version})));
    opensearch.state().hides_product = true;
    let start = Start::pipeline(&["-f", &conf("opensearch.conf")]);
    start.file("logs/shop.jsonl", sample("shop.jsonl"));
    let logs = start.folder().join("logs/*.jsonl");
    let start = start.env("SHOP_LOGS", logs).env("OS_HOSTS", opensearch.url());
    let mut process = start.env("OS_USER", "shipper").env("OS_PASSWORD", "s3cret").start();
    let documents = process.wait(|_| opensearch.at_least(3));
    let events: Vec<_> = documents.iter().map(|document| document.source.clone()).collect();

    let paid = one(&events, "/event/id", "e-1001");
    assert_eq!(paid["@timestamp"], "2025-11-14T22:59:59.250Z");
    assert_eq!(paid["log"]["level"], "INFO");
    assert_eq!(paid["order"], json!({"id": "o-20117", "amount": 49.9}));
    let place = |id: &str| documents.iter().find(|document| document.id == id).unwrap().index.clone();
    assert_eq!((place("e-1001"), place("e-1003")), ("shop-2025.11.14".into(), "shop-2025.11.15".into()));
    let unreadable = documents.iter().find(|document| document.index == "shop-unreadable").unwrap();
    assert_eq!(unreadable.source["message"], "Traceback (most recent call last):");
    assert_eq!(documents.len(), 3);
    let bulks = opensearch.bulks();
    assert!(
        bulks.iter().all(|bulk| bulk.headers["authorization"] == "Basic c2hpcHBlcjpzM2NyZXQ="),
        "{bulks:?}"
    );
    assert!(!process.stop().said().contains("s3cret"));
}

#[test]
fn apache_logs_of_both_kinds() {
    let elasticsearch = Elasticsearch::start();
    let start = Start::pipeline(&["-f", &conf("apache.conf")]);
    for name in ["apache-access.log", "apache-error.log"] {
        start.file(&format!("logs/{name}"), sample(name));
    }
    let logs = start.folder().join("logs/*.log");
    let mut process = start.env("APACHE_LOGS", logs).env("ES_HOSTS", elasticsearch.url()).start();
    let documents = process.wait(|_| elasticsearch.at_least(6));
    let events: Vec<_> = documents.iter().map(|document| document.source.clone()).collect();

    let put = one(&events, "/url/original", "/dav/plan.ods");
    assert_eq!(put["source"]["address"], "2001:db8::7");
    assert_eq!(put["user"]["name"], "joerg");
    assert_eq!(put["@timestamp"], "2025-11-14T10:00:02.000Z");
    let proxy = one(&events, "/apache/error/module", "proxy");
    assert_eq!(proxy["@timestamp"], "2025-11-14T10:00:03.250Z");
    assert_eq!(proxy["log"]["level"], "error");
    assert!(proxy["message"].as_str().unwrap().starts_with("http: attempt to connect"), "{proxy}");
    assert!(events.iter().all(|event| event.get("tags").is_none()), "{events:#?}");
    assert!(documents.iter().all(|document| document.index == "apache-2025.11.14"));
    process.stop();
}

/// With Kafka: `tests/e2e/kafka.rs`.
#[test]
fn a_member_of_a_tier_waits_for_brokers_and_stops_when_asked() {
    // kafka-tier.conf with nobody at the broker's port.
    let start = Start::pipeline(&["-f", &conf("kafka-tier.conf")]);
    let mut process = start.env("KAFKA_SERVERS", format!("127.0.0.1:{}", free_port())).start();
    process.wait_for("Connection refused");
    assert_eq!(process.get("/_node/stats/pipelines/main").0, 200);
    process.stop();
}

#[test]
fn syslog_over_tcp_and_from_a_file() {
    let port = free_port();
    let start = Start::pipeline(&["-f", &conf("syslog.conf")]);
    let unreadable = start.folder().join("unreadable.json");
    let lines = sample("syslog.log");
    let lines: Vec<_> = lines.lines().collect();
    let file = start.file("file.log", format!("{}\n", lines[4..].join("\n")));
    let start = start.env("SYSLOG_HOST", "127.0.0.1").env("SYSLOG_PORT", port.to_string());
    let mut process = start.env("SYSLOG_FILES", file).env("SYSLOG_UNREADABLE", &unreadable).start();
    let mut tcp = process.connect(port);
    tcp.write_all(format!("{}\n", lines[..4].join("\n")).as_bytes()).unwrap();
    assert_eq!(wait_for_lines(&mut process, &unreadable, 1)[0]["message"], "this is no syslog line");
    let events: Vec<Value> = process.wait(|process| {
        let events = process.stdout().lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
        Some(events).filter(|events: &Vec<Value>| events.len() >= 5)
    });

    let su = one(&events, "/process/name", "su");
    assert_eq!(su["message"], "'su root' failed for lonvick on /dev/pts/8");
    assert_eq!(su["host"]["hostname"], "mymachine");
    assert_eq!(su["process"]["pid"], 4120);
    assert_eq!(su["log"]["syslog"]["priority"], 34);
    assert!(su["@timestamp"].as_str().unwrap().ends_with("-10-11T22:14:15.000Z"));
    let shop = one(&events, "/event/code", "ID47");
    assert_eq!(shop["@timestamp"], "2025-11-14T22:14:15.003Z");
    assert_eq!(shop["message"], "order o-20117 stored");
    assert_eq!(one(&events, "/message", "up again")["@timestamp"], "2025-11-14T22:14:16.000Z");
    assert_eq!(one(&events, "/message", "checkpoint complete")["process"]["pid"], 991);
    assert_eq!(one(&events, "/process/name", "cron")["host"]["hostname"], "192.0.2.99");
    process.stop();
}

/// The lines of a sample that are a setting behind `# `, without that.
fn switched_off(text: &str) -> Vec<(&str, &str)> {
    let name = |c: char| c.is_ascii_lowercase() || c == '.' || c == '_';
    text.lines()
        .filter_map(|line| line.strip_prefix("# ")?.split_once(':'))
        .filter(|(key, _)| key.chars().all(name))
        .map(|(key, value)| (key, value.trim()))
        .collect()
}

#[test]
fn logstash_yml_shows_the_defaults() {
    let text = std::fs::read_to_string(root().join("conf/logstash.yml")).unwrap();
    let shown = switched_off(&text);
    assert!(shown.len() > 25, "{shown:?}");
    for (name, value) in &shown {
        let setting = reference().find(|setting| setting.name == *name).unwrap_or_else(|| panic!("{name}"));
        if let Some(default) = setting.default {
            assert_eq!(value.trim_matches('"'), default, "{name}");
        }
    }

    // And all of them switched on are a file that is accepted.
    let folder = tempfile::tempdir().unwrap();
    let on: String = shown.iter().map(|(name, value)| format!("{name}: {value}\n")).collect();
    std::fs::write(folder.path().join("logstash.yml"), on).unwrap();
    let settings = folder.path().display().to_string();
    let flag = Flag { setting: "path.settings".into(), value: settings, flag: "--path.settings".into() };
    let loaded = Settings::load(&Inputs { flags: vec![flag], ..Inputs::default() }).unwrap();
    assert!(loaded.warnings.is_empty(), "{:?}", loaded.warnings);
}

#[test]
fn pipelines_yml_is_right_once_switched_on() {
    let text = std::fs::read_to_string(root().join("conf/pipelines.yml")).unwrap();
    let entry = |line: &str| {
        line.starts_with("# - ") || line.starts_with("#   ") && !line.contains("--path.settings")
    };
    let on: String =
        text.lines().filter(|line| entry(line)).map(|line| format!("{}\n", &line[2..])).collect();
    let start = Start::plain(&["-t"]);
    start.file("config/pipelines.yml", &on);
    let finished = start.finish();
    assert_eq!(finished.code, Some(0), "{finished:?}");
    assert!(finished.stdout.contains("Configuration OK"), "{finished:?}");
}
