//! Tokens for `OAUTHBEARER`: fetched from an endpoint or read from a file.

use std::error::Error;
use std::io::Read;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use ferrostash_conf::Password;
use ferrostash_net::http_client::{
    HttpClient, HttpError, HttpOptions, HttpRequest, HttpResponse, basic_authorization,
};
use http::header::{ACCEPT, AUTHORIZATION, CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use http::{Method, StatusCode};
use rdkafka::client::OAuthToken;
use serde_json::Value;
use tokio::time::{Instant, sleep};

use super::kerberos::Identity;

/// The largest answer of an endpoint, and the largest file, in bytes. Brokers take far smaller tokens only.
pub(super) const ANSWER_SIZE_MAX: usize = 256 * 1024;
/// The longest word of an endpoint's error that is repeated, in characters.
const ERROR_WORD_MAX: usize = 64;

/// How a client logs in, where its settings alone don't say it. Clones share it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Login(Option<Arc<Source>>);

/// Where tokens come from.
#[derive(Debug)]
pub(super) enum Source {
    File(TokenFile),
    Endpoint(Box<Endpoint>),
    /// Nowhere: the ticket cache of the process has them.
    Kerberos(Identity),
}

#[derive(Debug)]
pub(super) struct TokenFile {
    pub(super) path: PathBuf,
    pub(super) scope_claim: String,
}

/// An endpoint that gives tokens for a client's id and secret.
#[derive(Debug)]
pub(super) struct Endpoint {
    /// Secret, for it may hold a password.
    pub(super) url: Password,
    pub(super) client_id: String,
    pub(super) client_secret: Password,
    pub(super) scope: Option<String>,
    pub(super) scope_claim: String,
    pub(super) http: HttpOptions,
    /// Before the second attempt; doubled each time.
    pub(super) backoff: Duration,
    /// No attempt begins later than this after the first one.
    pub(super) attempts_end: Duration,
}

/// Why there is no token. Never holds one, nor what it was to be had for.
#[derive(Debug, thiserror::Error)]
pub(super) enum TokenError {
    #[error("tokens are for OAUTHBEARER only")]
    NoSource,
    #[error("no thread for the login: {0}")]
    Thread(std::io::Error),
    #[error("the login has failed in an unexpected way")]
    Panicked,
    #[error("the token file {}: {error}", path.display())]
    File { path: PathBuf, error: std::io::Error },
    #[error("the token file {}: larger than {ANSWER_SIZE_MAX} bytes", .0.display())]
    FileTooLarge(PathBuf),
    #[error("the token endpoint can't be asked: {0}")]
    Address(ferrostash_net::http_client::InvalidRequest),
    #[error("the token endpoint gave no answer: {0}")]
    Http(HttpError),
    #[error("the token endpoint {endpoint} answered {status}{word}")]
    Status { endpoint: String, status: StatusCode, word: String },
    #[error("the token endpoint's answer holds no `access_token`")]
    NoToken,
    #[error("the token is not a JWT, and nothing says when it ends")]
    NoEnd,
    #[error("the token has no `sub` to name its owner")]
    NoOwner,
    #[error("the token ended {0} s ago")]
    Ended(u64),
    #[error("the token's claim `{0}` is not made of words")]
    Scope(String),
    #[error("the token holds characters that no token has")]
    Characters,
}

impl Login {
    pub(super) fn of(source: Source) -> Login {
        Login::shared(Arc::new(source))
    }

    /// One that others have, too.
    pub(super) fn shared(source: Arc<Source>) -> Login {
        Login(Some(source))
    }

    /// A token for `OAUTHBEARER`. Blocks until the endpoint has answered, with all attempts: it is for threads that may wait,
    /// not for those of a runtime.
    ///
    /// # Errors
    /// When there is no token; the text holds no secret. librdkafka asks again after ten seconds.
    pub(crate) fn token(&self) -> Result<OAuthToken, Box<dyn Error>> {
        let source = self.0.clone().ok_or(TokenError::NoSource)?;
        // On a thread of its own: where a runtime runs already, and librdkafka's events may be polled there, none can be
        // started.
        let thread = thread::Builder::new().name("kafka-login".to_owned()).spawn(move || source.token());
        let token = thread.map_err(TokenError::Thread)?.join().map_err(|_| TokenError::Panicked)?;
        Ok(token?)
    }
}

impl Source {
    fn token(&self) -> Result<OAuthToken, TokenError> {
        match self {
            Source::File(file) => file.token(),
            Source::Kerberos(_) => Err(TokenError::NoSource),
            Source::Endpoint(endpoint) => tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .map_err(TokenError::Thread)?
                .block_on(endpoint.token()),
        }
    }
}

impl TokenFile {
    fn token(&self) -> Result<OAuthToken, TokenError> {
        let failed = |error| TokenError::File { path: self.path.clone(), error };
        let mut token = String::new();
        let file = std::fs::File::open(&self.path).map_err(failed)?;
        file.take(ANSWER_SIZE_MAX as u64 + 1).read_to_string(&mut token).map_err(failed)?;
        if token.len() > ANSWER_SIZE_MAX {
            return Err(TokenError::FileTooLarge(self.path.clone()));
        }
        checked(token.trim(), None, None, &self.scope_claim)
    }
}

impl Endpoint {
    async fn token(&self) -> Result<OAuthToken, TokenError> {
        let client = HttpClient::new(self.http.clone());
        let now = Instant::now();
        let end = now.checked_add(self.attempts_end).unwrap_or(now);
        let mut wait = self.backoff;
        loop {
            let error = match self.attempt(&client).await {
                Ok(answer) => return self.read(&answer),
                Err(error) => error,
            };
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() || !may_pass(&error) {
                return Err(error);
            }
            tracing::debug!("{error}; the next attempt follows");
            sleep(wait.min(left)).await;
            wait = wait.saturating_mul(2);
        }
    }

    async fn attempt(&self, client: &HttpClient) -> Result<HttpResponse, TokenError> {
        let mut form = "grant_type=client_credentials".to_owned();
        if let Some(scope) = &self.scope {
            form.push_str("&scope=");
            form.push_str(&encoded(scope));
        }
        let request = HttpRequest::new(Method::POST, self.url.reveal())
            .map_err(TokenError::Address)?
            .header(ACCEPT, HeaderValue::from_static("application/json"))
            .header(AUTHORIZATION, basic_authorization(&self.client_id, self.client_secret.reveal()))
            .header(CACHE_CONTROL, HeaderValue::from_static("no-cache"))
            .header(CONTENT_TYPE, HeaderValue::from_static("application/x-www-form-urlencoded"))
            .body(Bytes::from(form));
        let endpoint = request.endpoint().to_string();
        let answer = client.send(request).await.map_err(TokenError::Http)?;
        match answer.status {
            StatusCode::OK | StatusCode::CREATED => Ok(answer),
            status => Err(TokenError::Status { endpoint, status, word: error_word(&answer.body) }),
        }
    }

    fn read(&self, answer: &HttpResponse) -> Result<OAuthToken, TokenError> {
        let answer: Value = serde_json::from_slice(&answer.body).map_err(|_| TokenError::NoToken)?;
        let token = answer.get("access_token").and_then(Value::as_str).map(str::trim);
        let token = token.filter(|token| !token.is_empty()).ok_or(TokenError::NoToken)?;
        let expires_in = match answer.get("expires_in") {
            // Some write the number as a text.
            Some(Value::String(text)) => text.trim().parse().ok(),
            other => other.and_then(Value::as_f64),
        };
        checked(token, expires_in, Some(&self.client_id), &self.scope_claim)
    }
}

/// Whether another attempt may have another end.
fn may_pass(error: &TokenError) -> bool {
    match error {
        TokenError::Http(error) => !matches!(error, HttpError::TooLarge { .. }),
        TokenError::Status { status, .. } => {
            matches!(*status, StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS)
                || (status.is_server_error()
                    && !matches!(
                        *status,
                        StatusCode::NOT_IMPLEMENTED | StatusCode::HTTP_VERSION_NOT_SUPPORTED
                    ))
        }
        _ => false,
    }
}

/// The word by which OAuth names an error, such as `invalid_client`. Longer texts might repeat what was sent.
fn error_word(body: &[u8]) -> String {
    let answer: Value = serde_json::from_slice(body).unwrap_or_default();
    let word = answer.get("error").and_then(Value::as_str).unwrap_or_default();
    let is_word = !word.is_empty()
        && word.len() <= ERROR_WORD_MAX
        && word.chars().all(|c| c.is_ascii_lowercase() || c == '_');
    if is_word { format!(" ({word})") } else { String::new() }
}

/// The token with its owner and its end: those of its claims, else what the endpoint said.
fn checked(
    token: &str,
    expires_in: Option<f64>,
    client_id: Option<&str>,
    scope_claim: &str,
) -> Result<OAuthToken, TokenError> {
    if token.is_empty() || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(TokenError::Characters);
    }
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64();
    let claims = claims(token).unwrap_or_default();
    let end = claims.get("exp").and_then(Value::as_f64).or(expires_in.map(|seconds| now + seconds));
    let end = end.filter(|end| end.is_finite()).ok_or(TokenError::NoEnd)?;
    if end <= now {
        return Err(TokenError::Ended((now - end) as u64));
    }
    let owner = claims.get("sub").and_then(Value::as_str).filter(|sub| !sub.is_empty()).or(client_id);
    let principal_name = owner.ok_or(TokenError::NoOwner)?.to_owned();
    if !claims.get(scope_claim).is_none_or(is_scope) {
        return Err(TokenError::Scope(scope_claim.to_owned()));
    }
    Ok(OAuthToken { token: token.to_owned(), principal_name, lifetime_ms: (end * 1000.0) as i64 })
}

/// What stands in a JWT. Its signature is the broker's business.
fn claims(token: &str) -> Option<Value> {
    let mut parts = token.split('.');
    let (Some(_), Some(payload), Some(_), None) = (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return None;
    };
    let payload = URL_SAFE_NO_PAD.decode(payload.trim_end_matches('=')).ok()?;
    serde_json::from_slice(&payload).ok()
}

fn is_scope(claim: &Value) -> bool {
    match claim {
        Value::String(_) => true,
        Value::Array(words) => {
            words.iter().all(|word| word.as_str().is_some_and(|word| !word.trim().is_empty()))
        }
        _ => false,
    }
}

/// The text as a form's value.
fn encoded(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b' ' => encoded.push('+'),
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'*' => {
                encoded.push(char::from(byte))
            }
            other => encoded.push_str(&format!("%{other:02X}")),
        }
    }
    encoded
}

#[cfg(test)]
mod tests;
