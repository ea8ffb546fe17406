//! What compiling and matching cost. `cargo bench -p ferrostash-grok`.

#![expect(clippy::unwrap_used, reason = "a bench may fail loudly")]

use divan::counter::ItemsCount;
use divan::{Bencher, black_box};
use ferrostash_grok::{Captures, Grok, PatternLibrary};

/// What users write.
const PATTERNS: [&str; 10] = [
    "%{COMBINEDAPACHELOG}",
    "%{SYSLOGLINE}",
    "%{SYSLOGBASE} %{GREEDYDATA:text}",
    "%{TIMESTAMP_ISO8601:time} %{LOGLEVEL:level} %{GREEDYDATA:text}",
    "%{IP:client} %{WORD:method} %{URIPATHPARAM:request} %{NUMBER:bytes:int} %{NUMBER:seconds:float}",
    "%{HTTPDATE:time} %{IPORHOST:host} %{QS:agent}",
    "\\[%{TIMESTAMP_ISO8601:time}\\] %{JAVACLASS:class} - %{GREEDYDATA:text}",
    "%{SYSLOGTIMESTAMP:time} %{SYSLOGHOST:host} sshd(?:\\[%{POSINT:pid}\\])?: %{GREEDYDATA:text}",
    "%{HAPROXYHTTP}",
    "%{UUID:id} %{MAC:mac} %{HOSTNAME:host} %{INT:count:int}",
];

/// Messages of one field, as sshd, cron and others write them.
const MESSAGES: [&str; 10] = [
    "Accepted %{WORD:method} for %{USERNAME:user} from %{IP:ip} port %{POSINT:port}",
    "Failed %{WORD:method} for (?:invalid user )?%{USERNAME:user} from %{IP:ip} port %{POSINT:port}",
    "Connection closed by %{IP:ip} port %{POSINT:port}",
    "Received disconnect from %{IP:ip}: %{GREEDYDATA:reason}",
    "pam_unix\\(%{DATA:service}\\): session opened for user %{USERNAME:user}",
    "pam_unix\\(%{DATA:service}\\): session closed for user %{USERNAME:user}",
    "\\(%{USERNAME:user}\\) CMD \\(%{GREEDYDATA:command}\\)",
    "DHCPACK on %{IP:ip} to %{MAC:mac}",
    "%{WORD:queue}: to=<%{DATA:to}>, relay=%{DATA:relay}, delay=%{NUMBER:delay:float}",
    "Started %{GREEDYDATA:unit}\\.$",
];

const APACHE: [&str; 4] = [
    r#"192.168.1.20 - - [05/Mar/2024:10:11:12 +0100] "GET /index.html?a=b HTTP/1.1" 200 5123 "http://example.com/start" "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/80.0 Safari/537.36""#,
    r#"10.0.0.1 - frank [28/Feb/2023:23:59:59 -0800] "POST /api/v1/orders HTTP/2.0" 201 99 "-" "curl/8.4.0""#,
    r#"2001:db8::1:2 - - [05/Mar/2024:10:11:12 +0100] "GET /a/picture.png HTTP/1.1" 304 - "https://www.example.org/" "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:109.0) Gecko/20100101 Firefox/115.0""#,
    r#"web-1.example.com - alice [01/Jan/2024:00:00:00 +0000] "HEAD / HTTP/1.0" 500 0 "-" "-""#,
];

const SYSLOG: [&str; 4] = [
    "Mar  5 10:11:12 host-1 sshd[812]: Accepted publickey for root from 10.0.0.1 port 22 ssh2",
    "Oct 31 00:00:00 web kernel: usb 1-1: new high-speed USB device number 2 using xhci_hcd",
    "Feb 28 07:15:33 mail postfix/smtp[991]: 3F2A: to=<a@example.com>, relay=mx.example.com[192.0.2.3]:25, delay=0.5, status=sent",
    "Mar  5 10:11:12 host-1 systemd[1]: Started Daily apt upgrade and clean activities.",
];

fn main() {
    divan::main();
}

fn library(ecs: bool) -> PatternLibrary {
    if ecs { PatternLibrary::ecs_v1() } else { PatternLibrary::legacy() }
}

/// Every definition of a set.
#[divan::bench(args = [false, true], sample_count = 10)]
fn compile_library(bencher: Bencher<'_, '_>, ecs: bool) {
    let library = library(ecs);
    bencher.counter(ItemsCount::new(library.len())).bench_local(|| {
        library
            .names()
            .filter(|name| Grok::compile(&library, &format!("%{{{name}:x}}"), true).is_ok())
            .count()
    });
}

/// A configuration with 200 patterns.
#[divan::bench(sample_count = 10)]
fn compile_200_patterns(bencher: Bencher<'_, '_>) {
    let library = PatternLibrary::legacy();
    let patterns: Vec<String> =
        (0..20).flat_map(|number| PATTERNS.map(|pattern| format!("{number} {pattern}"))).collect();
    bencher.counter(ItemsCount::new(patterns.len())).bench_local(|| {
        patterns.iter().filter(|pattern| Grok::compile(&library, pattern, true).is_ok()).count()
    });
}

fn matches(bencher: Bencher<'_, '_>, grok: &Grok, lines: &[&str]) {
    let mut captures = Captures::new();
    bencher.counter(ItemsCount::new(lines.len())).bench_local(|| {
        lines.iter().filter(|line| grok.matches(black_box(line), None, &mut captures) == Ok(true)).count()
    });
}

#[divan::bench(args = [false, true])]
fn apache(bencher: Bencher<'_, '_>, ecs: bool) {
    matches(bencher, &Grok::compile(&library(ecs), "%{COMBINEDAPACHELOG}", true).unwrap(), &APACHE);
}

#[divan::bench]
fn syslog(bencher: Bencher<'_, '_>) {
    matches(bencher, &Grok::compile(&PatternLibrary::legacy(), "%{SYSLOGLINE}", true).unwrap(), &SYSLOG);
}

#[divan::bench]
fn apache_on_other_lines(bencher: Bencher<'_, '_>) {
    matches(
        bencher,
        &Grok::compile(&PatternLibrary::legacy(), "%{COMBINEDAPACHELOG}", true).unwrap(),
        &SYSLOG,
    );
}

/// Patterns of one field, tried in order; with `sift`, only those that may match.
#[divan::bench(args = [false, true])]
fn list(bencher: Bencher<'_, '_>, sift: bool) {
    let library = PatternLibrary::legacy();
    let groks: Vec<Grok> =
        MESSAGES.iter().map(|pattern| Grok::compile(&library, pattern, true).unwrap()).collect();
    let mut captures = Captures::new();
    bencher.counter(ItemsCount::new(SYSLOG.len())).bench_local(|| {
        let mut found = |line: &str| {
            groks.iter().position(|grok| {
                (!sift || grok.regex().may_match(line)) && grok.matches(line, None, &mut captures) == Ok(true)
            })
        };
        SYSLOG.iter().filter_map(|line| found(black_box(line))).sum::<usize>()
    });
}
