//! Log lines of many kinds, and the same with something changed.

use crate::random::Random;

pub(crate) fn generate(random: &mut Random, count: usize) -> Vec<String> {
    let mut lines: Vec<String> = SAMPLES.iter().map(|line| (*line).to_owned()).collect();
    while lines.len() < count {
        let line = match random.below(4) {
            0 => apache(random),
            1 => syslog(random),
            _ => random.pick(&SAMPLES).to_owned(),
        };
        lines.push(if random.below(3) == 0 { line } else { changed(random, &line) });
    }
    lines
}

fn apache(random: &mut Random) -> String {
    let client =
        random.pick(&["192.168.1.20", "2001:db8::1:2", "web-1.example.com", "::ffff:10.0.0.1", "300.1.2.3"]);
    let time = random.pick(&["05/Mar/2024:10:11:12 +0100", "28/Feb/2023:23:59:59 -0800"]);
    let request = random.pick(&["GET /a?b=c&d=%20 HTTP/1.1", "POST /é HTTP/2.0", "-", "\\x16\\x03"]);
    let agent = random.pick(&["curl/8.4.0", "Mozilla/5.0 (X11; Linux x86_64)", "say \\\"hi\\\"", "-"]);
    let (user, code, size) = (random.pick(&["-", "frank"]), 100 + random.below(500), random.below(99_999));
    format!("{client} - {user} [{time}] \"{request}\" {code} {size} \"http://example.com/x\" \"{agent}\"")
}

fn syslog(random: &mut Random) -> String {
    let time = random.pick(&["Mar  5 10:11:12", "Oct 31 00:00:00", "2024-03-05T10:11:12.345+01:00"]);
    let program = random.pick(&["sshd[812]", "kernel", "CRON[1]", "postfix/smtp[99]", "%ASA-6-302013"]);
    let message = random.pick(&[
        "Accepted publickey for root from 10.0.0.1 port 22 ssh2",
        "pam_unix(cron:session): session opened for user root by (uid=0)",
        "Built outbound TCP connection 447235 for outside:192.0.2.17/53 (192.0.2.17/53) to dmz:10.0.0.2/10 (10.0.0.2/10)",
        "größer als erwartet: 漢字",
    ]);
    format!("<{}>{time} host-{} {program}: {message}", random.below(192), random.below(9))
}

/// A few characters less, more or others.
fn changed(random: &mut Random, line: &str) -> String {
    let mut characters: Vec<char> = line.chars().collect();
    for _ in 0..1 + random.below(3) {
        let at = random.below(characters.len());
        match random.below(4) {
            0 => {
                characters.remove(at);
            }
            1 => {
                characters[at] =
                    random.pick(&["é", " ", ":", "9", "x", "\"", "\n", "漢", "]"]).chars().next().unwrap()
            }
            2 => characters.truncate(at.max(1)),
            _ => {
                let copy: Vec<char> = characters[at..characters.len().min(at + 5)].to_vec();
                characters.splice(at..at, copy);
            }
        }
        if characters.is_empty() {
            characters.push('-');
        }
    }
    characters.into_iter().collect()
}

const SAMPLES: [&str; 24] = [
    "",
    "Grüße aus 東京, 25 °C – señor",
    "2024-03-05 10:11:12,345 INFO  [main] com.example.shop.OrderService - order 42 took 17ms",
    "\tat com.example.shop.OrderService.place(OrderService.java:42)",
    "[Tue Mar 05 10:11:12.123456 2024] [core:error] [pid 35708:tid 4328636416] (2)No such file: [client 72.15.99.187:80] AH00037: x",
    "%ASA-4-106023: Deny tcp src outside:192.0.2.1/80 dst inside:10.0.0.2/443 by access-group \"acl\" [0x0, 0x0]",
    "Mar  5 10:11:12 fw %ASA-6-302013: Teardown TCP connection 4 for outside:192.0.2.1/80 to inside:10.0.0.2/443 duration 0:00:01 bytes 99 TCP FINs",
    "Feb  8 21:47:52 localhost haproxy[19545]: 127.0.0.1:39759 [09/Dec/2013:12:59:46.633] front back/server 0/0/0/67/68 200 217 - - ---- 1/1/1/0/0 0/0 \"GET / HTTP/1.1\"",
    "1386616746.633    19 192.0.2.9 TCP_MISS/200 4299 GET http://example.com/ - DIRECT/192.0.2.1 text/html",
    "[1300811000] SERVICE ALERT: web1;HTTP;CRITICAL;HARD;3;Socket timeout after 10 seconds",
    "D, [2024-03-05T10:11:12.345678 #1234] DEBUG -- : a message",
    "Started GET \"/users/1\" for 127.0.0.1 at 2024-03-05 10:11:12 +0100",
    "https://user:secret@example.com:8080/path/to;x=1?query=a%20b&c=d#part",
    "/var/log/messages C:\\Windows\\System32\\cmd.exe \\\\server\\share",
    "00:1A:2b:3C:4d:5E 001a.2b3c.4d5e 00-1A-2B-3C-4D-5E",
    "-12.5e3 +7 0x1F 3.14 .5 1,000 1.2.3.4 fe80::1%eth0",
    "9f1c0e5a-4d1e-4b0a-9e6a-0123456789ab urn:uuid:x",
    "\"quoted \\\"text\\\"\" 'single' `tick`",
    "Monday, 05-Mar-24 10:11:12 CET 2024/064 23:59:60",
    "04-Feb-2022 10:11:12.123 client @0x7f 192.0.2.1#4242 (example.com): query: example.com IN A +E(0)K (192.0.2.53)",
    "2024-03-05 10:11:12.345 UTC [123] postgres@db LOG:  duration: 0.5 ms",
    "79a59dc0b86d bucket [06/Feb/2019:00:00:38 +0000] 192.0.2.3 79a5 3E57 REST.GET.OBJECT key \"GET /key HTTP/1.1\" 200 - 113 113 7 6 \"-\" \"S3Console/0.4\" -",
    "<34>1 2003-10-11T22:14:15.003Z mymachine.example.com su - ID47 - 'su root' failed for lonvick on /dev/pts/8",
    "1331904608.080000\tCheOWr\t192.168.202.79\t50465\t192.168.229.251\t80\ttcp\thttp\t0.01\t166\t214\tSF\t-\t0\tShADfFa\t4\t382\t3\t382\t(empty)",
];
