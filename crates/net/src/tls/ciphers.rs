//! `ssl_supported_protocols` and `ssl_cipher_suites`: from the JDK's names to rustls.

use std::sync::Arc;

use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::{CipherSuite, ProtocolVersion, SupportedProtocolVersion, version};

use super::error::{TlsError, TlsReason};

const PROTOCOLS: &str = "ssl_supported_protocols";
const CIPHERS: &str = "ssl_cipher_suites";

/// The provider with only the named suites (all when none is named), and the versions to speak.
pub(super) fn provider(
    protocols: &[String],
    suites: &[String],
) -> Result<(Arc<CryptoProvider>, Vec<&'static SupportedProtocolVersion>), TlsError> {
    let mut provider = aws_lc_rs::default_provider();
    let versions = versions(protocols)?;
    if !suites.is_empty() {
        let known = provider.cipher_suites;
        provider.cipher_suites = suites
            .iter()
            .map(|name| known.iter().find(|suite| jdk_cipher(suite.suite()) == *name).copied())
            .zip(suites)
            .map(|(suite, name)| suite.ok_or_else(|| unknown_suite(name, &known)))
            .collect::<Result<_, _>>()?;
    }
    for version in &versions {
        if !provider.cipher_suites.iter().any(|suite| suite.version().version == version.version) {
            let name = jdk_protocol(version.version);
            return Err(unsupported(CIPHERS, format!("none of the suites is for {name} (`{PROTOCOLS}`)")));
        }
    }
    Ok((Arc::new(provider), versions))
}

/// The JDK's name of a suite: the IANA name, where rustls adds the version to those of TLS 1.3.
pub(super) fn jdk_cipher(suite: CipherSuite) -> String {
    format!("{suite:?}").replace("TLS13_", "TLS_")
}

/// `TLSv1.3`, as the JDK writes it.
pub(super) fn jdk_protocol(version: ProtocolVersion) -> String {
    match version {
        ProtocolVersion::TLSv1_2 => "TLSv1.2".to_owned(),
        ProtocolVersion::TLSv1_3 => "TLSv1.3".to_owned(),
        other => format!("{other:?}"),
    }
}

fn versions(names: &[String]) -> Result<Vec<&'static SupportedProtocolVersion>, TlsError> {
    if names.is_empty() {
        return Ok(vec![&version::TLS13, &version::TLS12]);
    }
    names.iter().map(|name| protocol(name)).collect()
}

fn protocol(name: &str) -> Result<&'static SupportedProtocolVersion, TlsError> {
    match name {
        "TLSv1.2" => Ok(&version::TLS12),
        "TLSv1.3" => Ok(&version::TLS13),
        "TLSv1" | "TLSv1.0" | "TLSv1.1" | "SSLv2" | "SSLv3" => {
            Err(unsupported(PROTOCOLS, format!("{name} is broken and not supported; use TLSv1.2 or TLSv1.3")))
        }
        _ => Err(unsupported(PROTOCOLS, format!("unknown protocol `{name}`; there are TLSv1.2 and TLSv1.3"))),
    }
}

fn unknown_suite(name: &str, known: &[rustls::SupportedCipherSuite]) -> TlsError {
    let known = known.iter().map(|suite| jdk_cipher(suite.suite())).collect::<Vec<_>>().join(", ");
    unsupported(CIPHERS, format!("`{name}` is not supported; there are {known}"))
}

fn unsupported(option: &'static str, text: String) -> TlsError {
    TlsError::new(option, TlsReason::Unsupported(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(protocols: &[&str], suites: &[&str]) -> String {
        let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        provider(&owned(protocols), &owned(suites)).unwrap_err().to_string()
    }

    #[test]
    fn suites_keep_the_order_of_the_option() {
        let names = ["TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384"].map(str::to_owned);
        let (provider, versions) = provider(&[], &names).unwrap();
        let got: Vec<_> = provider.cipher_suites.iter().map(|suite| jdk_cipher(suite.suite())).collect();
        assert_eq!(got, names);
        assert_eq!(versions.len(), 2);
    }

    #[test]
    fn what_is_not_supported_is_named() {
        assert!(error(&["TLSv1.1"], &[]).starts_with("`ssl_supported_protocols`: TLSv1.1 is broken"));
        assert!(error(&["TLS1.2"], &[]).contains("unknown protocol `TLS1.2`"));
        let cbc = error(&[], &["TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA384"]);
        assert!(
            cbc.starts_with("`ssl_cipher_suites`: `TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA384` is not supported")
        );
        assert!(cbc.contains("TLS_AES_128_GCM_SHA256"));
    }

    #[test]
    fn a_protocol_without_a_suite_is_refused() {
        let error = error(&["TLSv1.2"], &["TLS_AES_256_GCM_SHA384"]);
        assert_eq!(
            error,
            "`ssl_cipher_suites`: none of the suites is for TLSv1.2 (`ssl_supported_protocols`)"
        );
    }
}
