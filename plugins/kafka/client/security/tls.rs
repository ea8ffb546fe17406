//! The `ssl_` options. What the stores hold is handed to librdkafka as PEM, for it reads neither JKS nor most of PKCS12.

use ferrostash_conf::Spanned;
use ferrostash_plugin::{BuildContext, BuildResult, Refused};
use rdkafka::ClientConfig;
use rustls_pki_types::CertificateDer;

use super::stores::{self, Part, StoreError};
use super::{SecurityOptions, pem, refuse};

pub(super) fn encrypt(
    config: &mut ClientConfig,
    options: &SecurityOptions,
    cx: &mut BuildContext<'_>,
) -> BuildResult<()> {
    let done = [check_names(config, options, cx), trust(config, options, cx), identify(config, options, cx)];
    done.into_iter().collect()
}

fn check_names(
    config: &mut ClientConfig,
    options: &SecurityOptions,
    cx: &mut BuildContext<'_>,
) -> BuildResult<()> {
    let algorithm = &options.ssl_endpoint_identification_algorithm;
    let value = match algorithm.value.as_str() {
        "" => "none",
        value if value.eq_ignore_ascii_case("https") => "https",
        value => {
            let text =
                format!("`{value}` is not known; there are `https`, and the empty string for no check");
            return Err(refuse(cx, "ssl_endpoint_identification_algorithm", algorithm, text));
        }
    };
    config.set("ssl.endpoint.identification.algorithm", value);
    Ok(())
}

fn trust(config: &mut ClientConfig, options: &SecurityOptions, cx: &mut BuildContext<'_>) -> BuildResult<()> {
    let certificates = match truststore(options, cx)? {
        Some(certificates) => {
            warn_of_chains(&certificates, cx);
            certificates
        }
        None => system().ok_or_else(|| {
            cx.refuse("set `ssl_truststore_location`: the system has no trusted certificates of its own")
        })?,
    };
    config.set("ssl.ca.pem", text(pem::of_certificates(&certificates), cx)?);
    Ok(())
}

/// The certificates of the truststore, if there is one.
pub(super) fn truststore(
    options: &SecurityOptions,
    cx: &mut BuildContext<'_>,
) -> BuildResult<Option<Vec<CertificateDer<'static>>>> {
    let (kind, password) = (&options.ssl_truststore_type, &options.ssl_truststore_password);
    let Some(location) = &options.ssl_truststore_location else {
        needs(password.as_ref(), "ssl_truststore_password", "ssl_truststore_location", cx)?;
        idle(kind.as_ref(), "ssl_truststore_type", "ssl_truststore_location", cx);
        return Ok(None);
    };
    let kind_value = kind.as_ref().map(|kind| kind.value.as_str());
    match stores::trusted(&location.value, kind_value, password.as_ref().map(|password| &password.value)) {
        Ok(certificates) => Ok(Some(certificates)),
        Err(error) => {
            let (option, span) = match (error.part(), kind, password) {
                (Part::Type, Some(kind), _) => ("ssl_truststore_type", kind.span),
                (Part::Password, _, Some(password)) => ("ssl_truststore_password", password.span),
                _ => ("ssl_truststore_location", location.span),
            };
            Err(cx.refuse_at(span, format!("`{option}` ({}): {error}", location.value.display())))
        }
    }
}

fn identify(
    config: &mut ClientConfig,
    options: &SecurityOptions,
    cx: &mut BuildContext<'_>,
) -> BuildResult<()> {
    let (kind, password) = (&options.ssl_keystore_type, &options.ssl_keystore_password);
    let key_password = &options.ssl_key_password;
    let Some(location) = &options.ssl_keystore_location else {
        needs(password.as_ref(), "ssl_keystore_password", "ssl_keystore_location", cx)?;
        idle(key_password.as_ref(), "ssl_key_password", "ssl_keystore_location", cx);
        idle(kind.as_ref(), "ssl_keystore_type", "ssl_keystore_location", cx);
        return Ok(());
    };
    let kind_value = kind.as_ref().map(|kind| kind.value.as_str());
    let [password_value, key_value] =
        [password, key_password].map(|password| password.as_ref().map(|password| &password.value));
    let identity =
        stores::identity(&location.value, kind_value, password_value, key_value).map_err(|error| {
            let (option, span) = match (error.part(), kind, password, key_password) {
                (Part::Type, Some(kind), ..) => ("ssl_keystore_type", kind.span),
                (Part::Password, _, Some(password), _) => ("ssl_keystore_password", password.span),
                (Part::KeyPassword, .., Some(password)) => ("ssl_key_password", password.span),
                _ => ("ssl_keystore_location", location.span),
            };
            let missing = match error {
                StoreError::PasswordNeeded => ": set `ssl_keystore_password`",
                StoreError::KeyPasswordNeeded => ": set `ssl_key_password`",
                _ => "",
            };
            cx.refuse_at(span, format!("`{option}` ({}): {error}{missing}", location.value.display()))
        })?;
    config.set("ssl.certificate.pem", text(pem::of_certificates(&identity.certificates), cx)?);
    config.set("ssl.key.pem", text(pem::of_key(&identity.key), cx)?);
    Ok(())
}

/// The certificates that the system trusts; `None` when there is not one. The OpenSSL inside librdkafka was built without
/// knowing where this system keeps them.
pub(super) fn system() -> Option<Vec<CertificateDer<'static>>> {
    let found = rustls_native_certs::load_native_certs().certs;
    // One that can't be read would have librdkafka refuse all.
    let found: Vec<_> = found
        .into_iter()
        .filter(|certificate| x509_parser::parse_x509_certificate(certificate).is_ok())
        .collect();
    (!found.is_empty()).then_some(found)
}

/// Java takes any certificate of a truststore for an anchor, OpenSSL only those at the root of a chain.
fn warn_of_chains(certificates: &[CertificateDer<'_>], cx: &mut BuildContext<'_>) {
    let is_root = |certificate: &CertificateDer<'_>| {
        x509_parser::parse_x509_certificate(certificate)
            .is_ok_and(|(_, certificate)| certificate.subject() == certificate.issuer())
    };
    if !certificates.iter().any(is_root) {
        cx.warn(
            "`ssl_truststore_location`: no certificate in it is a root (signed by itself), and librdkafka trusts no chain that \
             doesn't end at one; add the root of the brokers' certificates",
        );
    }
}

/// Warns of what Java takes no notice of.
fn idle<T>(option: Option<&Spanned<T>>, name: &str, other: &str, cx: &mut BuildContext<'_>) {
    if option.is_some() {
        cx.warn(format!("`{name}` is not used without `{other}`"));
    }
}

/// Refuses what Java refuses, too.
fn needs<T>(
    option: Option<&Spanned<T>>,
    name: &str,
    other: &str,
    cx: &mut BuildContext<'_>,
) -> BuildResult<()> {
    match option {
        Some(option) => Err(refuse(cx, name, option, format!("needs `{other}`"))),
        None => Ok(()),
    }
}

fn text(text: Result<String, StoreError>, cx: &mut BuildContext<'_>) -> Result<String, Refused> {
    text.map_err(|error| cx.refuse(error.to_string()))
}
