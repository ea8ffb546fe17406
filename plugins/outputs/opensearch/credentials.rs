//! Where the keys for AWS come from.

use std::time::Duration;

use bytes::Bytes;
use ferrostash_net::dial::DialTls;
use ferrostash_net::http_client::{HttpClient, HttpError, HttpOptions, HttpRequest};
use ferrostash_net::tls::ClientTls;
use reqsign_aws_v4::{Credential, DefaultCredentialProvider, StaticCredentialProvider};
use reqsign_core::{Context, Error, FileRead, HttpSend, OsEnv, ProvideCredentialChain, Result};

use super::auth_type::AwsIam;

/// Most bytes of a file of the AWS tools, or of a token.
const FILE_BYTES_MAX: u64 = 1024 * 1024;
/// How long a service that gives keys may take to answer.
const SERVICE_TIMEOUT: Duration = Duration::from_secs(10);

/// Environment, files and network, as this process sees them.
///
/// # Errors
/// The system's certificates can't be read.
pub(super) fn context(iam: &AwsIam) -> std::result::Result<Context, String> {
    let http = Http::new(iam)?;
    Ok(Context::new().with_env(OsEnv).with_file_read(Files).with_http_send(http))
}

/// The keys of the options; or the first that are found in the environment, in the files of the AWS tools, by web identity,
/// from the container, or from the instance.
pub(super) fn provider(iam: &AwsIam) -> ProvideCredentialChain<Credential> {
    if let Some((id, secret)) = &iam.keys {
        let mut provider = StaticCredentialProvider::new(id, secret.reveal());
        if let Some(token) = &iam.session_token {
            provider = provider.with_session_token(token.reveal());
        }
        return ProvideCredentialChain::new().push(provider);
    }
    // Programs that files name are not run.
    let mut builder = DefaultCredentialProvider::builder().no_process();
    if let Some(profile) = &iam.profile {
        builder = builder.with_profile(profile);
    }
    ProvideCredentialChain::new().push(builder.build())
}

#[derive(Debug)]
pub(super) struct Files;

impl FileRead for Files {
    async fn file_read(&self, path: &str) -> Result<Vec<u8>> {
        let failed =
            |error: std::io::Error| Error::config_invalid(format!("{path} can't be read")).with_source(error);
        let size = tokio::fs::metadata(path).await.map_err(failed)?.len();
        if size > FILE_BYTES_MAX {
            return Err(Error::config_invalid(format!("{path} is larger than {FILE_BYTES_MAX} bytes")));
        }
        tokio::fs::read(path).await.map_err(failed)
    }
}

/// Asks the machine below us, which answers at once or not at all, and services far away.
#[derive(Debug)]
pub(super) struct Http {
    near: HttpClient,
    far: HttpClient,
    retries: u32,
}

impl Http {
    pub(super) fn new(iam: &AwsIam) -> std::result::Result<Http, String> {
        let config = ClientTls::default().build().map_err(|error| error.to_string())?;
        let client = |request_timeout: Duration| {
            let tls = Some(DialTls { config: config.clone(), server_name: None });
            let connect_timeout = request_timeout;
            HttpClient::new(HttpOptions { tls, connect_timeout, request_timeout, ..HttpOptions::default() })
        };
        let (near, far) = (client(iam.metadata_timeout), client(SERVICE_TIMEOUT));
        Ok(Http { near, far, retries: iam.metadata_retries })
    }
}

impl HttpSend for Http {
    async fn http_send(&self, request: http::Request<Bytes>) -> Result<http::Response<Bytes>> {
        let (parts, body) = request.into_parts();
        let mut request = HttpRequest::new(parts.method, &parts.uri.to_string())
            .map_err(|error| Error::request_invalid(error.to_string()))?
            .body(body);
        for (name, value) in &parts.headers {
            request = request.header(name.clone(), value.clone());
        }
        let failed = |error: HttpError| Error::unexpected(error.to_string());
        if !is_near(parts.uri.host().unwrap_or_default()) {
            return self.far.send(request).await.map(response).map_err(failed);
        }
        let mut retries = self.retries;
        loop {
            match self.near.send(request.clone()).await {
                Ok(answer) => return Ok(response(answer)),
                Err(error) if retries == 0 => return Err(failed(error)),
                Err(_) => retries -= 1,
            }
        }
    }
}

fn response(answer: ferrostash_net::http_client::HttpResponse) -> http::Response<Bytes> {
    let mut response = http::Response::new(answer.body);
    *response.status_mut() = answer.status;
    *response.headers_mut() = answer.headers;
    response
}

/// Addresses that lead no further than the machine below us.
fn is_near(host: &str) -> bool {
    match host.trim_matches(['[', ']']).parse() {
        Ok(std::net::IpAddr::V4(address)) => address.is_link_local() || address.is_loopback(),
        Ok(std::net::IpAddr::V6(address)) => address.is_unique_local() || address.is_loopback(),
        Err(_) => host == "localhost",
    }
}
