//! Finding nodes by asking the cluster.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;

use super::nodes::Nodes;

/// Most nodes that a cluster can name.
const NODES_MAX: usize = 10_000;
/// The shortest time between two looks.
pub(super) const SNIFFING_DELAY_MIN: Duration = Duration::from_millis(100);

#[derive(Deserialize)]
struct Answer {
    #[serde(default)]
    nodes: BTreeMap<String, Node>,
}

#[derive(Deserialize)]
struct Node {
    roles: Option<Vec<String>>,
    http: Option<Http>,
}

#[derive(Deserialize)]
struct Http {
    publish_address: Option<String>,
}

/// Asks the cluster for its nodes, again and again, and goes on with those.
pub(super) async fn sniff(nodes: Arc<Nodes>, delay: Duration) {
    loop {
        look(&nodes).await;
        tokio::time::sleep(delay).await;
    }
}

/// Asks once; what can't be understood changes nothing.
pub(super) async fn look(nodes: &Nodes) {
    let answer = match nodes.sniff().await {
        Ok(answer) if answer.status.is_success() => answer,
        Ok(answer) => {
            let code = answer.status.as_u16();
            return tracing::error!(limited = true, code, "Error while performing sniffing");
        }
        // It is logged that no node is alive, or that one died.
        Err(_) => return,
    };
    let found = match authorities(&answer.body) {
        Ok(found) => found,
        Err(reason) => return tracing::error!(limited = true, reason, "Error while performing sniffing"),
    };
    let Some(known) = nodes.all().first().map(|node| node.address.clone()) else { return };
    if found.is_empty() {
        return tracing::warn!(limited = true, "Sniff returned no nodes! Will not update hosts.");
    }
    nodes.replace(found.iter().map(|authority| known.elsewhere(authority)).collect()).await;
}

/// `host:port` of each node that takes documents.
fn authorities(body: &[u8]) -> Result<Vec<String>, String> {
    let answer: Answer = serde_json::from_slice(body).map_err(|error| error.to_string())?;
    if answer.nodes.len() > NODES_MAX {
        return Err(format!("it names more than {NODES_MAX} nodes"));
    }
    let takes_documents =
        |node: &Node| node.roles.as_ref().is_none_or(|roles| roles.iter().any(|role| role != "master"));
    let nodes = answer.nodes.into_values().filter(takes_documents);
    Ok(nodes.filter_map(|node| authority(&node.http?.publish_address?)).collect())
}

/// From `host/ip:port`, `ip:port` or `[ipv6]:port`; the name goes first, since certificates speak of it.
fn authority(address: &str) -> Option<String> {
    let (name, place) = address.split_once('/').map_or(("", address), |(name, place)| (name, place));
    let (ip, port) = place.rsplit_once(':')?;
    port.parse::<u16>().ok()?;
    let host = if name.is_empty() { ip } else { name };
    let is_bare_ipv6 = host.contains(':') && !host.starts_with('[');
    (!host.is_empty())
        .then(|| if is_bare_ipv6 { format!("[{host}]:{port}") } else { format!("{host}:{port}") })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn addresses_have_many_forms() {
        for (address, expected) in [
            ("10.0.0.1:9200", "10.0.0.1:9200"),
            ("es1.example/10.0.0.1:9201", "es1.example:9201"),
            ("/10.0.0.1:9200", "10.0.0.1:9200"),
            ("[::1]:9200", "[::1]:9200"),
            ("es6/[fe80::1]:9200", "es6:9200"),
            ("fe80::1:9200", "[fe80::1]:9200"),
        ] {
            assert_eq!(authority(address).as_deref(), Some(expected), "{address}");
        }
        assert!(
            authority("es1").is_none() && authority("es1:http").is_none() && authority(":9200").is_none()
        );
    }

    #[test]
    fn nodes_that_are_only_masters_take_no_documents() {
        let node =
            |roles: &[&str], address: &str| json!({"roles": roles, "http": {"publish_address": address}});
        let body = json!({"nodes": {
            "a": node(&["master"], "10.0.0.1:9200"),
            "b": node(&["master", "data"], "10.0.0.2:9200"),
            "c": {"http": {"publish_address": "10.0.0.3:9200"}},
            "d": {"roles": ["data"]},
            "e": node(&["data_hot", "ingest"], "10.0.0.5:9200"),
        }});
        let found = authorities(body.to_string().as_bytes()).unwrap();
        assert_eq!(found, ["10.0.0.2:9200", "10.0.0.3:9200", "10.0.0.5:9200"]);
        assert!(authorities(b"<html>").is_err());
        assert!(authorities(b"{}").unwrap().is_empty());
    }
}
