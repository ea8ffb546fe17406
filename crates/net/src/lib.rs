//! What every network plugin needs and none should write twice.
//!
//! * [`tls`] turns Logstash's `ssl_*` options into rustls configurations, or into an error that names the
//!   option, the file and the reason.
//! * [`listener`] accepts connections under a bound, with TLS, the PROXY header and an orderly stop, and
//!   hands out [`stream::ByteStream`]s.
//! * [`dial`] is the other direction: one outgoing connection, with typed errors that say host and port.
//! * [`http_client`] is the client of the bulk outputs.
//!
//! Nothing here is global: each plugin owns its configuration, its pool and its provider.

pub mod dial;
pub mod http_client;
pub mod listener;
mod proxy_protocol;
pub mod secret;
pub mod stream;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
pub mod tls;
