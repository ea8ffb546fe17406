//! The HTTP client that the options describe.

use std::time::Duration;

use ferrostash_conf::{OptionEnum, Password};
use ferrostash_net::dial::DialTls;
use ferrostash_net::http_client::{CONNECT_TIMEOUT, HttpOptions, POOL_IDLE_TIMEOUT, Proxy, secret_value};
use ferrostash_net::secret::Secret;
use ferrostash_net::tls::{ClientTls, Identity, Store, StoreKind, Trust, VerificationMode};
use http::HeaderValue;
use http::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderName, USER_AGENT};
use std::path::PathBuf;

use super::options::{ElasticsearchOptions, SslVerificationMode, StoreType};
use super::profile::Profile;

const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// The client's options.
///
/// # Errors
/// An option can't be used; the sentence names it.
pub(super) fn http_options(
    options: &ElasticsearchOptions,
    profile: &Profile,
    secure: bool,
    api_key: Option<&HeaderValue>,
) -> Result<HttpOptions, String> {
    let request_timeout = seconds(options.timeout);
    let idle = u64::try_from(options.validate_after_inactivity).ok().filter(|idle| *idle > 0);
    let proxy = options.proxy.as_ref().map(|proxy| Proxy::parse(&full_address(proxy.reveal())));
    Ok(HttpOptions {
        tls: if secure { Some(tls(options)?) } else { None },
        connect_timeout: CONNECT_TIMEOUT.min(request_timeout),
        request_timeout,
        pool_max_per_host: options.pool_max_per_route.min(options.pool_max).max(1),
        pool_idle_timeout: idle.map_or(POOL_IDLE_TIMEOUT, Duration::from_millis),
        proxy: proxy.transpose().map_err(|error| format!("proxy: {error}"))?,
        headers: headers(options, profile, api_key)?,
        ..HttpOptions::default()
    })
}

/// Seconds as they stand in options; 0 and less mean as long as it takes.
fn seconds(seconds: f64) -> Duration {
    const FOREVER: Duration = Duration::from_secs(365 * 86_400);
    let limit = Duration::try_from_secs_f64(seconds).unwrap_or(Duration::ZERO);
    if limit.is_zero() { FOREVER } else { limit.min(FOREVER) }
}

fn full_address(address: &str) -> String {
    address.strip_prefix("//").map_or_else(|| address.to_owned(), |rest| format!("http://{rest}"))
}

fn headers(
    options: &ElasticsearchOptions,
    profile: &Profile,
    api_key: Option<&HeaderValue>,
) -> Result<HeaderMap, String> {
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_TYPE, JSON);
    for (name, value) in profile.headers {
        headers.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
    }
    let agent = format!(
        "ferrostash/{} (OS={}-{}) {}-output",
        env!("CARGO_PKG_VERSION"),
        std::env::consts::OS,
        std::env::consts::ARCH,
        profile.name
    );
    headers.extend(HeaderValue::try_from(agent).map(|agent| (USER_AGENT, agent)));
    for (name, value) in &options.custom_headers {
        let text = value
            .to_text()
            .ok_or_else(|| format!("custom_headers: the value of {name:?} is not one text"))?;
        let name = HeaderName::try_from(name.as_str())
            .map_err(|_| format!("custom_headers: {name:?} is no name of a header"))?;
        let value = secret_value(&text)
            .ok_or_else(|| format!("custom_headers: the value of `{name}` can't be sent"))?;
        headers.insert(name, value);
    }
    if let Some(api_key) = api_key {
        headers.insert(AUTHORIZATION, api_key.clone());
    }
    Ok(headers)
}

fn tls(options: &ElasticsearchOptions) -> Result<DialTls, String> {
    let authorities = options.ssl_certificate_authorities.clone().unwrap_or_default();
    if !authorities.is_empty() && options.ssl_truststore_path.is_some() {
        return Err(
            "Use either \"ssl_certificate_authorities/cacert\" or \"ssl_truststore_path/truststore\" when \
                    configuring the CA certificate"
                .into(),
        );
    }
    if options.ssl_certificate.is_some() && options.ssl_keystore_path.is_some() {
        return Err(
            "Use either \"ssl_certificate\" or \"ssl_keystore_path/keystore\" when configuring client \
                    certificates"
                .into(),
        );
    }
    if options.ssl_certificate.is_some() && options.ssl_key.is_none() {
        return Err("Using an \"ssl_certificate\" requires an \"ssl_key\"".into());
    }
    if options.ssl_certificate.is_none() && options.ssl_key.is_some() {
        return Err("An \"ssl_certificate\" is required when using an \"ssl_key\"".into());
    }
    let tls = ClientTls {
        identity: Identity {
            certificate: options.ssl_certificate.clone(),
            key: options.ssl_key.clone(),
            keystore: store(
                options.ssl_keystore_path.as_ref(),
                options.ssl_keystore_type,
                options.ssl_keystore_password.as_ref(),
            ),
            ..Identity::default()
        },
        trust: Trust {
            certificate_authorities: authorities,
            truststore: store(
                options.ssl_truststore_path.as_ref(),
                options.ssl_truststore_type,
                options.ssl_truststore_password.as_ref(),
            ),
        },
        ca_trusted_fingerprints: options.ca_trusted_fingerprint.clone().unwrap_or_default(),
        verification_mode: match options.ssl_verification_mode {
            SslVerificationMode::Full => VerificationMode::Full,
            SslVerificationMode::None => VerificationMode::None,
        },
        supported_protocols: options.ssl_supported_protocols.clone(),
        cipher_suites: options.ssl_cipher_suites.clone().unwrap_or_default(),
    };
    Ok(DialTls { config: tls.build().map_err(|error| error.to_string())?, server_name: None })
}

fn store(path: Option<&PathBuf>, kind: Option<StoreType>, password: Option<&Password>) -> Option<Store> {
    Some(Store {
        path: path?.clone(),
        password: password.map(|password| Secret::new(password.reveal())),
        kind: kind.and_then(|kind| kind.name().parse::<StoreKind>().ok()),
    })
}
