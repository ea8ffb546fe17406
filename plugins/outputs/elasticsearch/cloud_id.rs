//! Elastic's cloud ids: one word that says where a deployment lives.

use base64::Engine;
use base64::engine::general_purpose::{URL_SAFE, URL_SAFE_NO_PAD};

/// The port of a deployment that names none.
const PORT: &str = "443";
/// A name that a broken deployment page once gave out.
const UNDEFINED: &str = "undefined";

/// The address of the Elasticsearch behind a cloud id: `[label:]` and base64 of `host[:port]$id[:port]$…`.
///
/// # Errors
/// A sentence that says what is wrong.
pub(super) fn elasticsearch_address(cloud_id: &str) -> Result<String, String> {
    let encoded = match cloud_id.split_once(':') {
        Some((label, "")) => label,
        Some((_, encoded)) => encoded,
        None => cloud_id,
    };
    let unusable = || "the cloud_id is not a label and base64 of an address".to_owned();
    let bytes = URL_SAFE.decode(encoded).or_else(|_| URL_SAFE_NO_PAD.decode(encoded));
    let decoded = bytes.ok().and_then(|bytes| String::from_utf8(bytes).ok()).ok_or_else(unusable)?;
    if decoded.matches('$').count() < 2 {
        return Err(format!(
            "expected at least three segments separated by `$` in the cloud_id, got {decoded:?}"
        ));
    }
    let mut segments = decoded.split('$');
    let mut segment = |what: &str| match segments.next() {
        None | Some("") => {
            Err(format!("the cloud_id, after decoding, is invalid: {what} is empty in {decoded:?}"))
        }
        Some(UNDEFINED) => {
            Err(format!("the cloud_id, after decoding, is invalid: {what} is `undefined` in {decoded:?}"))
        }
        Some(found) => Ok(found),
    };
    let (host, id) = (segment("the host")?, segment("the Elasticsearch id")?);
    if segments.next() == Some(UNDEFINED) {
        return Err(format!(
            "the cloud_id, after decoding, is invalid: a segment is `undefined` in {decoded:?}"
        ));
    }
    let (host, port) = host.split_once(':').unwrap_or((host, PORT));
    let (id, port) = id.split_once(':').unwrap_or((id, port));
    Ok(format!("https://{id}.{host}:{port}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use base64::engine::general_purpose::STANDARD;

    fn of(decoded: &str) -> Result<String, String> {
        elasticsearch_address(&format!("my-deployment:{}", URL_SAFE.encode(decoded)))
    }

    #[test]
    fn names_the_deployment() {
        assert_eq!(of("us.aws.example$abc$def").unwrap(), "https://abc.us.aws.example:443");
        assert_eq!(of("us.aws.example:9243$abc$").unwrap(), "https://abc.us.aws.example:9243");
        assert_eq!(of("us.aws.example:9243$abc:9244$def:1$more").unwrap(), "https://abc.us.aws.example:9244");
        let bare = URL_SAFE.encode("h$i$k");
        assert_eq!(elasticsearch_address(&bare).unwrap(), "https://i.h:443");
        assert_eq!(elasticsearch_address(&format!("{bare}:")).unwrap(), "https://i.h:443");
    }

    #[test]
    fn says_what_is_wrong() {
        assert!(of("host$id").unwrap_err().contains("three segments"));
        assert!(of("$id$k").unwrap_err().contains("the host is empty"));
        assert!(of("h$$k").unwrap_err().contains("the Elasticsearch id is empty"));
        assert!(of("h$undefined$k").unwrap_err().contains("`undefined`"));
        assert!(elasticsearch_address("label:not base64").unwrap_err().contains("base64"));
        // Only the URL-safe alphabet counts.
        assert!(elasticsearch_address(&STANDARD.encode("h??>>$id$k\u{7f}~~")).is_err());
    }
}
