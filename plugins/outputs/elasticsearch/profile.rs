//! What tells the output for one product from that for another, beside their options.

use std::sync::Arc;

use ferrostash_net::http_client::{HttpRequest, HttpResponse};
use futures::future::BoxFuture;
use http::StatusCode;

use super::product::{Flavour, Product};

/// The face of an output; the engine behind it is one.
#[derive(Clone, Debug)]
pub(crate) struct Profile {
    /// The name of the output, for the user agent.
    pub(crate) name: &'static str,
    /// Headers of every request, names in small letters.
    pub(crate) headers: &'static [(&'static str, &'static str)],
    /// The name of the product, in messages.
    pub(crate) product: &'static str,
    /// Which clusters are written to.
    pub(crate) recognition: Recognition,
    /// Priority and version of the default composable template; above those that come with the cluster.
    pub(crate) template_marks: (u32, u32),
    /// A request is no larger than this, in bytes before compression, unless one document is.
    pub(crate) request_bytes_max: usize,
    /// Signs requests, where a header that is always the same does not do.
    pub(crate) signer: Option<Arc<dyn Signer>>,
}

/// How a cluster is recognised.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Recognition {
    /// By what it says; Logstash's check of the product.
    Elasticsearch,
    /// Whoever answers is OpenSearch. One without `GET /`, as managed ones are, answers 404 to it, and has this version.
    OpenSearch { default_major: Option<u32> },
}

impl Recognition {
    /// Whether a node with this answer to the health check is well.
    pub(super) fn is_well(self, status: StatusCode) -> bool {
        status.is_success()
            || (matches!(self, Recognition::OpenSearch { .. }) && status == StatusCode::NOT_FOUND)
    }

    /// What has answered `GET /`; `None` when it names no version.
    pub(super) fn product(self, root: &HttpResponse) -> Option<Product> {
        match self {
            Recognition::Elasticsearch => Product::read(root),
            Recognition::OpenSearch { default_major } => {
                let said =
                    Product::read(root).filter(|_| root.status.is_success()).map(|product| product.version);
                let version = said.or_else(|| default_major.map(|major| format!("{major}.0.0")))?;
                Some(Product { version, flavour: Flavour::OpenSearch })
            }
        }
    }

    /// Whether we write to what has answered `GET /`.
    ///
    /// # Errors
    /// Why not.
    pub(super) fn admits(self, root: &HttpResponse) -> Result<(), String> {
        let refused = match self {
            _ if !self.is_well(root.status) => return Ok(()),
            Recognition::Elasticsearch if Product::is_compatible(root) => return Ok(()),
            Recognition::Elasticsearch => "Could not connect to a compatible version of Elasticsearch",
            Recognition::OpenSearch { .. } if self.product(root).is_some() => return Ok(()),
            Recognition::OpenSearch { .. } => {
                "The cluster does not say its version; `default_server_major_version` has to"
            }
        };
        Err(refused.into())
    }
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
    product: "Elasticsearch",
    recognition: Recognition::Elasticsearch,
    template_marks: (200, 80001),
    request_bytes_max: 20 * 1024 * 1024,
    signer: None,
};
