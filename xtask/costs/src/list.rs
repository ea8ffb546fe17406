//! The cases.

use crate::{Case, Kind};

/// A line of an access log.
pub const ACCESS: &str = r#"192.0.2.45 - frank [05/Mar/2026:10:11:12 +0000] "GET /static/js/app.4f3a2c.js?seq=1 HTTP/1.1" 200 51234 "https://www.example.com/" "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0""#;
/// A line of a program that logs JSON.
pub const LOG: &str = r#"{"level":"INFO","logger":"app.api.users","message":"request finished after a retry of the call","service":"gateway","hostname":"web-07.prod.example.net","pid":4711,"thread":"worker-1","duration_ms":12.5,"status":200}"#;

type Row = (&'static str, &'static str);

const EVENTS: &[Row] = &[
    ("made of a text and dropped", ACCESS),
    ("made of JSON and dropped", LOG),
    ("copied", LOG),
    ("copied", ACCESS),
];

const TEMPLATES: &[Row] = &[
    ("%{service}", LOG),
    ("logs-%{service}-%{status}", LOG),
    ("%{+yyyy.MM.dd}", LOG),
    ("logs-%{service}-%{+yyyy.MM.dd}", LOG),
    ("%{{yyyy-MM-dd}}", LOG),
    ("%{[no][such]}", LOG),
];

const CONDITIONS: &[Row] = &[
    (r#"[level] == "INFO""#, LOG),
    ("[status] >= 500", LOG),
    ("[no][such]", LOG),
    (r#"[service] in ["auth", "billing", "gateway"]"#, LOG),
    (r#""retry" in [tags]"#, r#"{"tags":["slow","retry"]}"#),
    (r#""retry" in [message]"#, LOG),
    ("[message] =~ /retry/", LOG),
    (r"[message] =~ /^request \w+ after/", LOG),
    (r#"[level] == "INFO" and ([status] == 500 or [status] == 503)"#, LOG),
];

const FILTERS: &[Row] = &[
    ("mutate { }", LOG),
    ("drop { }", LOG),
    ("drop { percentage => 0 }", LOG),
    ("clone { clones => [\"copy\"] }", LOG),
    (r#"split { field => "list" }"#, r#"{"list":["a","b","c"],"id":1}"#),
    ("split { }", r#"{"message":"a\nb\nc","id":1}"#),
    ("split { }", r#"{"message":"a"}"#),
    // grok
    (r#"grok { match => { "message" => "%{COMBINEDAPACHELOG}" } }"#, ACCESS),
    (r#"grok { match => { "message" => "%{IP:ip} - %{USER:user} %{GREEDYDATA:rest}" } }"#, ACCESS),
    (r#"grok { match => { "message" => "%{INT:n:int} %{NUMBER:f:float}" } }"#, "42 0.5"),
    (r#"grok { match => { "message" => "%{WORD:message} %{WORD:b}" } overwrite => ["message"] }"#, "one two"),
    (r#"grok { match => { "message" => "%{WORD:w} %{WORD:w}" } }"#, "one two"),
    (r#"grok { match => { "message" => ["^%{INT:n}$", "^%{WORD:w}$", "^%{IP:ip} "] } }"#, ACCESS),
    (r#"grok { match => { "message" => "^%{INT:n}$" } }"#, ACCESS),
    (r#"grok { match => { "message" => "(?<a>\w)(\w)\k<a>" } }"#, "xyxaza"),
    // date
    (r#"date { match => ["t", "ISO8601"] }"#, r#"{"t":"2026-01-02T03:04:05.678Z"}"#),
    (r#"date { match => ["t", "dd/MMM/yyyy:HH:mm:ss Z"] }"#, r#"{"t":"05/Mar/2026:10:11:12 +0000"}"#),
    (
        r#"date { match => ["t", "yyyy-MM-dd HH:mm:ss"] timezone => "Europe/Berlin" }"#,
        r#"{"t":"2026-01-02 03:04:05"}"#,
    ),
    (
        r#"date { match => ["t", "MMM dd HH:mm:ss", "MMM  d HH:mm:ss"] timezone => "%{z}" }"#,
        r#"{"t":"Jan  2 03:04:05","z":"Europe/Berlin"}"#,
    ),
    (
        r#"date { match => ["t", "d. MMMM yyyy"] locale => "de" timezone => "UTC" }"#,
        r#"{"t":"3. Oktober 2026"}"#,
    ),
    (r#"date { match => ["t", "UNIX"] }"#, r#"{"t":1767323045.678}"#),
    (r#"date { match => ["t", "UNIX_MS"] target => "time" }"#, r#"{"t":"1767323045678"}"#),
    (r#"date { match => ["t", "ISO8601"] }"#, r#"{"t":"yesterday"}"#),
    // json
    (
        r#"json { source => "message" }"#,
        r#"{"message":"{\"level\":\"INFO\",\"n\":1,\"list\":[1,2],\"o\":{\"k\":\"v\"}}"}"#,
    ),
    (r#"json { source => "message" target => "doc" }"#, r#"{"message":"{\"level\":\"INFO\",\"n\":1}"}"#),
    (r#"json { source => "message" }"#, r#"{"message":"{\"@timestamp\":\"2026-01-02T03:04:05Z\",\"n\":1}"}"#),
    (r#"json { source => "message" }"#, r#"{"message":"{\"message\":\"a \\\"word\\\"\",\"n\":1}"}"#),
    (r#"json { source => "message" skip_on_invalid_json => true }"#, ACCESS),
    (r#"json { source => "message" }"#, ACCESS),
    // mutate
    (r#"mutate { coerce => { "service" => "none" } }"#, r#"{"service":null}"#),
    (r#"mutate { rename => { "service" => "name" } }"#, LOG),
    (r#"mutate { rename => { "service" => "[host][name]" } }"#, LOG),
    (r#"mutate { rename => { "service" => "%{level}" } }"#, LOG),
    (r#"mutate { update => { "service" => "none" } }"#, LOG),
    (r#"mutate { update => { "absent" => "none" } }"#, LOG),
    (r#"mutate { replace => { "service" => "none" } }"#, LOG),
    (r#"mutate { replace => { "service" => "%{hostname}:%{pid}" } }"#, LOG),
    (r#"mutate { convert => { "v" => "integer" } }"#, r#"{"v":"200"}"#),
    (r#"mutate { convert => { "v" => "integer" } }"#, r#"{"v":12.7}"#),
    (r#"mutate { convert => { "v" => "integer" } }"#, r#"{"v":"1,234"}"#),
    (r#"mutate { convert => { "v" => "integer" } }"#, r#"{"v":"12.7"}"#),
    (r#"mutate { convert => { "v" => "integer" } }"#, r#"{"v":["1","2"]}"#),
    (r#"mutate { convert => { "v" => "integer" } }"#, r#"{"v":200}"#),
    (r#"mutate { convert => { "v" => "integer_eu" } }"#, r#"{"v":"1.234"}"#),
    (r#"mutate { convert => { "v" => "float" } }"#, r#"{"v":"12.5"}"#),
    (r#"mutate { convert => { "v" => "float_eu" } }"#, r#"{"v":"12,5"}"#),
    (r#"mutate { convert => { "v" => "string" } }"#, r#"{"v":200}"#),
    (r#"mutate { convert => { "v" => "string" } }"#, r#"{"v":"200"}"#),
    (r#"mutate { convert => { "v" => "boolean" } }"#, r#"{"v":"true"}"#),
    (r#"mutate { convert => { "v" => "boolean" } }"#, r#"{"v":1}"#),
    (r#"mutate { gsub => ["v", "/", "_"] }"#, r#"{"v":"a/b/c"}"#),
    (r#"mutate { gsub => ["v", "/", "_"] }"#, r#"{"v":"a-b-c"}"#),
    (r#"mutate { gsub => ["v", "(\d+)\.(\d+)", "\2-\1"] }"#, r#"{"v":"from 1.2 to 3.4"}"#),
    (r#"mutate { gsub => ["v", "%{w}", "%{n}"] }"#, r#"{"v":"a/b","w":"/","n":7}"#),
    (r#"mutate { gsub => ["v", "/", "_"] }"#, r#"{"v":["a/b","c"]}"#),
    (r#"mutate { uppercase => ["level"] }"#, LOG),
    (r#"mutate { uppercase => ["service"] }"#, LOG),
    (r#"mutate { lowercase => ["level"] }"#, LOG),
    (r#"mutate { lowercase => ["v"] }"#, r#"{"v":["A","b"]}"#),
    (r#"mutate { capitalize => ["level"] }"#, LOG),
    (r#"mutate { strip => ["v"] }"#, r#"{"v":"  text "}"#),
    (r#"mutate { strip => ["service"] }"#, LOG),
    (r#"mutate { strip => ["v"] }"#, r#"{"v":[" a","b "]}"#),
    (r#"mutate { split => { "v" => "," } }"#, r#"{"v":"a,b,c"}"#),
    (r#"mutate { split => { "v" => "," } }"#, r#"{"v":"a"}"#),
    (r#"mutate { join => { "v" => "," } }"#, r#"{"v":["a","b","c"]}"#),
    (r#"mutate { join => { "v" => "," } }"#, r#"{"v":"a"}"#),
    (r#"mutate { merge => { "v" => "w" } }"#, r#"{"v":["a"],"w":"b"}"#),
    (r#"mutate { merge => { "v" => "w" } }"#, r#"{"v":"a","w":"b"}"#),
    (r#"mutate { merge => { "v" => "w" } }"#, r#"{"v":{"a":1},"w":{"b":2}}"#),
    (r#"mutate { merge => { "v" => "w" } }"#, r#"{"v":["a"]}"#),
    (r#"mutate { copy => { "service" => "name" } }"#, LOG),
    (r#"mutate { copy => { "v" => "w" } }"#, r#"{"v":{"a":[1,2]}}"#),
    // Common options
    (r#"mutate { add_field => { "env" => "prod" } }"#, LOG),
    (r#"mutate { add_field => { "env" => "%{service}" } }"#, LOG),
    (r#"mutate { add_field => { "service" => "prod" } }"#, LOG),
    (r#"mutate { add_field => { "%{service}" => "prod" } }"#, LOG),
    (r#"mutate { remove_field => ["pid", "thread"] }"#, LOG),
    (r#"mutate { remove_field => ["absent"] }"#, LOG),
    (r#"mutate { add_tag => ["slow"] }"#, LOG),
    (r#"mutate { add_tag => ["slow"] }"#, r#"{"tags":["slow"]}"#),
    (r#"mutate { add_tag => ["%{service}"] }"#, LOG),
    (r#"mutate { remove_tag => ["slow"] }"#, r#"{"tags":["slow","retry"]}"#),
    (r#"mutate { remove_tag => ["slow"] }"#, LOG),
];

const DECODES: &[Row] = &[
    ("plain", ACCESS),
    (r#"plain { charset => "ISO-8859-1" }"#, "Größe"),
    ("line", ACCESS),
    ("json", LOG),
    ("json", ACCESS),
    ("json_lines", LOG),
    ("json_lines", ACCESS),
    (r#"json_lines { target => "doc" }"#, LOG),
    (r#"multiline { pattern => "^\s" what => "previous" }"#, ACCESS),
    ("dots", "."),
    ("rubydebug", "text"),
];

const ENCODES: &[Row] = &[
    ("plain", ACCESS),
    ("line", ACCESS),
    (r#"line { format => "%{service} %{message}" }"#, LOG),
    ("json", LOG),
    ("json", ACCESS),
    ("json_lines", LOG),
    (r#"multiline { pattern => "^\s" what => "previous" }"#, ACCESS),
    ("dots", LOG),
    ("rubydebug", LOG),
];

const OUTPUTS: &[Row] = &[
    (r#"file { path => "/tmp/events.log" }"#, LOG),
    (r#"file { path => "/tmp/%{service}-%{+yyyy.MM.dd}.log" }"#, LOG),
    (r#"file { path => "/tmp/events.log" codec => line { format => "%{message}" } }"#, LOG),
    ("stdout { }", LOG),
    ("stdout { codec => json_lines }", LOG),
    ("stdout { codec => dots }", LOG),
    ("null { }", LOG),
    (r#"elasticsearch { hosts => "127.0.0.1:9200" index => "logs-%{+yyyy.MM.dd}" }"#, LOG),
];

/// All cases, in the order of the table.
pub fn cases() -> Vec<Case> {
    let kinds = [
        (Kind::Event, EVENTS),
        (Kind::Template, TEMPLATES),
        (Kind::Condition, CONDITIONS),
        (Kind::Filter, FILTERS),
        (Kind::Decode, DECODES),
        (Kind::Encode, ENCODES),
        (Kind::Output, OUTPUTS),
    ];
    let case = |kind| move |(conf, event): &Row| Case { kind, conf, event };
    kinds.iter().flat_map(|(kind, rows)| rows.iter().map(case(*kind))).collect()
}
