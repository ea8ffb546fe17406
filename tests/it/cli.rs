//! The command line: what is printed, what is refused, and the exit codes.

use crate::harness::{Finished, Start};

fn refused(start: Start, words: &[&str]) -> Finished {
    let finished = start.finish();
    assert_eq!(finished.code, Some(1), "{finished:?}");
    for word in words {
        let said = format!("{}{}", finished.stdout, finished.stderr);
        assert!(said.contains(word), "`{word}` is not in:\n{said}");
    }
    finished
}

#[test]
fn version_is_one_line() {
    for flag in ["-V", "--version"] {
        let finished = Start::plain(&[flag]).finish();
        assert_eq!(finished.code, Some(0));
        assert_eq!(
            finished.stdout,
            concat!("ferrostash ", env!("CARGO_PKG_VERSION"), " (Logstash 9.5.2 compatible)\n")
        );
        assert_eq!(finished.stderr, "");
    }
}

#[test]
fn help_names_the_flags() {
    for flag in ["-h", "--help"] {
        let finished = Start::plain(&[flag]).finish();
        assert_eq!(finished.code, Some(0));
        for flag in
            ["-f, --path.config", "-t, --config.test_and_exit", "-w, --pipeline.workers", "--api.http.port"]
        {
            assert!(finished.stdout.contains(flag), "{flag}");
        }
    }
}

#[test]
fn an_unknown_flag_is_refused_with_a_guess() {
    let words = ["ERROR: Unrecognised option '--pipline.workers'", "did you mean '--pipeline.workers'?"];
    let finished = refused(Start::plain(&["--pipline.workers", "2", "-e", ""]), &words);
    assert_eq!(finished.stdout, "");
}

#[test]
fn a_file_without_its_flag_is_refused_with_advice() {
    refused(Start::plain(&["demo.conf"]), &["Unknown command 'demo.conf'", "ferrostash -f demo.conf"]);
}

#[test]
fn a_flag_with_a_bad_value_is_refused() {
    for arguments in [["-w", "0"], ["-w", "many"], ["--log.level", "loud"], ["--api.http.port", "70000"]] {
        refused(Start::plain(&arguments).arg("-e").arg("input {}"), &[arguments[1]]);
    }
}

#[test]
fn e_and_f_exclude_each_other() {
    refused(
        Start::plain(&["-e", "input {}", "-f", "x.conf"]),
        &["'path.config' (-f)", "'config.string' (-e)"],
    );
}

#[test]
fn an_unknown_setting_is_shown_with_its_place() {
    let start = Start::plain(&["-e", "input {}"]);
    start.file("config/logstash.yml", "pipeline:\n  workers: 1\n  batch.sise: 10\n");
    let words =
        ["logstash.yml:3:3", "unknown setting `pipeline.batch.sise`", "did you mean `pipeline.batch.size`?"];
    refused(start, &words);
}

#[test]
fn all_bad_settings_are_reported_at_once() {
    let start = Start::plain(&["-w", "none"]).env("PIPELINE_BATCH_SIZE", "-3");
    start.file("config/logstash.yml", "config.reload.interval: 3\nlog.format: xml\n");
    refused(start, &["config.reload.interval", "log.format", "PIPELINE_BATCH_SIZE", "--pipeline.workers"]);
}
