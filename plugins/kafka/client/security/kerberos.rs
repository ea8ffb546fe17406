//! `GSSAPI`: from Java's Kerberos to that of librdkafka, which calls the program `kinit`.

use ferrostash_plugin::{BuildContext, BuildResult};
use rdkafka::ClientConfig;

use super::sasl::Jaas;
use super::{SecurityOptions, refuse};

/// Where MIT Kerberos learns which file to read. It can't be set for one client, nor after the start.
const KRB5_CONFIG: &str = "KRB5_CONFIG";

/// Options of Java's module that ask for what is so here anyway, or that concern only Java.
const WITHOUT_MEANING: [&str; 9] = [
    "debug",
    "storeKey",
    "doNotPrompt",
    "refreshKrb5Config",
    "isInitiator",
    "useFirstPass",
    "tryFirstPass",
    "storePass",
    "clearPass",
];

/// What has to be so before a login is looked at.
pub(super) fn check(options: &SecurityOptions, cx: &mut BuildContext<'_>) -> BuildResult<()> {
    if options.sasl_kerberos_service_name.is_none() {
        return Err(cx.refuse("sasl_kerberos_service_name must be specified when SASL mechanism is GSSAPI"));
    }
    if !cfg!(feature = "gssapi") {
        let text = "GSSAPI (Kerberos) is not built into this program; build it with `--features kafka-gssapi`, \
                    or use another mechanism";
        return Err(refuse(cx, "sasl_mechanism", &options.sasl_mechanism, text));
    }
    let named = std::env::var_os(KRB5_CONFIG);
    match &options.kerberos_config {
        Some(path) if named.as_deref() != Some(path.value.as_os_str()) => {
            let text = format!(
                "it holds for the whole process, and so has to be known before it starts: set the environment variable \
                 {KRB5_CONFIG} to {}",
                path.value.display()
            );
            Err(refuse(cx, "kerberos_config", path, text))
        }
        _ => Ok(()),
    }
}

pub(super) fn log_in(
    config: &mut ClientConfig,
    jaas: &mut Jaas,
    options: &SecurityOptions,
    cx: &mut BuildContext<'_>,
) -> BuildResult<()> {
    let service = options.sasl_kerberos_service_name.as_ref().map_or("", |name| &name.value);
    if jaas.module.take("serviceName").is_some_and(|name| name != service) {
        return Err(jaas.refuse(cx, "`serviceName` is another than that of `sasl_kerberos_service_name`"));
    }
    config.set("sasl.kerberos.service.name", service);
    for name in WITHOUT_MEANING {
        jaas.module.take(name);
    }
    let mut is_true =
        |name: &str| jaas.module.take(name).is_some_and(|value| value.eq_ignore_ascii_case("true"));
    let (use_keytab, use_cache) = (is_true("useKeyTab"), is_true("useTicketCache"));
    // Logstash's manual writes `renewTicket`, Java reads `renewTGT`.
    let renews = is_true("renewTGT") | is_true("renewTicket");
    let (keytab, principal) = (jaas.module.take("keyTab"), jaas.module.take("principal"));
    if let Some(other) = jaas.module.rest().first() {
        let text = format!("the option `{other}` of Krb5LoginModule can't be mapped to librdkafka");
        return Err(jaas.refuse(cx, text));
    }
    match (use_keytab, keytab, principal) {
        (true, Some(keytab), Some(principal)) => {
            check_for_shell("keyTab", &keytab, jaas, cx)?;
            check_for_shell("principal", &principal, jaas, cx)?;
            config.set("sasl.kerberos.keytab", keytab).set("sasl.kerberos.principal", principal);
            Ok(())
        }
        (true, ..) => Err(jaas.refuse(cx, "`useKeyTab=true` needs `keyTab` and `principal`")),
        (false, None, principal) if use_cache => {
            match renews {
                true => config.set("sasl.kerberos.kinit.cmd", "kinit -R"),
                // Whoever made the ticket renews it.
                false => config.set("sasl.kerberos.min.time.before.relogin", "0"),
            };
            if let Some(principal) = principal {
                config.set("sasl.kerberos.principal", principal);
            }
            Ok(())
        }
        (false, None, None) => {
            let text = "nobody is there to be asked for a password: set `useKeyTab=true` with `keyTab` and `principal`, \
                        or `useTicketCache=true`";
            Err(jaas.refuse(cx, text))
        }
        (false, ..) => {
            Err(jaas
                .refuse(cx, "`keyTab` needs `useKeyTab=true`, and `principal` that or `useTicketCache=true`"))
        }
    }
}

/// librdkafka puts these words into a line for the shell.
fn check_for_shell(name: &str, value: &str, jaas: &Jaas, cx: &mut BuildContext<'_>) -> BuildResult<()> {
    let plain = |c: char| c.is_alphanumeric() || matches!(c, '.' | '-' | '_' | '/' | '@' | ':' | '+');
    if !value.is_empty() && !value.starts_with('-') && value.chars().all(plain) {
        return Ok(());
    }
    let text = format!(
        "`{name}` may hold letters, digits and `. - _ / @ : +` only, for librdkafka hands it to a shell"
    );
    Err(jaas.refuse(cx, text))
}
