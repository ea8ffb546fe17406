//! Requests signed for AWS: signature version 4.

use ferrostash_net::http_client::{Chunks, HttpRequest};
use futures::future::BoxFuture;
use http::header::{HOST, HeaderName, HeaderValue};
use http::request::Parts;
use http::uri::Scheme;
use reqsign_aws_v4::{Credential, RequestSigner};
use reqsign_core::Context;
use sha2::{Digest as _, Sha256};
use tokio::task::spawn_blocking;

use super::auth_type::AwsIam;
use super::credentials;
use crate::elasticsearch::profile::Signer;

const CONTENT_SHA256: HeaderName = HeaderName::from_static("x-amz-content-sha256");
/// Larger bodies are hashed on a thread of their own, in bytes.
const HASHED_HERE_MAX: usize = 64 * 1024;

/// Signs requests with keys that it looks for when the first one comes, and again before they end.
#[derive(Debug)]
pub(super) struct AwsSigner(reqsign_core::Signer<Credential>);

impl AwsSigner {
    /// For the region and the service of `iam`.
    ///
    /// # Errors
    /// The system's certificates, which the services that give keys are verified with, can't be read.
    pub(super) fn new(iam: &AwsIam) -> Result<AwsSigner, String> {
        Ok(Self::with_context(iam, credentials::context(iam)?))
    }

    /// With another environment.
    pub(super) fn with_context(iam: &AwsIam, context: Context) -> AwsSigner {
        let signer = RequestSigner::new(&iam.service, &iam.region);
        AwsSigner(reqsign_core::Signer::new(context, credentials::provider(iam), signer))
    }
}

impl Signer for AwsSigner {
    fn sign(&self, mut request: HttpRequest) -> BoxFuture<'_, Result<HttpRequest, String>> {
        Box::pin(async move {
            let digest = digest(request.chunks()).await?;
            let mut parts = to_be_signed(&request, &digest)?;
            self.0.sign(&mut parts, None).await.map_err(|error| error.to_string())?;
            for (name, value) in &parts.headers {
                // The client makes the same one of the address.
                if name != HOST {
                    request = request.header(name.clone(), value.clone());
                }
            }
            Ok(request)
        })
    }
}

/// What the signature covers: method, address, host, and the body as it is sent. Headers that a proxy may change are not
/// in it.
fn to_be_signed(request: &HttpRequest, digest: &HeaderValue) -> Result<Parts, String> {
    let uri = request.uri();
    let default_port = if uri.scheme() == Some(&Scheme::HTTPS) { 443 } else { 80 };
    let host = uri.host().unwrap_or_default();
    let host = match uri.port_u16().filter(|port| *port != default_port) {
        Some(port) => format!("{host}:{port}"),
        None => host.to_owned(),
    };
    // For all services but S3, a path is signed in the form that results from encoding it once more.
    let path = uri.path().replace('%', "%25");
    let query = uri.query().map(|query| format!("?{query}")).unwrap_or_default();
    let scheme = uri.scheme_str().unwrap_or("https");
    let signed = http::Request::builder()
        .method(request.method().clone())
        .uri(format!("{scheme}://{host}{path}{query}"))
        .header(HOST, host)
        .header(CONTENT_SHA256, digest)
        .body(())
        .map_err(|error| error.to_string())?;
    Ok(signed.into_parts().0)
}

async fn digest(body: &Chunks) -> Result<HeaderValue, String> {
    let hash = |body: &Chunks| {
        let mut hash = Sha256::new();
        body.iter().for_each(|chunk| hash.update(chunk));
        hash.finalize()
    };
    let hash = if body.byte_len() <= HASHED_HERE_MAX {
        hash(body)
    } else {
        let body = body.clone();
        spawn_blocking(move || hash(&body)).await.map_err(|error| error.to_string())?
    };
    let hex: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
    HeaderValue::try_from(hex).map_err(|error| error.to_string())
}
