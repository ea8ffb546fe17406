//! scratch
#![allow(clippy::all, clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic, missing_docs)]
use ferrostash_conf::*;
use ferrostash_event::*;
use ferrostash_plugin::*;
fn main() {
    for (file, config) in [("/tmp/w1.jsonl", r#"filter { json { source => "message" } mutate { rename => { "logger" => "log_name" } add_field => { "env" => "prod" } remove_field => ["thread"] } mutate { convert => { "status" => "string" } lowercase => ["level"] } }"#),
     ("/tmp/w7.jsonl", r#"filter {  json { source => "message" target => "rec" remove_field => ["message"] }
  split { field => "rec" }
  mutate {
    rename => { "[rec][event_timestamp]" => "[rec][timestamp]" }
    add_field => { "[rec][log_type]" => "mail_routing" }
    remove_field => ["[rec][file_path]"]
    convert => { "[rec][size]" => "integer" }
  } }"#)] {
    let mut sources = SourceMap::new();
    let id = sources.add(Protocol::String, "t", config.to_owned());
    let source = sources.get(id).unwrap();
    let mut d = Diagnostics::new();
    let doc = grammar::parse(source).unwrap_or_else(|_| panic!());
    let sections = lower::lower(&doc, source, false, &mut d);
    let registry = Registry::new(&[ferrostash_filters::PLUGINS]);
    let pipeline = PipelineInfo::default();
    let bus = Default::default();
    let mut filters = vec![];
    for s in sections.filters {
        let Statement::Plugin(block) = s else { panic!() };
        let b = registry.build(&block, &pipeline, &bus, &mut d).unwrap();
        let name = b.def.name;
        let Maker::Filter { for_worker, decoration, .. } = b.maker else { panic!() };
        filters.push((for_worker(), decoration, b.metrics, name, std::time::Duration::ZERO));
    }
    let text = std::fs::read_to_string(file).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    let now = Timestamp::from_millis(1_767_323_045_678);
    let (mut made, mut out_n, mut dropt, mut events_out) = (std::time::Duration::ZERO, 0, std::time::Duration::ZERO, 0);
    for _ in 0..10 { for chunk in lines.chunks(125) {
        let t = std::time::Instant::now();
        let mut batch = Batch::new(chunk.iter().map(|l| Event::from_message(l, now)).collect());
        made += t.elapsed();
        for (f, dec, m, _, spent) in &mut filters {
            let t = std::time::Instant::now();
            let mut all = Selection::none();
            for i in 0..batch.len() { if !batch.get(i).unwrap().is_cancelled() { all.insert(i); } }
            let mut cx = FilterContext::new(now, m, dec);
            batch.next_step();
            f.filter(&mut batch, &all, &mut cx);
            for (e, p) in cx.take_made() { batch.add(e, p); }
            *spent += t.elapsed();
        }
        let events = batch.into_events();
        events_out += events.len();
        let t = std::time::Instant::now();
        out_n += events.iter().map(|e| e.byte_size()).sum::<usize>();
        drop(events);
        dropt += t.elapsed();
    } }
    let n = events_out as f64;
    println!("{file} events {n} make {:.0} ns drop {:.0} ns size {}", made.as_nanos() as f64 / n, dropt.as_nanos() as f64 / n, out_n / events_out);
    for (_, _, _, name, spent) in &filters { println!("  {name}: {:.0} ns/event", spent.as_nanos() as f64 / n); }
    }
}
