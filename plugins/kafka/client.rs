//! What the input and the output have in common: how brokers are reached.

pub(crate) mod options;
pub(crate) mod security;

use ferrostash_plugin::{BuildContext, BuildResult};
use rdkafka::ClientConfig;
use rdkafka::config::RDKafkaLogLevel;

use options::{ConnectionOptions, DnsLookup};

/// The longest that librdkafka does not look at topics again.
const TOPICS_AGE_MAX_MS: u64 = 3_600_000;
/// The longest that it waits for an answer.
const ANSWER_MAX_MS: u64 = 300_000;

/// The settings of librdkafka that these options stand for.
pub(crate) fn config(options: &ConnectionOptions, cx: &mut BuildContext<'_>) -> BuildResult<ClientConfig> {
    // librdkafka finds this only when it starts.
    if options.reconnect_backoff_ms > options.reconnect_backoff_max_ms {
        return Err(cx.refuse("`reconnect_backoff_ms` is larger than `reconnect_backoff_max_ms`"));
    }
    let mut config = ClientConfig::new();
    let lookup = match options.client_dns_lookup {
        DnsLookup::Default | DnsLookup::UseAllDnsIps => "use_all_dns_ips",
        DnsLookup::ResolveCanonicalBootstrapServersOnly => "resolve_canonical_bootstrap_servers_only",
    };
    config
        .set("bootstrap.servers", servers(&options.bootstrap_servers).map_err(|reason| cx.refuse(reason))?)
        .set("client.id", &options.client_id)
        .set("client.dns.lookup", lookup)
        .set("client.software.name", "ferrostash")
        .set("client.software.version", env!("CARGO_PKG_VERSION"))
        .set("connections.max.idle.ms", options.connections_max_idle_ms.to_string())
        .set("metadata.max.age.ms", options.metadata_max_age_ms.to_string())
        .set(
            "topic.metadata.refresh.interval.ms",
            options.metadata_max_age_ms.min(TOPICS_AGE_MAX_MS).to_string(),
        )
        .set("socket.timeout.ms", options.request_timeout_ms.clamp(10, ANSWER_MAX_MS).to_string())
        .set("socket.receive.buffer.bytes", buffer_size(options.receive_buffer_bytes))
        .set("socket.send.buffer.bytes", buffer_size(options.send_buffer_bytes))
        .set("reconnect.backoff.ms", options.reconnect_backoff_ms.to_string())
        .set("reconnect.backoff.max.ms", options.reconnect_backoff_max_ms.to_string())
        .set("retry.backoff.ms", options.retry_backoff_ms.max(1).to_string())
        .set("log_level", "6")
        .set_log_level(RDKafkaLogLevel::Info);
    Ok(config)
}

/// The servers of `bootstrap_servers`; what stands before a `://` is passed over, as Java's client does.
fn servers(text: &str) -> Result<String, String> {
    let names = text.split(',').map(str::trim).filter(|name| !name.is_empty());
    let servers = names.map(|name| {
        let server = name.split_once("://").map_or(name, |(_, server)| server);
        let (host, port) = match server.rsplit_once(':') {
            Some((host, port)) if !host.contains(':') || host.ends_with(']') => (host, Some(port)),
            _ => (server, None),
        };
        let is_host = |c: char| c.is_ascii_alphanumeric() || "-%._:[]".contains(c);
        let is_port = |port: &str| port.parse::<u16>().is_ok_and(|port| port > 0);
        match !host.is_empty() && host.chars().all(is_host) && port.is_none_or(is_port) {
            true => Ok(server),
            false => Err(format!("Invalid url in `bootstrap_servers`: {name}")),
        }
    });
    let servers = servers.collect::<Result<Vec<_>, _>>()?;
    if servers.is_empty() {
        return Err("`bootstrap_servers` names no server".to_owned());
    }
    Ok(servers.join(","))
}

/// Java's -1 is librdkafka's 0.
fn buffer_size(bytes: i64) -> String {
    bytes.max(0).to_string()
}

/// Takes over what librdkafka logs.
pub(crate) fn log(level: RDKafkaLogLevel, facility: &str, message: &str) {
    match level {
        RDKafkaLogLevel::Emerg
        | RDKafkaLogLevel::Alert
        | RDKafkaLogLevel::Critical
        | RDKafkaLogLevel::Error => tracing::error!(facility, limited = true, "librdkafka: {message}"),
        RDKafkaLogLevel::Warning => tracing::warn!(facility, limited = true, "librdkafka: {message}"),
        RDKafkaLogLevel::Notice | RDKafkaLogLevel::Info => tracing::info!(facility, "librdkafka: {message}"),
        RDKafkaLogLevel::Debug => tracing::debug!(facility, "librdkafka: {message}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_with_or_without_a_protocol() {
        for (text, expected) in [
            ("kafka:9092", "kafka:9092"),
            (" a:1 ,, SASL_SSL://b.example:2,", "a:1,b.example:2"),
            ("[::1]:9092,10.0.0.1", "[::1]:9092,10.0.0.1"),
        ] {
            assert_eq!(servers(text).as_deref(), Ok(expected));
        }
        for (text, reason) in [
            ("kafka:99999", "Invalid url in `bootstrap_servers`: kafka:99999"),
            ("a:1,b:x", "Invalid url in `bootstrap_servers`: b:x"),
            ("http://", "Invalid url in `bootstrap_servers`: http://"),
            ("a b:1", "Invalid url in `bootstrap_servers`: a b:1"),
            (" , ", "`bootstrap_servers` names no server"),
        ] {
            assert_eq!(servers(text), Err(reason.to_owned()));
        }
    }
}
