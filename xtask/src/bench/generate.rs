//! Seeded log lines: the same seed gives the same bytes.

use std::fmt::Write as _;

const LEVELS: [&str; 10] =
    ["DEBUG", "DEBUG", "DEBUG", "INFO", "INFO", "INFO", "INFO", "WARNING", "WARNING", "ERROR"];
const SERVICES: [&str; 6] = ["billing", "auth", "gateway", "search", "catalog", "mailer"];
const LOGGERS: [&str; 4] = ["app.api.users", "app.db.pool", "app.tasks.mail", "app.auth.oidc"];
const THREADS: [&str; 3] = ["MainThread", "worker-1", "ThreadPoolExecutor-0_3"];
const MESSAGES: [&str; 8] = [
    "request finished",
    "cache miss for key user:profile, falling back to the primary database",
    "retrying upstream call after connection reset by peer",
    "slow query: SELECT id, name FROM items WHERE owner = $1 ORDER BY id LIMIT 50",
    "template rendered with warnings: unknown tag \\\"else\\\"",
    "path C:\\\\Temp\\\\upload not writable",
    "Grüße aus Köln – message enqueued",
    "connection pool is full, discarding connection: db-1.internal.example.net. Connection pool size: 10",
];
const STATUS: [u32; 12] = [200, 200, 200, 200, 200, 200, 201, 204, 301, 304, 404, 500];
const AGENTS: [&str; 4] = [
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Safari/537.36",
    "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0",
    "curl/8.5.0",
    "Googlebot/2.1 (+http://www.google.com/bot.html)",
];
const REFERERS: [&str; 3] = ["-", "https://www.example.com/", "https://shop.example.com/cart?step=2"];
const PATHS: [&str; 5] = ["/", "/index.html", "/api/v1/items", "/static/js/app.4f3a2c.js", "/cart/checkout"];
const VERBS: [&str; 4] = ["GET", "GET", "GET", "POST"];
const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
const ZONES: [&str; 3] = ["+0000", "+0200", "-0700"];

/// A sequence that depends on its seed alone (splitmix64).
pub(super) struct Dice(u64);

impl Dice {
    pub(super) fn new(seed: u64) -> Dice {
        Dice(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    fn pick<T: Copy + Default>(&mut self, choices: &[T]) -> T {
        let at = self.below(choices.len() as u64);
        usize::try_from(at).ok().and_then(|at| choices.get(at)).copied().unwrap_or_default()
    }
}

/// Appends a JSON line: 13 keys, one nested object, about 365 bytes.
pub(super) fn json(number: usize, dice: &mut Dice, out: &mut String) {
    let seconds = number / 1000;
    let _ = writeln!(
        out,
        "{{\"timestamp\":\"2026-11-{:02}T{:02}:{:02}:{:02}.{:03}Z\",\"level\":\"{}\",\"logger\":\"{}\",\
         \"message\":\"{}\",\"service\":\"{}\",\"hostname\":\"web-{:02}.prod.example.net\",\"pid\":{},\
         \"thread\":\"{}\",\"request_id\":\"{:016x}{:016x}\",\"duration_ms\":{}.{:03},\"status\":{},\
         \"user\":{{\"id\":\"u{}\",\"ip\":\"10.{}.{}.{}\"}},\"seq\":{number}}}",
        1 + seconds / 86400 % 28,
        seconds / 3600 % 24,
        seconds / 60 % 60,
        seconds % 60,
        number % 1000,
        dice.pick(&LEVELS),
        dice.pick(&LOGGERS),
        dice.pick(&MESSAGES),
        dice.pick(&SERVICES),
        dice.below(40),
        300 + dice.below(32_000),
        dice.pick(&THREADS),
        dice.next(),
        dice.next(),
        dice.below(900),
        dice.below(1000),
        dice.pick(&STATUS),
        dice.below(100_000),
        dice.below(256),
        dice.below(256),
        dice.below(256),
    );
}

/// Appends a line of a combined access log, about 190 bytes.
pub(super) fn apache(number: usize, dice: &mut Dice, out: &mut String) {
    let seconds = number / 50;
    let status = dice.pick(&STATUS);
    let _ = write!(
        out,
        "{}.{}.{}.{} - {} [{:02}/{}/2026:{:02}:{:02}:{:02} {}] \"{} {}?seq={number} HTTP/1.1\" {status} ",
        1 + dice.below(223),
        dice.below(256),
        dice.below(256),
        dice.below(256),
        if number.is_multiple_of(20) { "frank" } else { "-" },
        1 + seconds / 86400 % 28,
        dice.pick(&MONTHS),
        seconds / 3600 % 24,
        seconds / 60 % 60,
        seconds % 60,
        dice.pick(&ZONES),
        dice.pick(&VERBS),
        dice.pick(&PATHS),
    );
    let _ = match status {
        204 | 304 => write!(out, "-"),
        _ => write!(out, "{}", 80 + dice.below(900_000)),
    };
    let _ = writeln!(out, " \"{}\" \"{}\"", dice.pick(&REFERERS), dice.pick(&AGENTS));
}

/// Appends a line with an array of records about mails, each about 370 bytes.
pub(super) fn array(numbers: std::ops::Range<usize>, dice: &mut Dice, out: &mut String) {
    for number in numbers.clone() {
        let (seconds, user) = (number / 10, 1 + dice.below(499));
        let _ = write!(
            out,
            "{}{{\"event_timestamp\":\"2026-11-{:02} {:02}:{:02}:{:02}\",\"from\":\"User {user} <user{user}@example.com>\",\
             \"from_addr\":\"user{user}@example.com\",\"to\":[\"team{}@example.org\",\"box{}@example.org\"],\
             \"subject\":\"{}\",\"message-id\":\"<{:016x}@mail.example.com>\",\"size\":\"{}\",\
             \"file_path\":\"c:\\\\mdaemon\\\\queues\\\\local\\\\md{number:08}.msg\",\"to_addr\":\"local\",\"seq\":{number}}}",
            if number == numbers.start { '[' } else { ',' },
            1 + seconds / 86400 % 28,
            seconds / 3600 % 24,
            seconds / 60 % 60,
            seconds % 60,
            1 + dice.below(89),
            1 + dice.below(89),
            dice.pick(&MESSAGES),
            dice.next(),
            500 + dice.below(899_500),
        );
    }
    out.push_str("]\n");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(make: fn(usize, &mut Dice, &mut String), seed: u64) -> String {
        let (mut dice, mut out) = (Dice::new(seed), String::new());
        (0..1000).for_each(|number| make(number, &mut dice, &mut out));
        out
    }

    #[test]
    fn lines_are_seeded_and_have_their_size() {
        for (make, size) in [(json as fn(usize, &mut Dice, &mut String), 340..400), (apache, 165..215)] {
            let text = lines(make, 1);
            assert_eq!(text, lines(make, 1));
            assert_ne!(text, lines(make, 2));
            assert_eq!(text.lines().count(), 1000);
            assert!(size.contains(&(text.len() / 1000)), "{}", text.len() / 1000);
        }
    }

    #[test]
    fn json_lines_are_json() {
        let mut arrays = String::new();
        array(0..50, &mut Dice::new(1), &mut arrays);
        assert!((300..450).contains(&(arrays.len() / 50)), "{}", arrays.len() / 50);
        for line in lines(json, 1).lines().chain(arrays.lines()) {
            crate::json::Json::parse(line).unwrap();
        }
    }
}
