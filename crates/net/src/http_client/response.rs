//! Answers: read whole, decoded, and never above the limit.

use std::io::Read;

use bytes::{Bytes, BytesMut};
use flate2::read::MultiGzDecoder;
use http::StatusCode;
use http::header::{CONTENT_ENCODING, HeaderMap};
use http_body_util::BodyExt;
use hyper::body::{Body, Incoming};

use super::error::HttpError;
use crate::dial::Endpoint;

/// A complete answer.
#[derive(Debug, Clone)]
pub struct HttpResponse {
    /// The status, whatever it is.
    pub status: StatusCode,
    /// The headers, as sent.
    pub headers: HeaderMap,
    /// The body, decompressed.
    pub body: Bytes,
}

pub(super) async fn read(
    headers: &HeaderMap,
    mut body: Incoming,
    limit: usize,
    endpoint: &Endpoint,
) -> Result<Bytes, HttpError> {
    let too_large = || HttpError::TooLarge { endpoint: endpoint.clone(), limit };
    if body.size_hint().lower() > limit as u64 {
        return Err(too_large());
    }
    let mut content = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| HttpError::of_exchange(endpoint, &error))?;
        if let Some(data) = frame.data_ref() {
            if content.len() + data.len() > limit {
                return Err(too_large());
            }
            content.extend_from_slice(data);
        }
    }
    let encoding = headers.get(CONTENT_ENCODING).map(|value| value.as_bytes().to_ascii_lowercase());
    match encoding.as_deref() {
        None | Some(b"" | b"identity") => Ok(content.freeze()),
        // An answer without a body (to HEAD, say) may still name an encoding.
        Some(b"gzip" | b"x-gzip") if content.is_empty() => Ok(Bytes::new()),
        Some(b"gzip" | b"x-gzip") => gunzip(&content, limit, endpoint),
        Some(other) => {
            let reason = format!("unknown content encoding `{}`", String::from_utf8_lossy(other));
            Err(HttpError::Protocol { endpoint: endpoint.clone(), reason })
        }
    }
}

fn gunzip(content: &[u8], limit: usize, endpoint: &Endpoint) -> Result<Bytes, HttpError> {
    let mut plain = Vec::new();
    let decoder = MultiGzDecoder::new(content);
    let read = decoder.take((limit as u64).saturating_add(1)).read_to_end(&mut plain);
    if plain.len() > limit {
        return Err(HttpError::TooLarge { endpoint: endpoint.clone(), limit });
    }
    read.map_err(|error| HttpError::Protocol {
        endpoint: endpoint.clone(),
        reason: format!("the answer is not valid gzip: {error}"),
    })?;
    Ok(plain.into())
}
