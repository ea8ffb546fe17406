//! The monitoring API on port 9600: Logstash's paths and shapes, and Prometheus's text.
//!
//! Both read the counters that pipelines and plugins keep anyway; asking costs nothing until somebody asks.

mod ledger;
mod node;
mod process;
mod prometheus;
mod stats;

use crate::agent::View;
use crate::settings::ApiSettings;
use axum::Router;
use axum::extract::{Path, RawQuery, State};
use axum::http::{StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde_json::{Map, Value, json};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::net::TcpListener;

pub(crate) use node::Node;

/// What every request may look at.
#[derive(Clone)]
struct Api {
    node: Arc<Node>,
    view: Arc<View>,
}

/// Binds the first free port and answers until the process ends.
///
/// # Errors
/// No port of the range is free, or the host can't be bound.
pub(crate) async fn start(settings: &ApiSettings, node: Node, view: Arc<View>) -> io::Result<SocketAddr> {
    let listener = bind(settings).await?;
    let address = listener.local_addr()?;
    let api = Api { node: Arc::new(node.at(address)), view };
    let router = Router::new()
        .route("/", get(root))
        .route("/_node/plugins", get(plugins))
        .route("/_node/stats", get(node_stats))
        .route("/_node/stats/pipelines/{id}", get(pipeline_stats))
        .route("/_node/stats/{filter}", get(filtered_stats))
        .route("/metrics", get(metrics))
        .fallback(not_found)
        .with_state(api);
    tokio::spawn(async move {
        if let Err(error) = axum::serve(listener, router).await {
            tracing::error!(target: "logstash.api", %error, "the API has stopped");
        }
    });
    Ok(address)
}

async fn bind(settings: &ApiSettings) -> io::Result<TcpListener> {
    let ApiSettings { host, port_first, port_last, .. } = settings;
    let mut refused = None;
    for port in *port_first..=*port_last {
        match TcpListener::bind((host.as_str(), port)).await {
            Ok(listener) => return Ok(listener),
            Err(error) => refused = Some((port, error)),
        }
    }
    let (kind, reason) = match refused {
        Some((_, error)) => (error.kind(), error.to_string()),
        None => (io::ErrorKind::InvalidInput, "no port to try".to_owned()),
    };
    let ports =
        if port_first == port_last { port_first.to_string() } else { format!("{port_first}-{port_last}") };
    Err(io::Error::new(kind, format!("{host}:{ports} can't be bound: {reason} (setting api.http.port)")))
}

async fn root(State(api): State<Api>, RawQuery(query): RawQuery) -> Response {
    let build = json!({ "build_date": null, "build_sha": null, "build_snapshot": false });
    api.answer(build, query.as_deref())
}

async fn plugins(State(api): State<Api>, RawQuery(query): RawQuery) -> Response {
    let list = api.node.plugins();
    api.answer(json!({ "total": list.len(), "plugins": list }), query.as_deref())
}

async fn node_stats(State(api): State<Api>, RawQuery(query): RawQuery) -> Response {
    api.answer(Value::Object(stats::all(&api.node, &api.view)), query.as_deref())
}

/// `/_node/stats/jvm,process`: some of the top-level keys.
async fn filtered_stats(
    State(api): State<Api>,
    Path(filter): Path<String>,
    RawQuery(query): RawQuery,
    uri: Uri,
) -> Response {
    let wanted: Vec<&str> = filter.split(',').collect();
    let all = stats::all(&api.node, &api.view);
    let some: Map<String, Value> =
        all.into_iter().filter(|(key, _)| wanted.contains(&key.as_str())).collect();
    if some.is_empty() { not_found(uri).await } else { api.answer(Value::Object(some), query.as_deref()) }
}

async fn pipeline_stats(
    State(api): State<Api>,
    Path(id): Path<String>,
    RawQuery(query): RawQuery,
    uri: Uri,
) -> Response {
    match api.view.pipelines().iter().find(|pipeline| pipeline.settings.id == id) {
        Some(pipeline) => {
            let stats = stats::pipeline(pipeline);
            api.answer(json!({ "pipelines": { id: stats } }), query.as_deref())
        }
        None => not_found(uri).await,
    }
}

async fn metrics(State(api): State<Api>) -> Response {
    match prometheus::text(&api.node, &api.view) {
        Ok(text) => ([(header::CONTENT_TYPE, prometheus::CONTENT_TYPE)], text).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}

async fn not_found(uri: Uri) -> Response {
    let body = json!({ "path": uri.path(), "status": 404, "error": { "message": "Not Found" } });
    (StatusCode::NOT_FOUND, [(header::CONTENT_TYPE, "application/json")], body.to_string()).into_response()
}

impl Api {
    /// The base of every answer, with `data` on top of it.
    fn answer(&self, data: Value, query: Option<&str>) -> Response {
        let mut body = self.node.base(&self.view);
        if let Value::Object(data) = data {
            body.extend(data);
        }
        let pretty =
            query.unwrap_or_default().split('&').any(|word| word == "pretty" || word.starts_with("pretty="));
        let body = Value::Object(body);
        let text = if pretty { format!("{body:#}") } else { body.to_string() };
        ([(header::CONTENT_TYPE, "application/json")], text).into_response()
    }
}
