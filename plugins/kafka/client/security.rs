//! From the options of encryption and login to the settings of librdkafka.

mod endpoint;
mod jaas;
mod jks;
mod kerberos;
mod pem;
mod sasl;
pub(crate) mod stores;
mod tls;
mod token;

use ferrostash_conf::{OptionEnum, Spanned};
use ferrostash_plugin::{BuildContext, BuildResult, Refused};
use rdkafka::ClientConfig;

use super::options::{SecurityOptions, SecurityProtocol};
pub(crate) use token::Login;

/// Adds the settings to `config`. Reads the files that the options name, and nothing else: what is found wrong here are the
/// options, not the brokers.
///
/// The private key is among the settings, so `config` must not be printed.
pub(crate) fn secure(
    config: &mut ClientConfig,
    options: &SecurityOptions,
    cx: &mut BuildContext<'_>,
) -> BuildResult<Login> {
    let (name, encrypts, logs_in) = match options.security_protocol {
        SecurityProtocol::Plaintext => ("plaintext", false, false),
        SecurityProtocol::Ssl => ("ssl", true, false),
        SecurityProtocol::SaslPlaintext => ("sasl_plaintext", false, true),
        SecurityProtocol::SaslSsl => ("sasl_ssl", true, true),
    };
    config.set("security.protocol", name);
    warn_of_unused(options, encrypts, logs_in, cx);
    let encrypted = if encrypts { tls::encrypt(config, options, cx) } else { Ok(()) };
    let login = if logs_in { sasl::log_in(config, options, cx) } else { Ok(Login::default()) };
    encrypted.and(login)
}

/// Logstash says nothing of options that the protocol makes no use of, and somebody believes to be safe.
fn warn_of_unused(options: &SecurityOptions, encrypts: bool, logs_in: bool, cx: &mut BuildContext<'_>) {
    // Every option by name, so that a new one is not forgotten.
    let SecurityOptions {
        security_protocol,
        ssl_truststore_type,
        ssl_truststore_location,
        ssl_truststore_password,
        ssl_keystore_type,
        ssl_keystore_location,
        ssl_keystore_password,
        ssl_key_password,
        ssl_endpoint_identification_algorithm,
        sasl_mechanism,
        sasl_jaas_config,
        jaas_path,
        sasl_kerberos_service_name,
        kerberos_config,
        sasl_oauthbearer_token_endpoint_url,
        sasl_oauthbearer_scope_claim_name: _,
        sasl_login_connect_timeout_ms,
        sasl_login_read_timeout_ms,
        sasl_login_retry_backoff_ms: _,
        sasl_login_retry_backoff_max_ms: _,
        sasl_client_callback_handler_class: _,
        sasl_login_callback_handler_class,
        sasl_iam_jar_paths: _,
    } = options;
    let kerberos = logs_in && sasl_mechanism.value == "GSSAPI";
    let tokens = logs_in && sasl_mechanism.value == "OAUTHBEARER";
    // Tokens are fetched over TLS also where brokers are not spoken with so.
    let trusts = encrypts || tokens;
    let names = [
        ("ssl_truststore_location", trusts, ssl_truststore_location.is_some()),
        ("ssl_truststore_password", trusts, ssl_truststore_password.is_some()),
        ("ssl_truststore_type", trusts, ssl_truststore_type.is_some()),
        ("ssl_keystore_location", encrypts, ssl_keystore_location.is_some()),
        ("ssl_keystore_password", encrypts, ssl_keystore_password.is_some()),
        ("ssl_keystore_type", encrypts, ssl_keystore_type.is_some()),
        ("ssl_key_password", encrypts, ssl_key_password.is_some()),
        (
            "ssl_endpoint_identification_algorithm",
            encrypts,
            ssl_endpoint_identification_algorithm.span.is_somewhere(),
        ),
        ("sasl_mechanism", logs_in, sasl_mechanism.span.is_somewhere()),
        ("sasl_jaas_config", logs_in, sasl_jaas_config.is_some()),
        ("jaas_path", logs_in, jaas_path.is_some()),
        ("sasl_kerberos_service_name", kerberos, sasl_kerberos_service_name.is_some()),
        ("kerberos_config", kerberos, kerberos_config.is_some()),
        ("sasl_oauthbearer_token_endpoint_url", tokens, sasl_oauthbearer_token_endpoint_url.is_some()),
        ("sasl_login_connect_timeout_ms", tokens, sasl_login_connect_timeout_ms.is_some()),
        ("sasl_login_read_timeout_ms", tokens, sasl_login_read_timeout_ms.is_some()),
        // With another mechanism it is refused.
        ("sasl_login_callback_handler_class", logs_in, sasl_login_callback_handler_class.is_some()),
    ];
    let unused = names.into_iter().filter(|(_, used, set)| *set && !*used);
    let unused: Vec<_> = unused.map(|(name, ..)| format!("`{name}`")).collect();
    if !unused.is_empty() {
        let mechanism =
            if logs_in { format!(" and `sasl_mechanism` {}", sasl_mechanism.value) } else { String::new() };
        let protocol = security_protocol.name();
        cx.warn(format!("not used with `security_protocol` {protocol}{mechanism}: {}", unused.join(", ")));
    }
}

/// Refuses an option at its place.
fn refuse<T>(
    cx: &mut BuildContext<'_>,
    option: &str,
    at: &Spanned<T>,
    error: impl std::fmt::Display,
) -> Refused {
    cx.refuse_at(at.span, format!("`{option}`: {error}"))
}

#[cfg(test)]
mod tests;
