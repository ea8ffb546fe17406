//! What asking a condition costs. `cargo bench -p ferrostash-pipeline`.

#![expect(clippy::unwrap_used, reason = "a bench may fail loudly")]

use divan::{Bencher, black_box};
use ferrostash_conf::{Diagnostics, Protocol, SourceMap, Statement, grammar, lower};
use ferrostash_event::{Event, Timestamp};
use ferrostash_pipeline::Predicate;

const EVENT: &str = r#"{"level":"ERROR","service":"gateway","status":503,"message":"connection reset by peer","tags":["slow","retry"]}"#;

fn main() {
    divan::main();
}

fn predicate(condition: &str) -> Predicate {
    let (mut sources, mut diagnostics) = (SourceMap::new(), Diagnostics::new());
    let text = format!("filter {{ if {condition} {{ x {{ }} }} }}");
    let id = sources.add(Protocol::String, "bench", text);
    let source = sources.get(id).unwrap();
    let document = grammar::parse(source).unwrap();
    let sections = lower::lower(&document, source, false, &mut diagnostics);
    let Some(Statement::If(branch)) = sections.filters.first() else {
        unreachable!("the text above is an if")
    };
    Predicate::compile(&branch.arms.first().unwrap().condition, &sources, &mut diagnostics).unwrap()
}

#[divan::bench(args = [
    "[level] == \"ERROR\"",
    "[status] >= 500",
    "[service] in [\"auth\", \"billing\", \"gateway\"]",
    "\"retry\" in [tags]",
    "[message] =~ /reset/",
    "[message] =~ /^conn\\w+ reset by (peer|host)$/",
    "[level] == \"ERROR\" and ([status] == 500 or [status] == 503) and ![none]",
])]
fn ask(bencher: Bencher<'_, '_>, condition: &str) {
    let predicate = predicate(condition);
    let mut events = Vec::new();
    Event::read_json(EVENT, Timestamp::EPOCH, &mut |event| events.push(event)).unwrap();
    let (event, mut scratch) = (events.pop().unwrap(), String::new());
    bencher.bench_local(|| black_box(&predicate).ask(black_box(&event), &mut scratch).is_ok_and(|held| held));
}
