//! scratch
#![allow(clippy::all, clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, missing_docs)]
use ferrostash_conf::*;
use ferrostash_event::*;
use ferrostash_plugin::*;
use std::io::*;
// stdin: blocks: "ECS\n<n config lines>\n<config>\n<n events>\n<events json lines>"
fn main() {
    let mut all = String::new(); stdin().read_to_string(&mut all).unwrap();
    let mut lines = all.lines();
    while let Some(name) = lines.next() {
        let ecs = lines.next().unwrap();
        let n: usize = lines.next().unwrap().parse().unwrap();
        let config: Vec<&str> = (0..n).map(|_| lines.next().unwrap()).collect();
        let n: usize = lines.next().unwrap().parse().unwrap();
        let input: Vec<&str> = (0..n).map(|_| lines.next().unwrap()).collect();
        println!("{name}");
        match run(ecs, &config.join("\n"), &input) {
            Ok(out) => { println!("ok {}", out.len()); for o in out { println!("{o}"); } }
            Err(e) => println!("err {}", format!("{e:?}")),
        }
    }
}
fn run(ecs: &str, config: &str, input: &[&str]) -> std::result::Result<Vec<String>, String> {
    let mut sources = SourceMap::new();
    let id = sources.add(Protocol::String, "t", config.to_owned());
    let source = sources.get(id).unwrap();
    let mut d = Diagnostics::new();
    let doc = match grammar::parse(source) { Ok(x) => x, Err(e) => { d.push(*e); return Err(d.render(&sources, false)); } };
    let sections = lower::lower(&doc, source, false, &mut d);
    let registry = Registry::new(&[ferrostash_filters::PLUGINS]);
    let mut pipeline = PipelineInfo::default();
    pipeline.ecs = if ecs == "disabled" { Ecs::Disabled } else { Ecs::V8 };
    let bus = Default::default();
    let mut filters = vec![];
    for s in sections.filters {
        let Statement::Plugin(mut block) = s else { return Err("IF".into()) };
        expand_block(&mut block, &Vars::new(), &mut d);
        let Ok(b) = registry.build(&block, &pipeline, &bus, &mut d) else { return Err(d.render(&sources, false)) };
        let Maker::Filter { for_worker, decoration, .. } = b.maker else { panic!() };
        filters.push((for_worker(), decoration, b.metrics));
    }
    let now = Timestamp::from_millis(1_767_323_045_678);
    let mut events = vec![];
    for i in input { Event::read_json(i, now, &mut |e| events.push(e)).map_err(|e| e.to_string())?; }
    let mut batch = Batch::new(events);
    for (f, dec, m) in &mut filters {
        let mut all = Selection::none();
        for i in 0..batch.len() { if !batch.get(i).unwrap().is_cancelled() { all.insert(i); } }
        let mut cx = FilterContext::new(now, m, dec);
        batch.next_step();
        f.filter(&mut batch, &all, &mut cx);
        for (e, p) in cx.take_made() { batch.add(e, p); }
    }
    Ok(batch.into_events().iter().map(|e| { let mut o = vec![]; e.write_json_with_metadata(&mut o); String::from_utf8(o).unwrap() }).collect())
}
