//! `OAUTHBEARER`: from the options to where tokens come from.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use ferrostash_conf::Password;
use ferrostash_net::dial::DialTls;
use ferrostash_net::http_client::{CONNECT_TIMEOUT, HttpOptions, HttpRequest, REQUEST_TIMEOUT};
use ferrostash_plugin::{BuildContext, BuildResult};
use http::Method;
use rustls::crypto::aws_lc_rs;
use rustls::{ClientConfig as TlsConfig, RootCertStore};

use super::sasl::Jaas;
use super::token::{ANSWER_SIZE_MAX, Endpoint, Login, Source, TokenFile};
use super::{SecurityOptions, refuse, stores, tls};

const URL: &str = "sasl_oauthbearer_token_endpoint_url";

pub(super) fn login(
    jaas: &mut Jaas,
    options: &SecurityOptions,
    cx: &mut BuildContext<'_>,
) -> BuildResult<Login> {
    let Some(url) = &options.sasl_oauthbearer_token_endpoint_url else {
        return Err(cx.refuse(format!("OAUTHBEARER needs `{URL}`")));
    };
    for name in jaas.module.rest() {
        if name.starts_with("extension_") {
            let text = format!(
                "`{name}`: SASL extensions can't be sent, for the library has no way to hand them on"
            );
            return Err(jaas.refuse(cx, text));
        }
        if name.starts_with("unsecuredLogin") {
            return Err(jaas.refuse(cx, format!("`{name}`: tokens that nobody signed are not made here")));
        }
    }
    let scope_claim = options.sasl_oauthbearer_scope_claim_name.clone();
    if url.value.starts_with("file:") {
        let path = file_path(&url.value).map_err(|error| refuse(cx, URL, url, error))?;
        if !path.is_file() {
            return Err(refuse(cx, URL, url, format!("{} is not a file", path.display())));
        }
        return Ok(Login::of(Source::File(TokenFile { path, scope_claim })));
    }
    // The address may hold a password, and so is in no message.
    HttpRequest::new(Method::POST, &url.value).map_err(|error| refuse(cx, URL, url, error))?;
    // Java's 0 is a wait without an end.
    let millis = |value: Option<u64>, default| {
        value.filter(|millis| *millis > 0).map_or(default, Duration::from_millis)
    };
    let connect_timeout = millis(options.sasl_login_connect_timeout_ms, CONNECT_TIMEOUT);
    let read_timeout = millis(options.sasl_login_read_timeout_ms, REQUEST_TIMEOUT);
    let tls = if url.value.starts_with("https:") { Some(dial_tls(jaas, options, cx)?) } else { None };
    Ok(Login::of(Source::Endpoint(Box::new(Endpoint {
        url: Password::new(&url.value),
        client_id: jaas.required("clientId", cx)?,
        client_secret: Password::new(jaas.required("clientSecret", cx)?),
        scope: jaas.module.take("scope").filter(|scope| !scope.is_empty()),
        scope_claim,
        http: HttpOptions {
            tls,
            connect_timeout,
            request_timeout: connect_timeout.saturating_add(read_timeout),
            response_size_max: ANSWER_SIZE_MAX,
            ..HttpOptions::default()
        },
        backoff: Duration::from_millis(options.sasl_login_retry_backoff_ms.max(1)),
        attempts_end: Duration::from_millis(options.sasl_login_retry_backoff_max_ms),
    }))))
}

/// `file:/path`, `file:///path`.
fn file_path(url: &str) -> Result<PathBuf, &'static str> {
    let rest = url.strip_prefix("file:").unwrap_or(url);
    let path = match rest.strip_prefix("//") {
        Some(rest) => rest.strip_prefix("localhost").unwrap_or(rest),
        None => rest,
    };
    match path {
        path if !path.starts_with('/') => Err("a file's address has the form file:///path"),
        path if path.contains(['%', '?', '#']) => {
            Err("a file's path without `%`, `?` and `#` is what can be read")
        }
        path => Ok(PathBuf::from(path)),
    }
}

/// As in Kafka, `ssl.truststore.…` and `ssl.keystore.…` of the JAAS line are for the endpoint. Without a truststore there, the
/// system's authorities are believed, and those of the plugin's truststore, which Kafka does not look into.
fn dial_tls(jaas: &mut Jaas, options: &SecurityOptions, cx: &mut BuildContext<'_>) -> BuildResult<DialTls> {
    let [location, kind, password] =
        ["location", "type", "password"].map(|name| jaas.module.take(&format!("ssl.truststore.{name}")));
    let password = password.map(Password::new);
    let trusted = match location {
        Some(path) => stores::trusted(Path::new(&path), kind.as_deref(), password.as_ref())
            .map_err(|error| jaas.refuse(cx, format!("`ssl.truststore.location` ({path}): {error}")))?,
        None => {
            let mut trusted = tls::truststore(options, cx)?.unwrap_or_default();
            trusted.extend(tls::system().unwrap_or_default());
            trusted
        }
    };
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(trusted);
    if roots.is_empty() {
        return Err(cx.refuse(format!("set `ssl_truststore_location`: nobody is trusted for `{URL}`")));
    }
    let builder = TlsConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| cx.refuse(format!("TLS can't be used: {error}")))?
        .with_root_certificates(roots);
    let [location, kind, password] =
        ["location", "type", "password"].map(|name| jaas.module.take(&format!("ssl.keystore.{name}")));
    let [password, key_password] =
        [password, jaas.module.take("ssl.key.password")].map(|text| text.map(Password::new));
    let config = match location {
        Some(path) => {
            let identity =
                stores::identity(Path::new(&path), kind.as_deref(), password.as_ref(), key_password.as_ref())
                    .map_err(|error| jaas.refuse(cx, format!("`ssl.keystore.location` ({path}): {error}")))?;
            builder
                .with_client_auth_cert(identity.certificates, identity.key)
                .map_err(|error| jaas.refuse(cx, format!("`ssl.keystore.location` ({path}): {error}")))?
        }
        None => builder.with_no_client_auth(),
    };
    Ok(DialTls { config: Arc::new(config), server_name: None })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_have_absolute_addresses() {
        for url in ["file:/run/token", "file:///run/token", "file://localhost/run/token"] {
            assert_eq!(file_path(url), Ok(PathBuf::from("/run/token")), "{url}");
        }
        assert!(file_path("file:token").is_err());
        assert!(file_path("file://host/token").is_err());
        assert!(file_path("file:///run/a%20token").is_err());
    }
}
