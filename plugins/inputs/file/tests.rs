//! The input as users write it, on real files.

use crate::PLUGINS;
use ferrostash_conf::Options;
use ferrostash_event::{Event, FieldRef, Timestamp};
use ferrostash_plugin::testing::{Harness, RunningInput, TEST_PATIENCE};
use ferrostash_plugin::{
    BuildContext, BuildResult, Chunk, Codec, CodecPlugin, Ecs, EncodeError, EventSink, PluginDef, codec,
};
use flate2::{Compression, write::GzEncoder};
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// A directory with the files of one test.
struct Logs(TempDir);

impl Logs {
    fn new() -> Logs {
        Logs(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn write(&self, name: &str, text: impl AsRef<[u8]>) {
        fs::create_dir_all(self.path(name).parent().unwrap()).unwrap();
        fs::write(self.path(name), text).unwrap();
    }

    fn append(&self, name: &str, text: &str) {
        let mut file = OpenOptions::new().append(true).create(true).open(self.path(name)).unwrap();
        file.write_all(text.as_bytes()).unwrap();
    }

    fn rename(&self, from: &str, to: &str) {
        fs::rename(self.path(from), self.path(to)).unwrap();
    }

    fn harness(&self) -> Harness {
        let data = self.path("data");
        Harness::new(PLUGINS).pipeline(|pipeline| pipeline.path_data = data)
    }

    /// `$` in the options stands for the directory.
    fn options(&self, options: &str) -> String {
        let options = options.replace('$', &self.0.path().display().to_string());
        format!("file {{ stat_interval => \"20ms\" discover_interval => 2 {options} }}")
    }

    async fn run_with(&self, harness: Harness, options: &str) -> RunningInput {
        harness.input(&self.options(options)).unwrap().spawn().await.unwrap()
    }

    async fn run(&self, options: &str) -> RunningInput {
        self.run_with(self.harness(), options).await
    }

    /// Runs until it ends by itself; gives the messages.
    async fn read_all(&self, options: &str) -> Vec<String> {
        let options = format!("mode => read exit_after_read => true {options}");
        let mut input = self.run(&options).await;
        let mut events = Vec::new();
        let collect = async {
            loop {
                tokio::select! {
                    biased;
                    Some(chunk) = input.chunks.recv() => events.extend(chunk.into_events()),
                    ended = &mut input.task => return ended.unwrap().unwrap(),
                }
            }
        };
        tokio::time::timeout(TEST_PATIENCE, collect).await.unwrap();
        messages(&events)
    }

    fn sincedb(&self) -> String {
        let directory = self.path("data/plugins/inputs/file");
        let file = fs::read_dir(directory).unwrap().next().unwrap().unwrap();
        assert!(file.file_name().to_string_lossy().starts_with(".sincedb_"));
        fs::read_to_string(file.path()).unwrap()
    }
}

const BEGIN: &str = "path => '$/*.log' start_position => beginning";

fn message(event: &Event) -> String {
    event.get_str(&FieldRef::literal("message")).unwrap_or("<none>").to_owned()
}

fn events_of(chunk: &Chunk) -> Vec<Event> {
    let mut events = chunk.events.clone();
    if let Some(lines) = &chunk.lines {
        lines.make_events(&mut events);
    }
    events
}

fn messages(events: &[Event]) -> Vec<String> {
    events.iter().map(message).collect()
}

async fn next(input: &mut RunningInput, count: usize) -> Vec<String> {
    messages(&input.events(count).await)
}

/// Nothing comes for some looks.
async fn silence(input: &mut RunningInput) {
    let chunk = tokio::time::timeout(Duration::from_millis(150), input.chunks.recv()).await;
    assert!(chunk.is_err(), "{chunk:?}");
}

async fn until(mut condition: impl FnMut() -> bool) {
    let begin = Instant::now();
    while !condition() {
        assert!(begin.elapsed() < Duration::from_secs(10), "in vain");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

fn gzip(text: &str) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(text.as_bytes()).unwrap();
    encoder.finish().unwrap()
}

// --- tail

#[tokio::test]
async fn lines_are_followed_as_they_come() {
    let logs = Logs::new();
    logs.write("a.log", "old\n");
    let mut input = logs.run("path => '$/a.log'").await;
    silence(&mut input).await;
    logs.append("a.log", "one\r\n\nthree\nunfinish");
    assert_eq!(next(&mut input, 3).await, ["one\r", "", "three"]);
    silence(&mut input).await;
    logs.append("a.log", "ed\n");
    assert_eq!(next(&mut input, 1).await, ["unfinished"]);
    assert!(input.stop().await.unwrap().is_empty());
}

#[tokio::test]
async fn fields_say_where_from() {
    let logs = Logs::new();
    logs.write("a.log", "x\n");
    let path = logs.path("a.log").display().to_string();
    for (ecs, host_field, path_field, absent) in
        [(Ecs::V8, "[host][name]", "[log][file][path]", "path"), (Ecs::Disabled, "host", "path", "log")]
    {
        let options = format!("{BEGIN} type => web sincedb_path => '/dev/null'");
        let mut input = logs.run_with(logs.harness().ecs(ecs), &options).await;
        let event = input.events(1).await.remove(0);
        let get = |field: &str| event.get_str(&FieldRef::parse(field).unwrap());
        assert_eq!((get(host_field), get("[@metadata][host]")), (Some("localhost"), Some("localhost")));
        assert_eq!((get(path_field), get("[@metadata][path]")), (Some(&*path), Some(&*path)));
        assert_eq!((get("message"), get("type")), (Some("x"), Some("web")));
        assert!(!event.contains(&FieldRef::literal(absent)));
        input.stop().await.unwrap();
    }
    assert!(!logs.path("data").exists(), "no sincedb was asked for");
}

#[tokio::test]
async fn fields_of_the_event_stay() {
    let logs = Logs::new();
    logs.write("a.log", "{\"host\":\"own\",\"log\":{\"file\":{\"path\":\"else\"}}}\n");
    let mut input = logs.run(&format!("{BEGIN} codec => json")).await;
    let event = input.events(1).await.remove(0);
    let get = |field: &str| event.get_str(&FieldRef::parse(field).unwrap());
    assert_eq!((get("host"), get("[log][file][path]")), (Some("own"), Some("else")));
    assert_eq!(get("[@metadata][host]"), Some("localhost"));
    input.stop().await.unwrap();
}

#[tokio::test]
async fn new_files_are_found_and_others_left_out() {
    let logs = Logs::new();
    logs.write("a.log", "old\n");
    let mut input = logs.run("path => ['$/**/*.{log,txt}'] exclude => ['skip*']").await;
    silence(&mut input).await;
    logs.write("deep/er/b.log", "b\n");
    logs.write("deep/skip.log", "skipped\n");
    logs.write("c.gz", "not asked for\n");
    assert_eq!(next(&mut input, 1).await, ["b"], "read from its beginning, whatever start_position says");
    logs.write("deep/c.txt", "c\n");
    assert_eq!(next(&mut input, 1).await, ["c"]);
    assert!(input.stop().await.unwrap().is_empty());
}

#[tokio::test]
async fn rotation_by_rename_loses_nothing() {
    let logs = Logs::new();
    logs.write("a.log", "1\n");
    let mut input = logs.run("path => '$/a.log' start_position => beginning").await;
    assert_eq!(next(&mut input, 1).await, ["1"]);
    // The program goes on writing into the renamed file for a while.
    let mut old = OpenOptions::new().append(true).open(logs.path("a.log")).unwrap();
    old.write_all(b"2\n").unwrap();
    logs.rename("a.log", "a.log.1");
    logs.write("a.log", "3\n");
    let mut got = next(&mut input, 2).await;
    got.sort();
    assert_eq!(got, ["2", "3"]);
    old.write_all(b"4\n").unwrap();
    assert_eq!(next(&mut input, 1).await, ["4"]);
    logs.append("a.log", "5\n");
    assert_eq!(next(&mut input, 1).await, ["5"]);
    // Nobody will end this line any more.
    old.write_all(b"6 unended").unwrap();
    assert_eq!(next(&mut input, 1).await, ["6 unended"]);
    assert!(input.stop().await.unwrap().is_empty());
}

#[tokio::test]
async fn rotations_while_the_queue_is_full_are_seen() {
    let logs = Logs::new();
    logs.write("a.log", "A\n".repeat(50_000));
    let mut input = logs.run("path => '$/a.log' start_position => beginning").await;
    for (old, text) in [("a.1", "B\n"), ("a.2", "C\n"), ("elsewhere/a.3", "D\n")] {
        tokio::time::sleep(Duration::from_millis(100)).await;
        fs::create_dir_all(logs.path("elsewhere")).unwrap();
        logs.rename("a.log", old);
        logs.write("a.log", text);
    }
    let mut got = next(&mut input, 50_003).await;
    got.sort();
    assert_eq!(got[49_999..], ["A", "B", "C", "D"]);
    assert!(input.stop().await.unwrap().is_empty());
}

#[tokio::test]
async fn a_renamed_file_is_not_read_again() {
    let logs = Logs::new();
    logs.write("a.log", "1\n");
    let mut input = logs.run(&BEGIN.replace("*.log", "*.log*")).await;
    assert_eq!(next(&mut input, 1).await, ["1"]);
    for (round, next_line) in ["2", "3", "4"].iter().enumerate() {
        logs.rename("a.log", &format!("a.log.{round}"));
        logs.write("a.log", format!("{next_line}\n"));
        assert_eq!(next(&mut input, 1).await, [*next_line]);
    }
    logs.append("a.log.0", "late\n");
    assert_eq!(next(&mut input, 1).await, ["late"]);
    silence(&mut input).await;
    assert!(input.stop().await.unwrap().is_empty());
}

#[tokio::test]
async fn truncated_and_rewritten_files_are_read_from_their_beginning() {
    let logs = Logs::new();
    logs.write("a.log", "1\n2\n3\n");
    let mut input = logs.run(BEGIN).await;
    assert_eq!(next(&mut input, 3).await, ["1", "2", "3"]);
    logs.write("a.log", "4\n");
    assert_eq!(next(&mut input, 1).await, ["4"]);
    logs.write("a.log", "longer than all that was there before\n");
    assert_eq!(next(&mut input, 1).await, ["longer than all that was there before"]);
    logs.write("a.log", "longer than all that was there BEFORE\n");
    assert_eq!(next(&mut input, 1).await, ["longer than all that was there BEFORE"], "of the same size");
    // copytruncate, and the program goes on.
    fs::copy(logs.path("a.log"), logs.path("copy")).unwrap();
    OpenOptions::new().write(true).open(logs.path("a.log")).unwrap().set_len(0).unwrap();
    logs.append("a.log", "5\n");
    assert_eq!(next(&mut input, 1).await, ["5"]);
    // A rewrite that begins with the same text goes on where it was.
    logs.write("a.log", "5\n6\n");
    assert_eq!(next(&mut input, 1).await, ["6"]);
    assert!(input.stop().await.unwrap().is_empty());
}

#[tokio::test]
async fn deleted_files_come_back_as_new_ones() {
    let logs = Logs::new();
    logs.write("a.log", "1\n");
    let mut input = logs.run(BEGIN).await;
    assert_eq!(next(&mut input, 1).await, ["1"]);
    for line in ["2", "3"] {
        fs::remove_file(logs.path("a.log")).unwrap();
        tokio::time::sleep(Duration::from_millis(60)).await;
        logs.write("a.log", format!("{line}\n"));
        assert_eq!(next(&mut input, 1).await, [line]);
    }
    input.stop().await.unwrap();
}

#[tokio::test]
async fn closed_files_are_opened_again() {
    let logs = Logs::new();
    for name in ["a.log", "b.log", "c.log"] {
        logs.write(name, format!("{name}\n"));
    }
    let options = format!("{BEGIN} close_older => '30ms' max_open_files => 1 file_sort_by => path");
    let mut input = logs.run(&options).await;
    assert_eq!(next(&mut input, 3).await, ["a.log", "b.log", "c.log"]);
    tokio::time::sleep(Duration::from_millis(120)).await;
    logs.append("b.log", "b2\n");
    assert_eq!(next(&mut input, 1).await, ["b2"]);
    tokio::time::sleep(Duration::from_millis(120)).await;
    // What came between the last look and the rename is found in the same directory.
    logs.append("b.log", "b3\n");
    logs.rename("b.log", "b.old");
    assert_eq!(next(&mut input, 1).await, ["b3"]);
    input.stop().await.unwrap();
}

#[tokio::test]
async fn old_files_wait_until_they_change() {
    let logs = Logs::new();
    logs.write("a.log", "old\n");
    let hour_ago = std::time::SystemTime::now() - Duration::from_secs(3600);
    OpenOptions::new().write(true).open(logs.path("a.log")).unwrap().set_modified(hour_ago).unwrap();
    let mut input = logs.run(&format!("{BEGIN} ignore_older => '10 min'")).await;
    silence(&mut input).await;
    logs.append("a.log", "new\n");
    assert_eq!(next(&mut input, 1).await, ["new"]);
    input.stop().await.unwrap();
}

#[tokio::test]
async fn unreadable_files_and_directories_don_t_stop_the_others() {
    use std::os::unix::fs::PermissionsExt;
    let logs = Logs::new();
    logs.write("locked.log", "secret\n");
    logs.write("dir/x.log", "x\n");
    logs.write("a.log", "a\n");
    let lock =
        |name: &str, mode| fs::set_permissions(logs.path(name), fs::Permissions::from_mode(mode)).unwrap();
    lock("locked.log", 0);
    lock("dir", 0);
    // The superuser can read everything.
    let is_root = fs::read(logs.path("locked.log")).is_ok();
    let mut input = logs.run("path => ['$/*.log', '$/*/*.log'] start_position => beginning").await;
    let got = next(&mut input, if is_root { 3 } else { 1 }).await;
    assert!(got.contains(&"a".to_owned()), "{got:?}");
    lock("locked.log", 0o600);
    lock("dir", 0o700);
    if !is_root {
        let mut later = next(&mut input, 2).await;
        later.sort();
        assert_eq!(later, ["secret", "x"]);
    }
    input.stop().await.unwrap();
}

#[tokio::test]
async fn links_are_one_file() {
    let logs = Logs::new();
    logs.write("a.log", "1\n");
    fs::hard_link(logs.path("a.log"), logs.path("b.log")).unwrap();
    std::os::unix::fs::symlink(logs.path("a.log"), logs.path("c.log")).unwrap();
    let mut input = logs.run(BEGIN).await;
    assert_eq!(next(&mut input, 1).await, ["1"]);
    silence(&mut input).await;
    // A link that is set to another file is a rotation.
    logs.write("other", "2\n");
    fs::remove_file(logs.path("c.log")).unwrap();
    std::os::unix::fs::symlink(logs.path("other"), logs.path("c.log")).unwrap();
    assert_eq!(next(&mut input, 1).await, ["2"]);
    input.stop().await.unwrap();
}

// --- lines

#[tokio::test]
async fn delimiters_of_several_bytes() {
    let logs = Logs::new();
    logs.write("a.log", "a\nb<|>c<|><|>d<");
    let mut input = logs.run(&format!("{BEGIN} delimiter => '<|>'")).await;
    assert_eq!(next(&mut input, 3).await, ["a\nb", "c", ""]);
    logs.append("a.log", "|>");
    assert_eq!(next(&mut input, 1).await, ["d"]);
    input.stop().await.unwrap();
}

#[tokio::test]
async fn long_lines_are_cut_and_tagged() {
    let logs = Logs::new();
    let max = super::reader::LINE_BYTES_MAX;
    let mut text = vec![b'x'; max + 3];
    text.extend_from_slice(b"\nnext\n");
    text.extend_from_slice(&vec![b'y'; 700_000]);
    logs.write("a.log", &text);
    let mut input = logs.run(BEGIN).await;
    let events = input.events(2).await;
    assert_eq!(message(&events[0]).len(), max);
    let tags = |event: &Event| event.get(&FieldRef::literal("tags")).is_some();
    assert!(tags(&events[0]) && !tags(&events[1]));
    assert_eq!(message(&events[1]), "next");
    silence(&mut input).await;
    logs.append("a.log", "!\n");
    let line = next(&mut input, 1).await.remove(0);
    assert_eq!((line.len(), line.ends_with("y!")), (700_001, true));
    input.stop().await.unwrap();
}

#[tokio::test]
async fn every_line_of_a_large_file_comes_once_and_in_order() {
    let logs = Logs::new();
    let lines: Vec<String> = (0..50_000).map(|i| format!("{i} {}", "-".repeat(i % 97))).collect();
    logs.write("a.log", lines.join("\n") + "\n");
    let mut input = logs.run(BEGIN).await;
    assert_eq!(next(&mut input, lines.len()).await, lines);
    input.stop().await.unwrap();
}

#[tokio::test]
async fn files_take_turns() {
    let logs = Logs::new();
    for name in ["a.log", "b.log"] {
        logs.write(name, format!("{name} 1\n{name} 2\n{name} 3\n"));
    }
    let options = "path => '$/*.log' file_sort_by => path file_sort_direction => desc file_completed_action => log \
                   file_completed_log_path => '$/done'";
    let complete = ["b.log 1", "b.log 2", "b.log 3", "a.log 1", "a.log 2", "a.log 3"];
    assert_eq!(logs.read_all(&format!("{options} sincedb_path => '/dev/null'")).await, complete);
    let bands = ["b.log 1", "a.log 1", "b.log 2", "a.log 2", "b.log 3", "a.log 3"];
    assert_eq!(logs.read_all(&format!("{options} file_chunk_size => 8 file_chunk_count => 1")).await, bands);
}

// --- what is kept

#[tokio::test]
async fn a_restart_goes_on_where_delivery_ended() {
    let logs = Logs::new();
    logs.write("a.log", "1\n2\n");
    let mut input = logs.run(BEGIN).await;
    assert_eq!(next(&mut input, 2).await, ["1", "2"]);
    input.stop().await.unwrap();
    let sincedb = logs.sincedb();
    let fields: Vec<&str> = sincedb.split_whitespace().collect();
    assert_eq!((fields[3], fields[5]), ("4", &*logs.path("a.log").display().to_string()));
    logs.append("a.log", "3\n");
    // Where the file system does not tell when a file was created, another name means another file.
    if fs::metadata(logs.path("a.log")).unwrap().created().is_ok() {
        logs.rename("a.log", "renamed.log");
    }
    let mut input = logs.run(BEGIN).await;
    assert_eq!(next(&mut input, 1).await, ["3"]);
    assert!(input.stop().await.unwrap().is_empty());
}

#[tokio::test]
async fn the_rest_of_a_file_that_was_rotated_meanwhile_is_read() {
    let logs = Logs::new();
    logs.write("a.log", "1\n");
    if fs::metadata(logs.path("a.log")).unwrap().created().is_err() {
        return;
    }
    let mut input = logs.run(BEGIN).await;
    assert_eq!(next(&mut input, 1).await, ["1"]);
    input.stop().await.unwrap();
    logs.append("a.log", "2\n");
    logs.rename("a.log", "a.old");
    logs.write("a.log", "3\n");
    let mut input = logs.run(BEGIN).await;
    let mut got = next(&mut input, 2).await;
    got.sort();
    assert_eq!(got, ["2", "3"]);
    input.stop().await.unwrap();
    let mut input = logs.run(BEGIN).await;
    silence(&mut input).await;
    input.stop().await.unwrap();
}

#[tokio::test]
async fn every_line_comes_once_through_rotations_and_restarts() {
    const LINES: usize = 20_000;
    let logs = Logs::new();
    logs.append("a.log", "");
    let directory = logs.0.path().to_owned();
    let writer = std::thread::spawn(move || {
        let path = directory.join("a.log");
        let mut file = fs::File::options().append(true).create(true).open(&path).unwrap();
        for line in 0..LINES {
            if line % 1_700 == 1_699 {
                fs::rename(&path, directory.join(format!("a.log.{line}"))).unwrap();
                writeln!(file, "{line}").unwrap();
                file = fs::File::create(&path).unwrap();
            } else {
                // In two writes: the reader sees half lines.
                write!(file, "{line} ").unwrap();
                file.write_all(b"x\n").unwrap();
            }
            if line % 50 == 0 {
                std::thread::sleep(Duration::from_millis(2));
            }
        }
    });
    let mut got = Vec::new();
    while got.len() < LINES {
        let mut input = logs.run("path => '$/a.log*' start_position => beginning").await;
        let events = input.events((LINES / 8).min(LINES - got.len())).await;
        assert!(!events.is_empty(), "{} lines are missing", LINES - got.len());
        got.extend(messages(&events));
        got.extend(messages(&input.stop().await.unwrap()));
    }
    writer.join().unwrap();
    let mut numbers: Vec<usize> =
        got.iter().map(|line| line.trim_end_matches(" x").parse().unwrap()).collect();
    numbers.sort();
    assert!(numbers.iter().copied().eq(0..LINES), "{} lines", numbers.len());
}

#[tokio::test]
async fn what_is_not_delivered_is_read_again() {
    let logs = Logs::new();
    logs.write("a.log", "1\n");
    let options = format!("{BEGIN} sincedb_write_interval => 0");
    let mut input = logs.run(&options).await;
    assert_eq!(next(&mut input, 1).await, ["1"]);
    until(|| logs.sincedb().contains(" 2 ")).await;
    logs.append("a.log", "2\n");
    let held: Chunk = input.chunks.recv().await.unwrap();
    assert_eq!(messages(&events_of(&held)), ["2"]);
    silence(&mut input).await;
    assert!(logs.sincedb().contains(" 2 "), "{}", logs.sincedb());
    // As after kill -9: the task is gone, nothing more is written.
    input.task.abort();
    let mut input = logs.run(&options).await;
    assert_eq!(next(&mut input, 1).await, ["2"]);
    input.stop().await.unwrap();
    held.abandon();
}

#[tokio::test]
async fn given_up_events_are_read_again_by_the_next_run() {
    let logs = Logs::new();
    logs.write("a.log", "1\n");
    let mut harness = logs.harness().input(&logs.options(BEGIN)).unwrap();
    harness.input.start(&harness.context).await.unwrap();
    let mut given_up = false;
    for _ in 0..2 {
        let mut run = harness.input.run(&harness.context);
        tokio::select! {
            ended = &mut run => panic!("{ended:?}"),
            chunk = harness.chunks.recv() => {
                let chunk = chunk.unwrap();
                assert_eq!(messages(&events_of(&chunk)), ["1"]);
                if std::mem::replace(&mut given_up, true) { continue; }
                chunk.abandon();
            }
        }
        assert!(run.await.unwrap_err().to_string().contains("given up"));
    }
}

#[tokio::test]
async fn a_blocked_input_stops_at_once() {
    let logs = Logs::new();
    logs.write("a.log", "line\n".repeat(100_000));
    let mut harness = logs.harness().input(&logs.options(BEGIN)).unwrap();
    harness.context.settle_time = Duration::from_millis(200);
    let input = harness.spawn().await.unwrap();
    tokio::time::sleep(Duration::from_millis(100)).await;
    let begin = Instant::now();
    input.context.shutdown.stop();
    input.task.await.unwrap().unwrap();
    assert!(begin.elapsed() < Duration::from_secs(1));
    assert!(logs.sincedb().contains(" 0 "), "nothing was delivered: {}", logs.sincedb());
}

// --- codecs that keep something

/// Lines up to an empty one are an event.
#[derive(Options, Clone, Debug)]
#[plugin(codec = "paragraph")]
struct ParagraphOptions {}

static PARAGRAPH: PluginDef = codec::<Paragraph>();

#[derive(Clone, Default)]
struct Paragraph(Vec<u8>);

impl CodecPlugin for Paragraph {
    type Options = ParagraphOptions;
    fn build(_: ParagraphOptions, _: &mut BuildContext<'_>) -> BuildResult<Self> {
        Ok(Paragraph::default())
    }
}

impl Codec for Paragraph {
    fn decode(&mut self, data: &[u8], sink: &mut EventSink<'_>) {
        if data.is_empty() {
            return self.flush(sink);
        }
        self.0.extend_from_slice(data);
        self.0.push(b';');
    }

    fn flush(&mut self, sink: &mut EventSink<'_>) {
        if !self.0.is_empty() {
            sink(Event::from_message(&String::from_utf8_lossy(&self.0), Timestamp::now()));
            self.0.clear();
        }
    }

    fn idle_flush(&self) -> Option<Duration> {
        Some(Duration::from_millis(400))
    }

    fn pending_bytes(&self) -> usize {
        self.0.len()
    }

    fn encode(&mut self, _: &Event, _: &mut Vec<u8>) -> Result<(), EncodeError> {
        Err(EncodeError("it only reads".into()))
    }
}

#[tokio::test]
async fn each_file_has_its_codec_and_positions_wait_for_it() {
    let logs = Logs::new();
    logs.write("a.log", "a1\na2\n\na3\n");
    logs.write("b.log", "b1\n");
    let harness = || {
        let data = logs.path("data");
        Harness::new(&[&super::PLUGIN, &PARAGRAPH]).pipeline(|pipeline| pipeline.path_data = data)
    };
    let options = format!("{BEGIN} codec => paragraph sincedb_write_interval => 0");
    let mut input = logs.run_with(harness(), &options).await;
    assert_eq!(next(&mut input, 1).await, ["a1;a2;"]);
    until(|| logs.sincedb().contains(" 7 ")).await;
    assert!(logs.sincedb().contains(" 0 "), "b1 is still in its codec: {}", logs.sincedb());
    let mut got = next(&mut input, 2).await;
    got.sort();
    assert_eq!(got, ["a3;", "b1;"], "after some silence");
    logs.append("b.log", "b2\n");
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(messages(&input.stop().await.unwrap()), ["b2;"], "the stop gives out the rest");
}

// --- read

#[tokio::test]
async fn read_mode_deletes_what_is_delivered() {
    let logs = Logs::new();
    logs.write("a.log", "1\n2 without end");
    logs.write("empty.log", "");
    let mut input = logs.run("path => '$/*.log' mode => read").await;
    let chunk = input.chunks.recv().await.unwrap();
    until(|| !logs.path("empty.log").exists()).await;
    assert_eq!(messages(&events_of(&chunk)), ["1"]);
    drop(chunk);
    let last = input.chunks.recv().await.unwrap();
    assert_eq!(messages(&events_of(&last)), ["2 without end"]);
    tokio::time::sleep(Duration::from_millis(60)).await;
    assert!(logs.path("a.log").exists(), "its last line is not delivered");
    drop(last);
    until(|| !logs.path("a.log").exists()).await;
    logs.write("a.log", "3\n");
    assert_eq!(next(&mut input, 1).await, ["3"], "the same name again");
    input.stop().await.unwrap();
}

#[tokio::test]
async fn a_file_that_grew_or_was_replaced_is_not_deleted_unread() {
    let logs = Logs::new();
    logs.write("a.log", "1\n");
    logs.write("b.log", "2\n");
    let mut input = logs.run("path => '$/*.log' mode => read file_sort_by => path").await;
    let chunks = [input.chunks.recv().await.unwrap(), input.chunks.recv().await.unwrap()];
    logs.append("a.log", "3\n");
    logs.rename("b.log", "b.old");
    logs.write("b.log", "4\n");
    drop(chunks);
    let mut got = next(&mut input, 2).await;
    got.sort();
    assert_eq!(got, ["3", "4"]);
    until(|| !logs.path("a.log").exists() && !logs.path("b.log").exists()).await;
    input.stop().await.unwrap();
}

#[tokio::test]
async fn completed_files_are_logged() {
    let logs = Logs::new();
    logs.write("a.log", "1\n");
    logs.write("b.log", "2\n");
    let options = "path => '$/*.log' file_completed_log_path => '$/done' file_completed_action =>";
    let mut got = logs.read_all(&format!("{options} log")).await;
    got.sort();
    assert_eq!(got, ["1", "2"]);
    let mut done: Vec<String> =
        fs::read_to_string(logs.path("done")).unwrap().lines().map(str::to_owned).collect();
    done.sort();
    assert_eq!(done, ["a.log", "b.log"].map(|name| logs.path(name).display().to_string()));
    assert!(logs.read_all(&format!("{options} log")).await.is_empty(), "they were read");
    logs.append("b.log", "3\n");
    assert_eq!(logs.read_all(&format!("{options} log_and_delete")).await, ["3"]);
    assert!(logs.path("a.log").exists() && !logs.path("b.log").exists());
}

#[tokio::test]
async fn archives_are_read_in_read_mode() {
    let logs = Logs::new();
    let good = [gzip("1\r\n2\n"), gzip("3")].concat();
    let mut bad = gzip(&"lost in part\n".repeat(1000));
    bad.truncate(bad.len() - 6);
    logs.write("a.gz", &good);
    logs.write("b.gz", &bad);
    let options = "path => '$/*.gz' file_sort_by => path check_archive_validity => true";
    assert_eq!(logs.read_all(options).await, ["1", "2", "3"]);
    assert!(!logs.path("a.gz").exists() && logs.path("b.gz").exists());
    let read = logs.read_all("path => '$/*.gz'").await;
    assert!(!read.is_empty() && read.iter().all(|line| line == "lost in part"), "what can be read is");
    assert!(logs.path("b.gz").exists());
}

// --- configuration

#[test]
fn mistakes_are_named() {
    let logs = Logs::new();
    let refused = |options: &str| logs.harness().input(&logs.options(options)).err().unwrap();
    for (options, part) in [
        ("path => 'logs/*.log'", "File paths must be absolute, relative path specified: logs/*.log"),
        ("path => '/x' exit_after_read => true", "only works when the \"mode\" is set to \"read\""),
        ("path => '/x' file_completed_action => log", "\"file_completed_log_path\" setting must be provided"),
        ("path => '/x' sincedb_path => '$'", "must point to a file, received a directory"),
        ("path => '/x' delimiter => ''", "empty delimiter"),
        ("path => '/[x'", "is no file pattern"),
        ("path => '/x' mode => follow", "[\"tail\", \"read\"]"),
        ("exclude => '*.gz'", "path"),
    ] {
        let text = refused(options);
        assert!(text.contains(part), "{text}");
    }
}

#[tokio::test]
async fn what_can_t_be_written_stops_the_start() {
    let logs = Logs::new();
    logs.write("file", "");
    let harness = logs.harness().input(&logs.options("path => '/x' sincedb_path => '$/file/db'")).unwrap();
    let error = harness.spawn().await.err().unwrap();
    assert!(error.contains("can't open the sincedb"), "{error}");
    let options =
        "path => '/x' mode => read file_completed_action => log file_completed_log_path => '$/no/log'";
    let error = logs.harness().input(&logs.options(options)).unwrap().spawn().await.err().unwrap();
    assert!(error.contains("file can't be created"), "{error}");
}

#[test]
fn the_sincedb_is_named_like_logstash_s() {
    let path = |value: &str| super::Spanned { value: value.into(), span: ferrostash_conf::Span::nowhere() };
    let name = super::default_sincedb_path(Path::new("/data"), &[path("/var/log/a"), path("/var/log/b")]);
    let name = name.display().to_string();
    assert_eq!(name, "/data/plugins/inputs/file/.sincedb_608e1ae3675a862ccf4e4057fc52a92a");
}

// --- origins

fn origins(events: &[Event]) -> Vec<String> {
    events
        .iter()
        .map(|event| event.origin().expect("the file system knows when files were created").id())
        .collect()
}

#[tokio::test]
async fn a_line_that_is_read_again_has_the_same_origin() {
    let logs = Logs::new();
    logs.write("a.log", "1\n1\n2\n");
    logs.write("a.log.gz", gzip("1\n1\n2\n"));
    let read = async |codec: &str, path: &str, count: usize| {
        let options = format!(
            "path => '$/{path}' mode => read file_completed_action => log
            file_completed_log_path => '$/done' sincedb_path => '/dev/null' {codec}"
        );
        let mut input = logs.run(&options).await;
        let origins = origins(&input.events(count).await);
        input.stop().await.unwrap();
        origins
    };
    let (lines, packed) = (read("", "a.log", 3).await, read("", "a.log.gz", 3).await);
    assert_eq!(read("", "a.log", 3).await, lines);
    assert_eq!(read("", "a.log.gz", 3).await, packed);
    let all: std::collections::HashSet<_> = lines.iter().chain(&packed).collect();
    assert_eq!(all.len(), 6, "the same text elsewhere is another event");
}

#[tokio::test]
async fn the_same_text_in_new_content_is_another_event_also_after_a_restart() {
    let logs = Logs::new();
    let db = "sincedb_path => '$/db' sincedb_write_interval => 0";
    logs.write("a.log", "status ok\nlast\n");
    let mut input = logs.run(&format!("{BEGIN} {db}")).await;
    let first = origins(&input.events(2).await);
    logs.write("a.log", "status ok\n");
    let second = origins(&input.events(1).await);
    assert_ne!(first[0], second[0]);
    input.stop().await.unwrap();
    assert!(fs::read_to_string(logs.path("db.generations")).unwrap().ends_with(" 1\n"));
    logs.append("a.log", "last\n");
    let mut input = logs.run(&format!("{BEGIN} {db}")).await;
    assert_ne!(origins(&input.events(1).await)[0], first[1], "the content is still the second one");
    input.stop().await.unwrap();
    // Truncated while nobody looked.
    logs.write("a.log", "status ok\n");
    let mut input = logs.run(&format!("{BEGIN} {db}")).await;
    let third = origins(&input.events(1).await);
    assert!(third[0] != first[0] && third[0] != second[0]);
    input.stop().await.unwrap();
}
