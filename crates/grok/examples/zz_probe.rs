use ferrostash_grok::*;
use std::io::{BufRead, Write};
use std::collections::HashMap;
fn unhex(s: &str) -> String { String::from_utf8((0..s.len()/2).map(|i| u8::from_str_radix(&s[2*i..2*i+2],16).unwrap()).collect()).unwrap() }
fn hex(s: &str) -> String { s.bytes().map(|b| format!("{b:02x}")).collect() }
// line: set nco timeout_ms pattern nsubst... => fields hex; extra definitions "name=def" hex list
fn main() {
    let stdin = std::io::stdin(); let mut out = std::io::stdout().lock();
    let mut cache: HashMap<String, Result<Grok,String>> = HashMap::new();
    let mut caps = Captures::new();
    for line in stdin.lock().lines() {
        let line = line.unwrap();
        let f: Vec<&str> = line.split(' ').collect();
        if f[0] == "gsub" {
            let r = Regex::new(&unhex(f[1]));
            let text = match r { Ok(r) => match r.replace_all(&unhex(f[3]), &Replacement::new(&unhex(f[2])), &mut caps) { Ok(t) => format!("ok {}", hex(&t)), Err(e) => format!("err {}", hex(&e.to_string())) }, Err(e) => format!("err {}", hex(&e.to_string())) };
            writeln!(out, "{text}").unwrap(); continue;
        }
        if f[0] == "is" {
            let r = Regex::new(&unhex(f[1]));
            let text = match r { Ok(r) => format!("ok {}", r.is_match(&unhex(f[2])).unwrap()), Err(e) => format!("err {}", hex(&e.to_string())) };
            writeln!(out, "{text}").unwrap(); continue;
        }
        let (set, nco, timeout, pattern, subject, defs) = (f[0], f[1]=="1", f[2].parse::<u64>().unwrap(), f[3], unhex(f[4]), f[5]);
        let grok = cache.entry(format!("{set} {nco} {pattern} {defs}")).or_insert_with(|| {
            let mut lib = if set=="legacy" { PatternLibrary::legacy() } else { PatternLibrary::ecs_v1() };
            lib.add_text(&unhex(defs)).unwrap();
            Grok::compile(&lib, &unhex(pattern), nco).map_err(|e| e.to_string())
        });
        let answer = match grok {
            Err(e) => format!("err {}", hex(e)),
            Ok(g) => match g.matches(&subject, (timeout>0).then(|| std::time::Duration::from_millis(timeout)), &mut caps) {
                Err(_) => "timeout".into(), Ok(false) => "no".into(),
                Ok(true) => { let mut t = String::from("yes"); for c in g.captures() { t += &format!(" {}:{}:{}", hex(c.field()), match c.kind() {CaptureType::Text=>"t",CaptureType::Int=>"i",CaptureType::Float=>"f"}, caps.text(c.group(), &subject).map_or("-".into(), hex)); } t }
            }
        };
        writeln!(out, "{answer}").unwrap();
    }
}
