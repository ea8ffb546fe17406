//! Requests to a registry.

use std::path::Path;
use std::time::Duration;

use ferrostash_conf::{OptionEnum, Password, Spanned, Uri};
use ferrostash_net::dial::DialTls;
use ferrostash_net::http_client::{HttpClient, HttpOptions, HttpRequest, Proxy, basic_authorization};
use ferrostash_net::tls::ClientTls;
use http::header::{ACCEPT, AUTHORIZATION, HeaderMap, HeaderValue};
use http::{Method, StatusCode};
use rustls::crypto::aws_lc_rs;
use rustls::sign::CertifiedKey;
use serde_json::Value;

use super::RegistryError;
use crate::client::security::stores::{self, Part, StoreError};
use crate::input::registry_options::{RegistryOptions, StoreType};

/// Time for a whole request.
pub(super) const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);
/// The largest answer, in bytes.
pub(super) const ANSWER_SIZE_MAX: usize = 16 * 1024 * 1024;
/// Characters that errors show of what the registry says.
const MESSAGE_CHARS_MAX: usize = 256;

#[derive(Debug)]
pub(super) struct Connection {
    client: HttpClient,
    /// What each path follows; it may hold user and password.
    address: Password,
    authorization: Option<HeaderValue>,
}

impl Connection {
    /// # Errors
    /// A sentence about an option that can't be used.
    pub(super) fn new(options: &RegistryOptions, url: &Spanned<Uri>) -> Result<Self, String> {
        let authorization = authorization(options)?;
        let secure = match url.value.scheme() {
            Some("https") => true,
            Some("http") => false,
            _ => {
                return Err(
                    "schema_registry_url: the address has to begin with http:// or https://".to_owned()
                );
            }
        };
        if url.value.query().is_some() {
            return Err("schema_registry_url: an address with `?` can't be used".to_owned());
        }
        let proxy = options.schema_registry_proxy.as_ref().map(Password::reveal);
        let proxy = proxy.filter(|address| !address.is_empty());
        let proxy = proxy.map(|address| Proxy::parse(address.strip_prefix("//").unwrap_or(address)));
        let tls = if secure { Some(tls(options)?) } else { None };
        let mut headers = HeaderMap::new();
        let accept =
            "application/vnd.schemaregistry.v1+json, application/vnd.schemaregistry+json, application/json";
        headers.insert(ACCEPT, HeaderValue::from_static(accept));
        let client = HttpClient::new(HttpOptions {
            tls,
            proxy: proxy.transpose().map_err(|error| format!("schema_registry_proxy: {error}"))?,
            request_timeout: REQUEST_TIMEOUT,
            response_size_max: ANSWER_SIZE_MAX,
            headers,
            ..HttpOptions::default()
        });
        let address = url.value.reveal();
        let address = address.split_once('#').map_or(address, |(address, _)| address).trim_end_matches('/');
        // What is wrong with it is found now, not with the first record.
        HttpRequest::new(Method::GET, address).map_err(|error| format!("schema_registry_url: {error}"))?;
        Ok(Self { client, address: Password::new(address), authorization })
    }

    /// What the registry answers.
    pub(super) async fn get(&self, path: &str) -> Result<Value, RegistryError> {
        let unreachable = |error: &dyn std::fmt::Display| RegistryError::Unreachable(error.to_string());
        let request = HttpRequest::new(Method::GET, &format!("{}{path}", self.address.reveal()));
        let mut request = request.map_err(|error| unreachable(&error))?;
        if let Some(authorization) = &self.authorization {
            request = request.header(AUTHORIZATION, authorization.clone());
        }
        let answer = self.client.send(request).await.map_err(|error| unreachable(&error))?;
        let body: Option<Value> = serde_json::from_slice(&answer.body).ok();
        let path = path.to_owned();
        match body {
            Some(body) if answer.status.is_success() => Ok(body),
            Some(body) if body.get("error_code").is_some_and(Value::is_i64) && is_final(answer.status) => {
                Err(RegistryError::Missing { path, message: message(&body) })
            }
            // Without the registry's own code an error comes from something before it.
            Some(body) => {
                Err(RegistryError::Refused { path, status: answer.status, message: message(&body) })
            }
            None => {
                let message = if answer.status.is_success() { "not JSON".to_owned() } else { String::new() };
                Err(RegistryError::Refused { path, status: answer.status, message })
            }
        }
    }
}

/// Whether a status is about what was asked for, not about who asks and when.
fn is_final(status: StatusCode) -> bool {
    let about_us = [
        StatusCode::UNAUTHORIZED,
        StatusCode::FORBIDDEN,
        StatusCode::PROXY_AUTHENTICATION_REQUIRED,
        StatusCode::REQUEST_TIMEOUT,
        StatusCode::TOO_MANY_REQUESTS,
    ];
    status.is_client_error() && !about_us.contains(&status)
}

fn message(body: &Value) -> String {
    let message = body.get("message").and_then(Value::as_str).unwrap_or_default();
    message.chars().take(MESSAGE_CHARS_MAX).collect()
}

/// Key and secret; without them those of the address are used.
fn authorization(options: &RegistryOptions) -> Result<Option<HeaderValue>, String> {
    let Some(key) = options.schema_registry_key.as_ref().filter(|key| !key.is_empty()) else {
        return Ok(None);
    };
    match &options.schema_registry_secret {
        Some(secret) if !secret.is_empty() => Ok(Some(basic_authorization(key, secret.reveal()))),
        _ => {
            Err("Setting `schema_registry_secret` is required when `schema_registry_key` is provided."
                .to_owned())
        }
    }
}

fn tls(options: &RegistryOptions) -> Result<DialTls, String> {
    let trusted = match store(options.schema_registry_ssl_truststore_location.as_ref()) {
        Some(path) => {
            let kind = options.schema_registry_ssl_truststore_type;
            let password = options.schema_registry_ssl_truststore_password.as_ref();
            let certificates = stores::trusted(path, Some(name(kind)), password);
            certificates.map_err(|error| unusable("truststore", path, &error))?
        }
        None => Vec::new(),
    };
    let own = match store(options.schema_registry_ssl_keystore_location.as_ref()) {
        Some(path) => {
            let kind = options.schema_registry_ssl_keystore_type;
            let password = options.schema_registry_ssl_keystore_password.as_ref();
            let own = stores::identity(path, Some(name(kind)), password, None);
            let own = own.map_err(|error| unusable("keystore", path, &error))?;
            let own = CertifiedKey::from_der(own.certificates, own.key, &aws_lc_rs::default_provider());
            Some(own.map_err(|error| format!("schema_registry_ssl_keystore_location: {error}"))?)
        }
        None => None,
    };
    // Both stores are read: what is left to go wrong is the system's trust.
    let config = ClientTls::default().build_with(own, trusted);
    let config =
        config.map_err(|error| format!("schema_registry_ssl_truststore_location: {}", error.reason))?;
    Ok(DialTls { config, server_name: None })
}

fn store(location: Option<&String>) -> Option<&Path> {
    location.filter(|location| !location.is_empty()).map(Path::new)
}

fn name(kind: StoreType) -> &'static str {
    kind.name()
}

fn unusable(store: &str, path: &Path, error: &StoreError) -> String {
    let part = match error.part() {
        Part::Location => "location",
        Part::Type => "type",
        Part::Password | Part::KeyPassword => "password",
    };
    format!("schema_registry_ssl_{store}_{part}: {}: {error}", path.display())
}

/// A name as a part of a path.
pub(super) fn encoded(name: &str) -> String {
    let mut path = String::new();
    for byte in name.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                path.push(char::from(byte))
            }
            _ => path.push_str(&format!("%{byte:02X}")),
        }
    }
    path
}
