//! What is known of the other side of a TLS connection.

use rustls::CommonState;
use x509_parser::asn1_rs::{Oid, ToDer};
use x509_parser::x509::{AttributeTypeAndValue, X509Name};

use super::ciphers::{jdk_cipher, jdk_protocol};

/// Protocol, cipher and client of a TLS connection, in the words that Logstash puts into events.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsPeer {
    /// `TLSv1.3`.
    pub protocol: String,
    /// The JDK's name of the suite, `TLS_AES_256_GCM_SHA384`.
    pub cipher: String,
    /// Subject of the peer's certificate, `CN=shipper,O=Example,C=DE`, if it presented one.
    pub subject: Option<String>,
}

impl TlsPeer {
    /// Reads it off an established connection.
    pub(crate) fn of(connection: &CommonState) -> Self {
        let certificate = connection.peer_certificates().and_then(<[_]>::first);
        Self {
            protocol: connection.protocol_version().map(jdk_protocol).unwrap_or_default(),
            cipher: connection
                .negotiated_cipher_suite()
                .map(|suite| jdk_cipher(suite.suite()))
                .unwrap_or_default(),
            subject: certificate.and_then(|certificate| {
                let (_, parsed) = x509_parser::parse_x509_certificate(certificate).ok()?;
                Some(distinguished_name(parsed.subject()))
            }),
        }
    }
}

/// A name as RFC 2253 writes it (and Java's `X500Principal.getName`): most specific part first.
pub(super) fn distinguished_name(name: &X509Name<'_>) -> String {
    let mut parts: Vec<_> =
        name.iter_rdn().map(|rdn| rdn.iter().map(attribute).collect::<Vec<_>>().join("+")).collect();
    parts.reverse();
    parts.join(",")
}

fn attribute(attribute: &AttributeTypeAndValue<'_>) -> String {
    match (keyword(attribute.attr_type()), attribute.as_str()) {
        (Some(keyword), Ok(value)) => format!("{keyword}={}", escape(value)),
        _ => {
            // Without a keyword the value is written as its encoding, so that nothing has to be guessed.
            let mut text = format!("{}=#", attribute.attr_type());
            let encoded = attribute.attr_value().to_der_vec().unwrap_or_default();
            encoded.iter().for_each(|byte| text.push_str(&format!("{byte:02x}")));
            text
        }
    }
}

/// The types that RFC 2253 writes by name.
fn keyword(kind: &Oid<'_>) -> Option<&'static str> {
    match kind.to_id_string().as_str() {
        "2.5.4.3" => Some("CN"),
        "2.5.4.6" => Some("C"),
        "2.5.4.7" => Some("L"),
        "2.5.4.8" => Some("ST"),
        "2.5.4.9" => Some("STREET"),
        "2.5.4.10" => Some("O"),
        "2.5.4.11" => Some("OU"),
        "0.9.2342.19200300.100.1.25" => Some("DC"),
        "0.9.2342.19200300.100.1.1" => Some("UID"),
        _ => None,
    }
}

fn escape(value: &str) -> String {
    let mut text = String::with_capacity(value.len());
    let last = value.chars().count().saturating_sub(1);
    for (at, c) in value.chars().enumerate() {
        let edge = (c == ' ' && (at == 0 || at == last)) || (c == '#' && at == 0);
        if edge || matches!(c, ',' | '+' | '"' | '\\' | '<' | '>' | ';') {
            text.push('\\');
        }
        text.push(c);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn special_characters_of_a_name_are_escaped() {
        assert_eq!(escape("Acme, Inc."), r"Acme\, Inc.");
        assert_eq!(escape(" #1 "), r"\ #1\ ");
        assert_eq!(escape("#1+2"), r"\#1\+2");
    }
}
