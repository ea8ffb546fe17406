//! What tells the output for one product from that for another, beside their options.

use std::sync::Arc;

use ferrostash_net::http_client::{HttpRequest, HttpResponse};
use futures::future::BoxFuture;

use super::product::Product;

/// The face of an output; the engine behind it is one.
#[derive(Clone, Debug)]
pub(crate) struct Profile {
    /// The name of the output, for the user agent.
    pub(crate) name: &'static str,
    /// Headers of every request, names in small letters.
    pub(crate) headers: &'static [(&'static str, &'static str)],
    /// Whether we write to what answered `GET /` like this.
    pub(crate) is_compatible: fn(&HttpResponse) -> bool,
    /// A request is no larger than this, in bytes before compression, unless one document is.
    pub(crate) request_bytes_max: usize,
    /// Signs requests, where a header that is always the same does not do.
    pub(crate) signer: Option<Arc<dyn Signer>>,
}

/// Signs requests.
pub(crate) trait Signer: std::fmt::Debug + Send + Sync {
    /// The request with its signature.
    ///
    /// # Errors
    /// It can't be signed now; the sentence says why. The request counts as one that reached nobody.
    fn sign(&self, request: HttpRequest) -> BoxFuture<'_, Result<HttpRequest, String>>;
}

/// The output `elasticsearch`.
pub(super) const ELASTICSEARCH: Profile = Profile {
    name: "elasticsearch",
    headers: &[("x-elastic-product-origin", "logstash-output-elasticsearch")],
    is_compatible: Product::is_compatible,
    request_bytes_max: 20 * 1024 * 1024,
    signer: None,
};
