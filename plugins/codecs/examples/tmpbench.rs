//! tmp
use ferrostash_plugin::testing::*;
use std::time::Instant;
fn main() {
    for (codec, line) in [
        ("json_lines", r#"{"@timestamp":"2024-03-05T10:11:12.123Z","host":{"name":"web-1"},"status":200,"bytes":15824,"path":"/index.html?x=1","agent":"Mozilla/5.0 (X11; Linux x86_64)","tags":["a","b"],"took":0.123}"#),
        ("line", r#"55.3.244.1 - - [05/Mar/2024:10:11:12 +0000] "GET /index.html?x=1 HTTP/1.1" 200 15824 "-" "Mozilla/5.0 (X11; Linux x86_64)""#),
        (r#"multiline { pattern => "^\s" what => "previous" }"#, "2024-03-05 10:11:12 ERROR something went wrong\n\tat a.b.C(C.java:1)\n\tat d.e.F(F.java:2)"),
    ] {
        let mut c = Harness::new(ferrostash_codecs::PLUGINS).codec(codec).unwrap();
        let n = 300_000;
        let data: Vec<u8> = format!("{line}\n").repeat(n).into_bytes();
        let t = Instant::now();
        let mut events = 0;
        data.chunks(64 * 1024 + 7).for_each(|d| c.decode(d, &mut |_| events += 1));
        c.flush(&mut |_| events += 1);
        let s = t.elapsed().as_secs_f64();
        println!("{} {events} events {:.0} ns/event {:.0} MB/s", &codec[..4], s * 1e9 / events as f64, data.len() as f64 / s / 1e6);
    }
}
