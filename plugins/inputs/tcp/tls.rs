//! The `ssl_*` options.

use super::{ClientAuthentication, TcpOptions, VerificationMode};
use ferrostash_net::secret::Secret;
use ferrostash_net::tls::{self, ClientTls, Identity, ServerTls, Trust};
use ferrostash_plugin::{BuildContext, BuildResult};

/// TLS of `mode => server`; none when it is off.
pub(super) fn server(options: &TcpOptions, cx: &mut BuildContext<'_>) -> BuildResult<Option<ServerTls>> {
    if !is_on(options, cx)? {
        return Ok(None);
    }
    if options.ssl_verification_mode.is_some() {
        return Err(cx.refuse(
            "`ssl_verification_mode` must not be configured when mode is `server`, use `ssl_client_authentication` instead.",
        ));
    }
    if options.ssl_certificate.is_none() {
        return Err(cx.refuse("An `ssl_certificate` is required when `ssl_enabled` => true"));
    }
    let client_authentication = client_authentication(options, cx)?;
    Ok(Some(ServerTls {
        identity: identity(options),
        trust: trust(options),
        trust_system: true,
        client_authentication,
        supported_protocols: options.ssl_supported_protocols.clone(),
        cipher_suites: options.ssl_cipher_suites.clone(),
    }))
}

/// TLS of `mode => client`; none when it is off.
pub(super) fn client(options: &TcpOptions, cx: &mut BuildContext<'_>) -> BuildResult<Option<ClientTls>> {
    if !is_on(options, cx)? {
        return Ok(None);
    }
    if options.ssl_client_authentication.is_some() {
        return Err(cx.refuse(
            "`ssl_client_authentication` must not be configured when mode is `client`, use `ssl_verification_mode` instead.",
        ));
    }
    Ok(Some(ClientTls {
        identity: identity(options),
        trust: trust(options),
        verification_mode: match options.ssl_verification_mode {
            Some(VerificationMode::None) => tls::VerificationMode::None,
            Some(VerificationMode::Full) | None => tls::VerificationMode::Full,
        },
        supported_protocols: options.ssl_supported_protocols.clone(),
        cipher_suites: options.ssl_cipher_suites.clone(),
        ..ClientTls::default()
    }))
}

/// Whether TLS is spoken, with what holds for both modes checked.
fn is_on(options: &TcpOptions, cx: &mut BuildContext<'_>) -> BuildResult<bool> {
    let idle = given(options);
    if !options.ssl_enabled {
        if !idle.is_empty() {
            let names = idle.join(", ");
            cx.warn(format!(
                "Configured SSL settings are not used when `ssl_enabled` is set to `false`: {names}"
            ));
        }
        return Ok(false);
    }
    match (&options.ssl_certificate, &options.ssl_key) {
        (Some(_), None) => Err(cx.refuse("Using an `ssl_certificate` requires an `ssl_key`")),
        (None, Some(_)) => Err(cx.refuse("An `ssl_certificate` is required when using an `ssl_key`")),
        _ => Ok(true),
    }
}

/// The names of the options that were set, but for `ssl_enabled`.
fn given(options: &TcpOptions) -> Vec<&'static str> {
    let all = [
        ("ssl_client_authentication", options.ssl_client_authentication.is_some()),
        ("ssl_verification_mode", options.ssl_verification_mode.is_some()),
        ("ssl_certificate", options.ssl_certificate.is_some()),
        ("ssl_key", options.ssl_key.is_some()),
        ("ssl_key_passphrase", options.ssl_key_passphrase.is_some()),
        ("ssl_extra_chain_certs", !options.ssl_extra_chain_certs.is_empty()),
        ("ssl_certificate_authorities", !options.ssl_certificate_authorities.is_empty()),
        ("ssl_supported_protocols", !options.ssl_supported_protocols.is_empty()),
        ("ssl_cipher_suites", !options.ssl_cipher_suites.is_empty()),
    ];
    all.into_iter().filter(|(_, is_given)| *is_given).map(|(name, _)| name).collect()
}

/// Clients need a certificate unless the option says otherwise. By whom it must be signed has to be said only together
/// with the option; without either, the system's authorities count, which is hardly what anyone wants.
fn client_authentication(
    options: &TcpOptions,
    cx: &mut BuildContext<'_>,
) -> BuildResult<tls::ClientAuthentication> {
    let (name, wanted) = match options.ssl_client_authentication {
        Some(ClientAuthentication::None) => return Ok(tls::ClientAuthentication::None),
        Some(ClientAuthentication::Optional) => ("optional", tls::ClientAuthentication::Optional),
        Some(ClientAuthentication::Required) | None => ("required", tls::ClientAuthentication::Required),
    };
    if options.ssl_certificate_authorities.is_empty() {
        if options.ssl_client_authentication.is_some() {
            return Err(cx.refuse(format!(
                "An `ssl_certificate_authorities` is required when `ssl_client_authentication` => `{name}`"
            )));
        }
        cx.warn(
            "clients need a certificate, signed by an authority that this system trusts: set \
             `ssl_certificate_authorities`, or `ssl_client_authentication => none` to let in all",
        );
    }
    Ok(wanted)
}

fn identity(options: &TcpOptions) -> Identity {
    Identity {
        certificate: options.ssl_certificate.clone(),
        key: options.ssl_key.clone(),
        key_passphrase: options.ssl_key_passphrase.as_ref().map(|password| Secret::from(password.reveal())),
        extra_chain: options.ssl_extra_chain_certs.clone(),
        keystore: None,
    }
}

fn trust(options: &TcpOptions) -> Trust {
    Trust { certificate_authorities: options.ssl_certificate_authorities.clone(), truststore: None }
}
