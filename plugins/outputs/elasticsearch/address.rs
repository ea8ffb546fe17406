//! Where the nodes are: from `hosts`, `cloud_id`, `path`, `user` and their like to one address per node.
//!
//! What one URL says holds for those that don't: the first port, path, user and password found serve all. The scheme
//! is one for all.

use ferrostash_conf::{ConfKind, ConfValue, Uri};
use ferrostash_net::http_client::basic_authorization;
use http::HeaderValue;

use super::cloud_id;
use super::options::ElasticsearchOptions;

/// The port of a node when no URL names one.
const PORT: u16 = 9200;
/// Asks for no more of a bulk answer than is read.
const FILTER_PATH: &str = "filter_path=errors,items.*.error,items.*.failure_store,items.*.status";

/// One node.
#[derive(Clone, Debug)]
pub(super) struct Address {
    /// `http://host:port`, with the path of its URL and without user, password and a last slash.
    base: String,
    /// The option `path`, for nodes whose URL has no path.
    prefix: String,
    /// Query parameters for every request.
    query: String,
    /// User and password as a header.
    pub(super) authorization: Option<HeaderValue>,
    /// The URL of bulk requests.
    pub(super) bulk: String,
    /// The URL of health checks.
    pub(super) health: String,
    /// The URL that tells which nodes there are.
    pub(super) sniffing: String,
    /// `http://host:port`
    origin: String,
}

impl Address {
    /// The URL of an API by its path.
    pub(super) fn api(&self, path: &str) -> String {
        self.url(&format!("/{}/{path}", self.prefix))
    }

    /// The same on another host and port.
    pub(super) fn elsewhere(&self, authority: &str) -> Address {
        let scheme = self.origin.split("//").next().unwrap_or_default();
        let origin = format!("{scheme}//{authority}");
        let moved = |url: &str| format!("{origin}{}", url.strip_prefix(&self.origin).unwrap_or_default());
        Address {
            base: moved(&self.base),
            bulk: moved(&self.bulk),
            health: moved(&self.health),
            sniffing: moved(&self.sniffing),
            origin,
            ..self.clone()
        }
    }

    /// The URL of `path`, which may have a query of its own, below the node's base.
    fn url(&self, path: &str) -> String {
        let (path, own) = path.split_once('?').unwrap_or((path, ""));
        let mut url = format!("{}{}", self.base, dedup_slashes(&format!("/{path}")));
        let queries = [self.query.as_str(), own];
        for (at, query) in queries.into_iter().filter(|query| !query.is_empty()).enumerate() {
            url.push(if at == 0 { '?' } else { '&' });
            url.push_str(query);
        }
        url
    }
}

impl std::fmt::Display for Address {
    /// The address for logs: without query and password.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.base, self.prefix)
    }
}

/// All nodes.
#[derive(Clone, Debug)]
pub(super) struct Addresses {
    pub(super) nodes: Vec<Address>,
    /// Whether TLS is spoken.
    pub(super) secure: bool,
}

impl Addresses {
    /// What the options say.
    ///
    /// # Errors
    /// They contradict each other; the sentence says how.
    pub(super) fn of(options: &ElasticsearchOptions, login: Option<&Login>) -> Result<Addresses, String> {
        let hosts = hosts(options)?;
        let secure = secure(options, &hosts)?;
        let shared = Shared {
            secure,
            path: agree("path", path_option(options), &hosts, url_path)?.unwrap_or_default(),
            user: agree("user", login.map(|login| login.0.clone()), &hosts, url_user)?,
            password: agree("password", login.map(|login| login.1.clone()), &hosts, url_password)?,
            port: hosts.first().and_then(Uri::port).unwrap_or(PORT),
        };
        Ok(Addresses { nodes: hosts.iter().map(|host| shared.address(host, options)).collect(), secure })
    }
}

/// User and password.
pub(super) type Login = (String, String);

/// What holds for all nodes whose URLs don't say otherwise.
struct Shared {
    secure: bool,
    path: String,
    user: Option<String>,
    password: Option<String>,
    port: u16,
}

impl Shared {
    fn address(&self, host: &Uri, options: &ElasticsearchOptions) -> Address {
        let user = url_user(host).or_else(|| self.user.clone());
        let password = url_password(host).or_else(|| self.password.clone());
        // A path in the URL stands in front of everything. The option `path` is the default of the paths below only.
        let path = url_path(host);
        let prefix = if path.is_some() { String::new() } else { self.path.clone() };
        let mut address = Address {
            base: base_url(self.secure, host, host.port().unwrap_or(self.port), &path.unwrap_or_default()),
            query: query(host.query(), options.parameters.as_deref().unwrap_or_default()),
            authorization: user.zip(password).map(|(user, password)| basic_authorization(&user, &password)),
            bulk: String::new(),
            health: String::new(),
            sniffing: String::new(),
            origin: base_url(self.secure, host, host.port().unwrap_or(self.port), ""),
            prefix,
        };
        let bulk = options.bulk_path.clone().unwrap_or_else(|| format!("{}/_bulk", address.prefix));
        let health = options.healthcheck_path.clone().unwrap_or_else(|| address.prefix.clone());
        address.bulk = address.url(&with_filter(&bulk));
        address.health = address.url(&health);
        let sniffing =
            options.sniffing_path.clone().unwrap_or_else(|| format!("{}/_nodes/http", address.prefix));
        address.sniffing = address.url(&sniffing);
        address
    }
}

fn path_option(options: &ElasticsearchOptions) -> Option<String> {
    options.path.as_deref().map(bare_path).filter(|path| !path.is_empty())
}

fn url_path(host: &Uri) -> Option<String> {
    Some(bare_path(host.path())).filter(|path| !path.is_empty())
}

fn url_user(host: &Uri) -> Option<String> {
    host.user().map(percent_decode).filter(|user| !user.is_empty())
}

fn url_password(host: &Uri) -> Option<String> {
    host.password().map(|password| percent_decode(password.reveal()))
}

/// `hosts`, or the one that `cloud_id` means.
fn hosts(options: &ElasticsearchOptions) -> Result<Vec<Uri>, String> {
    let default = || Uri::parse("//127.0.0.1").map(|host| vec![host]);
    match (&options.cloud_id, &options.hosts) {
        (Some(_), Some(_)) => Err("Both cloud_id and hosts specified, please only use one of those.".into()),
        (Some(cloud_id), None) => Ok(vec![Uri::parse(&cloud_id::elasticsearch_address(cloud_id)?)?]),
        (None, Some(hosts)) if !hosts.is_empty() => Ok(hosts.clone()),
        (None, _) => default(),
    }
}

/// Whether to speak TLS: with every node, or with none.
fn secure(options: &ElasticsearchOptions, hosts: &[Uri]) -> Result<bool, String> {
    if let Some(bad) = hosts.iter().filter_map(Uri::scheme).find(|scheme| !["http", "https"].contains(scheme))
    {
        return Err(format!("Bad scheme '{bad}' found should be one of http/https"));
    }
    let any_https = hosts.iter().any(|host| host.scheme() == Some("https"));
    let first = hosts.first().and_then(Uri::scheme);
    match options.ssl_enabled {
        Some(true) if first == Some("http") => Err(contradiction("scheme", "http", "https")),
        Some(enabled) => Ok(enabled || any_https),
        None => Ok(any_https),
    }
}

/// What an option and the URLs say about the same thing; the first URL that says something speaks for all.
fn agree(
    name: &str,
    option: Option<String>,
    hosts: &[Uri],
    of: impl Fn(&Uri) -> Option<String>,
) -> Result<Option<String>, String> {
    let in_url = hosts.first().and_then(of);
    match (option, in_url) {
        (Some(option), Some(in_url)) if option != in_url && name == "password" => {
            Err(contradiction(name, "<password>", "<password>"))
        }
        (Some(option), Some(in_url)) if option != in_url => Err(contradiction(name, &in_url, &option)),
        (option, in_url) => Ok(in_url.or(option)),
    }
}

fn contradiction(name: &str, in_url: &str, option: &str) -> String {
    format!(
        "Explicit value for '{name}' was declared, but it is different in one of the URLs given! Please make sure your \
         URLs are inline with explicit values. The URLs have the property set to '{in_url}', but it was also set to \
         '{option}' explicitly"
    )
}

fn base_url(secure: bool, host: &Uri, port: u16, path: &str) -> String {
    let scheme = if secure { "https" } else { "http" };
    let slash = if path.is_empty() { "" } else { "/" };
    format!("{scheme}://{}:{port}{slash}{path}", host.host())
}

/// The query of the URL and `parameters`; a parameter replaces one of the same name.
fn query(in_url: Option<&str>, parameters: &[(String, ConfValue)]) -> String {
    let name_of = |pair: &str| pair.split('=').next().unwrap_or_default().to_owned();
    let given = in_url.unwrap_or_default().split('&').filter(|pair| !pair.is_empty());
    let kept =
        given.filter(|pair| parameters.iter().all(|(name, _)| *name != name_of(pair))).map(str::to_owned);
    let added = parameters.iter().flat_map(|(name, value)| {
        let values = match &value.kind {
            ConfKind::Array(values) => values.as_slice(),
            _ => std::slice::from_ref(value),
        };
        values.iter().map(move |value| format!("{name}={}", value.to_text().unwrap_or_default()))
    });
    kept.chain(added).collect::<Vec<_>>().join("&")
}

fn with_filter(path: &str) -> String {
    if path.contains("?filter_path=") || path.contains("&filter_path=") {
        return path.to_owned();
    }
    let separator = if path.split_once('?').is_some_and(|(_, query)| !query.is_empty()) { "&" } else { "?" };
    format!("{}{separator}{FILTER_PATH}", path.trim_end_matches('?'))
}

/// A path without slashes at its ends and without empty parts.
fn bare_path(path: &str) -> String {
    path.split('/').filter(|part| !part.is_empty()).collect::<Vec<_>>().join("/")
}

fn dedup_slashes(path: &str) -> String {
    let mut out = String::with_capacity(path.len());
    for c in path.chars() {
        if c != '/' || !out.ends_with('/') {
            out.push(c);
        }
    }
    out
}

/// User names and passwords stand percent-encoded in URLs.
fn percent_decode(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        let hex = |digit: &u8| char::from(*digit).to_digit(16);
        let escaped = match rest {
            [b'%', high, low, after @ ..] => {
                hex(high).zip(hex(low)).map(|(high, low)| (high * 16 + low, after))
            }
            _ => None,
        };
        let (byte, after) = escaped.map_or((*first, tail), |(byte, after)| (byte.to_le_bytes()[0], after));
        bytes.push(byte);
        rest = after;
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::super::tests::options;
    use super::*;

    fn addresses(text: &str) -> Result<Addresses, String> {
        let login = Some(("elastic".to_owned(), "s3cret".to_owned()));
        Addresses::of(&options(text), login.as_ref().filter(|_| text.contains("user")))
    }

    fn urls(text: &str) -> Vec<String> {
        let short = |url: &String| {
            url.replace("?filter_path=errors,items.*.error,items.*.failure_store,items.*.status", "")
        };
        addresses(text).unwrap().nodes.iter().map(|node| short(&node.bulk)).collect()
    }

    #[test]
    fn hosts_have_many_forms() {
        assert_eq!(urls(""), ["http://127.0.0.1:9200/_bulk"]);
        assert_eq!(
            urls(r#"hosts => ["es1", "es2:9201", "[::1]:9202", "http://es4/base/"]"#),
            [
                "http://es1:9200/_bulk",
                "http://es2:9201/_bulk",
                "http://[::1]:9202/_bulk",
                "http://es4:9200/base/_bulk"
            ]
        );
        // The first one's port serves those without.
        assert_eq!(urls(r#"hosts => "es1:443 es2""#), ["http://es1:443/_bulk", "http://es2:443/_bulk"]);
        assert_eq!(
            urls(r#"hosts => ["https://es1", "es2"]"#),
            ["https://es1:9200/_bulk", "https://es2:9200/_bulk"]
        );
        assert_eq!(urls(r#"hosts => "es1" ssl_enabled => true"#), ["https://es1:9200/_bulk"]);
        let id = "cloud_id => 'x:dXMuYXdzLmV4YW1wbGUkYWJjJGRlZg=='";
        assert_eq!(urls(id), ["https://abc.us.aws.example:443/_bulk"]);
    }

    #[test]
    fn paths_and_parameters() {
        assert_eq!(urls("path => '/es/'"), ["http://127.0.0.1:9200/es/_bulk"]);
        assert_eq!(urls("path => '/es' bulk_path => 'own/_bulk'"), ["http://127.0.0.1:9200/own/_bulk"]);
        assert_eq!(urls("hosts => 'h/es' bulk_path => '/own'"), ["http://h:9200/es/own"]);
        let node =
            addresses("path => es healthcheck_path => '/up' parameters => { 'a' => 1 'b' => ['x', 'y'] }")
                .unwrap();
        let node = &node.nodes[0];
        assert_eq!(node.health, "http://127.0.0.1:9200/up?a=1&b=x&b=y");
        assert_eq!(node.api("_license"), "http://127.0.0.1:9200/es/_license?a=1&b=x&b=y");
        assert!(node.bulk.ends_with(
            "/es/_bulk?a=1&b=x&b=y&filter_path=errors,items.*.error,items.*.failure_store,items.*.status"
        ));
        let own = addresses("bulk_path => '/_bulk?routing=1&filter_path=errors'").unwrap();
        assert_eq!(own.nodes[0].bulk, "http://127.0.0.1:9200/_bulk?routing=1&filter_path=errors");
    }

    #[test]
    fn nodes_that_were_found_are_reached_like_those_that_were_named() {
        let nodes = addresses("hosts => 'https://me:p@es1/base' parameters => { 'a' => 1 }").unwrap().nodes;
        assert_eq!(nodes[0].sniffing, "https://es1:9200/base/_nodes/http?a=1");
        let found = nodes[0].elsewhere("[::1]:9201");
        assert_eq!(found.health, "https://[::1]:9201/base/?a=1");
        assert!(found.bulk.starts_with("https://[::1]:9201/base/_bulk?a=1&"), "{}", found.bulk);
        assert_eq!(found.authorization, nodes[0].authorization);
        assert_eq!(found.elsewhere("es1:9200").bulk, nodes[0].bulk);
        let own = addresses("path => es sniffing_path => '/_nodes/own'").unwrap().nodes;
        assert_eq!(own[0].sniffing, "http://127.0.0.1:9200/_nodes/own");
    }

    #[test]
    fn urls_carry_users_and_passwords() {
        let nodes = addresses("hosts => ['http://me:p%40ss@es1', 'es2']").unwrap().nodes;
        let expected = Some(basic_authorization("me", "p@ss"));
        assert_eq!((&nodes[0].authorization, &nodes[1].authorization), (&expected, &expected));
        assert!(nodes[0].bulk.starts_with("http://es1:9200/"));
        let nodes = addresses("hosts => 'es1' user => elastic password => s3cret").unwrap().nodes;
        assert_eq!(nodes[0].authorization, Some(basic_authorization("elastic", "s3cret")));
    }

    #[test]
    fn contradictions_are_refused() {
        for (text, part) in [
            ("hosts => 'http://me:x@es1' user => elastic password => s3cret", "'user' was declared"),
            ("hosts => 'http://elastic:x@es1' user => elastic password => s3cret", "'password' was declared"),
            ("hosts => 'es1/a' path => 'b'", "'path' was declared"),
            ("hosts => 'http://es1' ssl_enabled => true", "'scheme' was declared"),
            ("hosts => 'ftp://es1'", "Bad scheme 'ftp'"),
            ("hosts => 'es1' cloud_id => 'x:y'", "Both cloud_id and hosts specified"),
        ] {
            let error = addresses(text).unwrap_err();
            assert!(error.contains(part) && !error.contains("s3cret"), "{text}: {error}");
        }
    }
}
