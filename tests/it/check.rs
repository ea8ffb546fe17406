//! `-t`: what is found in a configuration without running it.

use std::net::TcpListener;

use crate::harness::{Finished, Start};

/// Checks a file of this text, named `broken.conf`.
fn check(text: &str) -> Finished {
    let start = Start::plain(&["-t", "-f"]);
    let path = start.file("broken.conf", text);
    start.arg(path).finish()
}

/// What `-t` says about a text that it has to refuse.
fn refused(text: &str) -> String {
    let finished = check(text);
    assert_eq!(finished.code, Some(1), "{finished:?}");
    assert!(!finished.stdout.contains("Configuration OK"), "{finished:?}");
    format!("{}{}", finished.stdout, finished.stderr)
}

fn says(text: &str, words: &[&str]) {
    let said = refused(text);
    for word in words {
        assert!(said.contains(word), "`{word}` is not in:\n{said}");
    }
}

#[test]
fn a_good_configuration_is_ok() {
    let finished =
        check("input { stdin {} } filter { mutate { add_tag => [ \"seen\" ] } } output { stdout {} }\n");
    assert_eq!(finished.code, Some(0), "{finished:?}");
    assert!(finished.stdout.contains("Configuration OK"), "{finished:?}");
}

#[test]
fn the_engine_of_each_pattern_is_told() {
    let text = r#"
input { stdin { codec => multiline { id => "stack" pattern => "^\s" what => "previous" } } }
filter {
  if [message] =~ /^(["']).*\1$/ { drop { } }
  grok { id => "web" match => { "message" => ["%{COMBINEDAPACHELOG}", "(?<q>['`])x\k<q>"] } }
  mutate { id => "clean" gsub => ["message", "\d+", "N", "message", "(a)\1", ""] }
}
"#;
    let start = Start::plain(&["-t", "--log.level", "debug", "-f"]);
    let path = start.file("patterns.conf", text);
    let finished = start.arg(path).finish();
    assert_eq!(finished.code, Some(0), "{finished:?}");
    let told: Vec<&str> =
        finished.stdout.lines().filter(|line| line.contains("A pattern was compiled.")).collect();
    assert_eq!(told.len(), 6, "{told:#?}");
    let says = |words: &[&str]| {
        let found = told.iter().filter(|line| words.iter().all(|word| line.contains(word))).count();
        assert_eq!(found, 1, "{words:?} in {told:#?}");
    };
    let exact = r#"engine: "exact", reason: "back-references""#;
    says(&["stack", r#"engine: "own""#]);
    says(&["patterns.conf:4:", exact]);
    says(&["web", "COMBINEDAPACHELOG", r#"engine: "own""#]);
    says(&["web", exact]);
    says(&["clean", r#"engine: "own""#]);
    says(&["clean", exact]);
    let quiet = check(text);
    assert!(!quiet.stdout.contains("A pattern was compiled."), "{quiet:?}");
}

#[test]
fn a_syntax_error_has_a_place() {
    says("input { stdin {} }\nfilter {\n  mutate { add_tag = [ \"a\" ] }\n}\n", &["broken.conf:3:", "=>"]);
}

#[test]
fn an_unknown_option_has_a_place_and_a_guess() {
    let words = ["broken.conf:3:5", "did you mean `rename`?", "Unknown setting 'renam' for mutate"];
    says("filter {\n  mutate {\n    renam => { \"a\" => \"b\" }\n  }\n}\n", &words);
}

#[test]
fn an_unknown_plugin_has_a_place_and_a_guess() {
    says("filter {\n  mutat { }\n}\n", &["broken.conf:2:3", "did you mean `mutate`?", "mutat"]);
}

#[test]
fn all_mistakes_are_reported_at_once() {
    let text = "filter {\n  mutate { renam => {} }\n  grok { match => { \"message\" => \"%{NOPATTERN:x}\" } }\n  nosuch { }\n}\n";
    says(text, &["renam", "NOPATTERN", "nosuch"]);
}

#[test]
fn a_variable_without_value_is_refused() {
    says("output { stdout { id => \"${NOBODY_SETS_THIS}\" } }\n", &["NOBODY_SETS_THIS", "broken.conf:1:"]);
}

#[test]
fn a_missing_file_is_refused() {
    let finished = Start::plain(&["-t", "-f", "no/such/file.conf"]).finish();
    assert_eq!(finished.code, Some(1), "{finished:?}");
}

#[test]
fn nothing_is_bound_or_written() {
    let port = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let taken = port.local_addr().unwrap().port();
    let start = Start::plain(&["-t", "-f"]);
    let written = start.folder().join("written.json");
    let text = format!(
        "input {{ tcp {{ port => {taken} host => \"127.0.0.1\" }} }} output {{ file {{ path => \"{}\" }} }}\n",
        written.display()
    );
    let path = start.file("good.conf", &text);
    let process = start.arg(path).start();
    let finished = process.finish_then(|| assert!(!written.exists()));
    assert_eq!(finished.code, Some(0), "{finished:?}");
}
