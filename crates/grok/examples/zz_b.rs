use ferrostash_grok::*; use std::time::*;
fn main() {
    let line = r#"203.0.113.45 - frank [10/Oct/2024:13:55:36 -0700] "GET /apache_pb.gif?x=1&y=2 HTTP/1.0" 200 2326 "http://www.example.com/start.html" "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 Chrome/120.0 Safari/537.36""#;
    let miss = "Mar  7 04:02:11 gw1 postfix/smtpd[812]: NOQUEUE: reject: RCPT from unknown[203.0.113.9]: 554 5.7.1 Service unavailable; Client host blocked";
    for (name, lib) in [("legacy", PatternLibrary::legacy()), ("ecs", PatternLibrary::ecs_v1())] {
        let mut best=Duration::MAX; for _ in 0..40 { let t=Instant::now(); std::hint::black_box(Grok::compile(&lib, "%{COMBINEDAPACHELOG}", true).unwrap()); best=best.min(t.elapsed()); } println!("{name} compile COMBINEDAPACHELOG {best:?}");
        let names: Vec<&str> = {let mut v: Vec<_> = lib.names().collect(); v.sort(); v.into_iter().take(200).collect()};
        let mut best=Duration::MAX; for _ in 0..5 { let t=Instant::now(); for n in &names { std::hint::black_box(Grok::compile(&lib, &format!("^%{{{n}:x}}"), true).unwrap()); } best=best.min(t.elapsed()); } println!("{name} 200 patterns {best:?}");
        let g = Grok::compile(&lib, "%{COMBINEDAPACHELOG}", true).unwrap(); let s = Grok::compile(&lib, "%{SYSLOGLINE}", true).unwrap();
        let mut c = Captures::new(); let to = Some(Duration::from_secs(30));
        for (w, gg, l, n) in [("apache hit", &g, line, 20000u32), ("apache miss", &g, miss, 2000), ("syslogline hit", &s, miss, 20000)] { let mut best=Duration::MAX; for _ in 0..9 { let t=Instant::now(); for _ in 0..n { std::hint::black_box(gg.matches(std::hint::black_box(l), to, &mut c).unwrap()); } best=best.min(t.elapsed()/n); } println!("{name} {w} {best:?} {:.2} M/s", 1e3/best.as_nanos() as f64); }
        let t=Instant::now(); std::thread::scope(|sc| for _ in 0..2 { sc.spawn(|| { let mut c = Captures::new(); for _ in 0..100000 { std::hint::black_box(g.matches(std::hint::black_box(line), to, &mut c).unwrap()); } }); }); println!("{name} 2 threads apache {:?}/match", t.elapsed()/200000);
    }
}
