//! What answers at the other end: from `GET /`.

use ferrostash_net::http_client::HttpResponse;
use serde::Deserialize;

/// The header that Elasticsearch has sent since 7.14.
const PRODUCT_HEADER: &str = "x-elastic-product";
const ELASTICSEARCH: &str = "Elasticsearch";
const TAGLINE: &str = "You Know, for Search";
const OPENSEARCH: &str = "opensearch";
/// How OpenSearch introduces itself even when it names Elasticsearch's version.
const OPENSEARCH_TAGLINE: &str = "The OpenSearch Project";
const SERVERLESS: &str = "serverless";

/// A search engine, its version and its kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Product {
    /// `9.5.2`
    pub(super) version: String,
    pub(super) flavour: Flavour,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Flavour {
    Elasticsearch,
    /// Elasticsearch without indices of one's own keeping: no ILM, no old templates.
    Serverless,
    OpenSearch,
}

#[derive(Deserialize)]
struct Root {
    version: Option<Version>,
    #[serde(default)]
    tagline: String,
}

#[derive(Deserialize)]
struct Version {
    number: Option<String>,
    build_flavor: Option<String>,
    distribution: Option<String>,
}

impl Product {
    /// What the answer to `GET /` says; `None` when it names no version.
    pub(super) fn read(answer: &HttpResponse) -> Option<Product> {
        let Root { version, tagline } = serde_json::from_slice(&answer.body).ok()?;
        let version = version?;
        let is_opensearch =
            version.distribution.as_deref() == Some(OPENSEARCH) || tagline.starts_with(OPENSEARCH_TAGLINE);
        let flavour = match version.build_flavor.as_deref() {
            _ if is_opensearch => Flavour::OpenSearch,
            Some(SERVERLESS) => Flavour::Serverless,
            _ => Flavour::Elasticsearch,
        };
        Some(Product { version: version.number?, flavour })
    }

    /// Whether it is one that we write to: Elasticsearch from 7 on, as Logstash tells it, or OpenSearch.
    pub(super) fn is_compatible(answer: &HttpResponse) -> bool {
        let Some(product) = Product::read(answer) else { return false };
        match product.flavour {
            Flavour::OpenSearch => true,
            _ if product.at_least(7, 14) => {
                answer.headers.get(PRODUCT_HEADER).is_some_and(|value| value == ELASTICSEARCH)
            }
            _ => product.at_least(7, 0) && has_marks_of_seven(answer),
        }
    }

    /// The first number of the version.
    pub(super) fn major(&self) -> u32 {
        self.numbers().0
    }

    /// Whether the version is `major.minor` or later.
    pub(super) fn at_least(&self, major: u32, minor: u32) -> bool {
        self.numbers() >= (major, minor)
    }

    fn numbers(&self) -> (u32, u32) {
        let mut numbers = self.version.split(['.', '-']).map(|part| part.parse().unwrap_or(0));
        (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0))
    }
}

/// Before the header, 7.x was known by its flavour and its saying.
fn has_marks_of_seven(answer: &HttpResponse) -> bool {
    serde_json::from_slice::<Root>(&answer.body).is_ok_and(|root| {
        let flavour = root.version.and_then(|version| version.build_flavor);
        flavour.as_deref() == Some("default") && root.tagline == TAGLINE
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::{HeaderMap, HeaderValue, StatusCode};
    use serde_json::json;

    fn answer(body: &serde_json::Value, product: Option<&'static str>) -> HttpResponse {
        let headers = product
            .map(|name| (http::HeaderName::from_static(PRODUCT_HEADER), HeaderValue::from_static(name)));
        let headers: HeaderMap = headers.into_iter().collect();
        HttpResponse { status: StatusCode::OK, headers, body: body.to_string().into() }
    }

    #[test]
    fn elasticsearch_shows_its_header() {
        let body = json!({"version": {"number": "8.19.0", "build_flavor": "default"}, "tagline": TAGLINE});
        assert!(Product::is_compatible(&answer(&body, Some("Elasticsearch"))));
        assert!(!Product::is_compatible(&answer(&body, None)));
        assert!(!Product::is_compatible(&answer(&body, Some("Other"))));
        let seven = json!({"version": {"number": "7.13.4", "build_flavor": "default"}, "tagline": TAGLINE});
        assert!(Product::is_compatible(&answer(&seven, None)));
        let oss = json!({"version": {"number": "7.10.2", "build_flavor": "oss"}, "tagline": TAGLINE});
        assert!(!Product::is_compatible(&answer(&oss, None)));
        assert!(!Product::is_compatible(&answer(&json!({"version": {"number": "6.8.0"}}), None)));
        assert!(!Product::is_compatible(&answer(&json!({"hello": 1}), Some("Elasticsearch"))));
    }

    #[test]
    fn opensearch_is_welcome() {
        let body = json!({"version": {"number": "2.19.6", "distribution": "opensearch"}});
        assert!(Product::is_compatible(&answer(&body, None)));
        let in_disguise = json!({"version": {"number": "7.10.2"}, "tagline": "The OpenSearch Project: https://opensearch.org/"});
        assert_eq!(Product::read(&answer(&in_disguise, None)).unwrap().flavour, Flavour::OpenSearch);
        assert!(Product::is_compatible(&answer(&in_disguise, None)));
    }

    #[test]
    fn versions_compare_by_number() {
        let product = |version: &str| Product { version: version.into(), flavour: Flavour::Elasticsearch };
        assert!(product("10.0.0").at_least(9, 5) && !product("9.4.9-SNAPSHOT").at_least(9, 5));
        assert_eq!(product("8").major(), 8);
    }
}
