//! throw-away
use ferrostash_conf::*;
fn main() {
    let dir = "/work/shared/conformance";
    for area in ["core-parse", "core-grammar"] {
        let cases = std::fs::read_to_string(format!("/tmp/{area}.cases")).unwrap();
        let (mut good, mut bad) = (0, 0);
        for record in cases.split('\u{1}').filter(|r| !r.is_empty()) {
            let f: Vec<&str> = record.split('\u{2}').collect();
            let (name, config, error) = (f[0], f[1], f[2]);
            let mut map = SourceMap::new();
            let id = map.add(Protocol::File, "/case/a.conf", config);
            let got = match grammar::parse(map.get(id).unwrap()) {
                Ok(_) => String::new(),
                Err(d) => { if std::env::var("SHOW").is_ok() { println!("---- {name}\n{}", d.render(&map, false)); } let l = d.logstash.clone().unwrap(); format!("{}: {}", l.class, l.message) },
            };
            let syntax = error.starts_with("LogStash::ConfigurationError: Expected");
            let want = if syntax { error } else { "" };
            if got == want { good += 1 } else { bad += 1; println!("{area}/{name}\n want {want:?}\n got  {got:?}"); }
        }
        println!("{area}: {good} good {bad} bad {dir}");
    }
}
