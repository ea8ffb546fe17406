//! What an event costs: made, read, changed, cloned, and as JSON.
//!
//! `cargo bench -p ferrostash-event`. Two shapes: a flat JSON log line of about 215 bytes, and the event of an access log
//! line of about 250 bytes, whose fields are slices of its message.

#![expect(clippy::unwrap_used, reason = "a bench may fail loudly")]

use divan::{AllocProfiler, Bencher, black_box};
use ferrostash_event::{Event, FieldRef, Template, Timestamp, Value};

#[global_allocator]
static ALLOCATOR: AllocProfiler = AllocProfiler::system();

const FLAT: &str = r#"{"level":"INFO","logger":"app.api.users","message":"request finished after a retry of the call","service":"gateway","hostname":"web-07.prod.example.net","pid":4711,"thread":"worker-1","duration_ms":12.5,"status":200}"#;
const ACCESS: &str = r#"192.0.2.45 - frank [05/Mar/2026:10:11:12 +0000] "GET /static/js/app.4f3a2c.js?seq=1 HTTP/1.1" 200 51234 "https://www.example.com/" "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Safari/537.36""#;

/// The fields that a pattern finds in [`ACCESS`].
const CAPTURES: [(&str, &str); 8] = [
    ("clientip", "192.0.2.45"),
    ("auth", "frank"),
    ("timestamp", "05/Mar/2026:10:11:12 +0000"),
    ("verb", "GET"),
    ("request", "/static/js/app.4f3a2c.js?seq=1"),
    ("httpversion", "1.1"),
    ("response", "200"),
    ("referrer", "https://www.example.com/"),
];

fn main() {
    divan::main();
}

fn field(name: &str) -> FieldRef {
    FieldRef::parse(name).unwrap()
}

fn read(text: &str) -> Event {
    let mut event = None;
    Event::read_json(text, Timestamp::EPOCH, &mut |read| event = Some(read)).unwrap();
    event.unwrap()
}

/// Each capture as a field and its place in the message.
fn captures() -> Vec<(FieldRef, std::ops::Range<usize>)> {
    let place = |text: &str| {
        let start = ACCESS.find(text).unwrap();
        start..start + text.len()
    };
    CAPTURES.iter().map(|(name, text)| (field(name), place(text))).collect()
}

fn access(captures: &[(FieldRef, std::ops::Range<usize>)], message: &FieldRef) -> Event {
    let mut event = Event::from_message(ACCESS, Timestamp::EPOCH);
    let span = event.str_span(message).unwrap();
    for (field, range) in captures {
        event.set_slice(field, span.slice(range.clone())).unwrap();
    }
    event
}

#[divan::bench]
fn create_from_message() -> Event {
    Event::from_message(black_box(ACCESS), Timestamp::EPOCH)
}

#[divan::bench]
fn create_with_captures(bencher: Bencher<'_, '_>) {
    let (captures, message) = (captures(), field("message"));
    bencher.bench(|| access(black_box(&captures), &message));
}

#[divan::bench]
fn set_new_field(bencher: Bencher<'_, '_>) {
    let (event, env) = (read(FLAT), field("env"));
    bencher.with_inputs(|| event.clone()).bench_refs(|event| event.set_str(&env, black_box("prod")));
}

#[divan::bench]
fn set_nested_field(bencher: Bencher<'_, '_>) {
    let (event, name) = (read(FLAT), field("[host][os][name]"));
    bencher.with_inputs(|| event.clone()).bench_refs(|event| event.set(&name, Value::from("linux")));
}

#[divan::bench]
fn get_top_level(bencher: Bencher<'_, '_>) {
    let (event, status) = (read(FLAT), field("status"));
    bencher.bench_local(|| black_box(&event).get(&status).is_some());
}

#[divan::bench]
fn get_missing(bencher: Bencher<'_, '_>) {
    let (event, none) = (read(FLAT), field("[no][such]"));
    bencher.bench_local(|| black_box(&event).get(&none).is_some());
}

#[divan::bench]
fn rename(bencher: Bencher<'_, '_>) {
    let (event, from, to) = (read(FLAT), field("logger"), field("log_name"));
    bencher.with_inputs(|| event.clone()).bench_refs(|event| event.rename(&from, &to));
}

#[divan::bench]
fn clone_flat(bencher: Bencher<'_, '_>) {
    let event = read(FLAT);
    bencher.bench_local(|| black_box(&event).clone());
}

#[divan::bench]
fn clone_access(bencher: Bencher<'_, '_>) {
    let event = access(&captures(), &field("message"));
    bencher.bench_local(|| black_box(&event).clone());
}

#[divan::bench]
fn json_in() -> Event {
    read(black_box(FLAT))
}

#[divan::bench]
fn json_out_flat(bencher: Bencher<'_, '_>) {
    let (event, mut out) = (read(FLAT), Vec::with_capacity(1024));
    bencher.bench_local(|| {
        out.clear();
        black_box(&event).write_json(&mut out);
        out.len()
    });
}

#[divan::bench]
fn json_out_access(bencher: Bencher<'_, '_>) {
    let (event, mut out) = (access(&captures(), &field("message")), Vec::with_capacity(1024));
    bencher.bench_local(|| {
        out.clear();
        black_box(&event).write_json(&mut out);
        out.len()
    });
}

#[divan::bench]
fn template(bencher: Bencher<'_, '_>) {
    let event = read(FLAT);
    let (template, mut out) = (Template::parse("%{service}-%{[status]}-%{level}"), String::with_capacity(64));
    bencher.bench_local(|| {
        out.clear();
        black_box(&template).render(&event, &mut out).is_ok()
    });
}

#[divan::bench]
fn template_with_date(bencher: Bencher<'_, '_>) {
    let event = read(FLAT);
    let (template, mut out) = (Template::parse("logs-%{service}-%{+yyyy.MM.dd}"), String::with_capacity(64));
    bencher.bench_local(|| {
        out.clear();
        black_box(&template).render(&event, &mut out).is_ok()
    });
}
