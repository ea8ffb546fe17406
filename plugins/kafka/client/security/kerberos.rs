//! `GSSAPI`: from Java's Kerberos to that of librdkafka, which calls the program `kinit`.
//!
//! Java has the tickets of each client in its memory. Here they are in the ticket cache of the process (`KRB5CCNAME`), into
//! which `kinit` puts them and from which MIT Kerberos takes them, whoever they belong to.

use std::ffi::OsStr;
use std::fmt;
use std::fs::File;
use std::io::Read;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use ferrostash_plugin::{BuildContext, BuildResult};
use rdkafka::ClientConfig;

use super::sasl::Jaas;
use super::token::Source;
use super::{Login, SecurityOptions, refuse};

/// Where MIT Kerberos learns which file to read. It can't be set for one client, nor after the start.
const KRB5_CONFIG: &str = "KRB5_CONFIG";

/// What librdkafka calls when a client starts, and each minute from then on. Its own command first renews the ticket that is
/// there, and so complains aloud each minute where tickets are not renewable; with a keytab a new one is always to be had.
const WITH_KEYTAB: &str = "kinit -k -t \"%{sasl.kerberos.keytab}\" %{sasl.kerberos.principal}";
/// The same for a ticket that somebody else got.
const RENEW: &str = "kinit -R";

/// As whom the clients of this process log in.
static IN_USE: Mutex<Weak<Source>> = Mutex::new(Weak::new());

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

/// As whom a client logs in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Identity {
    /// A principal whose key is at hand.
    Keytab(String),
    /// Whoever the ticket in the cache belongs to.
    Cache,
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Identity::Keytab(principal) => write!(f, "as {principal} with a keytab"),
            Identity::Cache => f.write_str("with the ticket cache"),
        }
    }
}

/// The login holds its place in the process for as long as it lives.
pub(super) fn log_in(
    config: &mut ClientConfig,
    jaas: &mut Jaas,
    options: &SecurityOptions,
    cx: &mut BuildContext<'_>,
) -> BuildResult<Login> {
    let identity = map(config, jaas, options, cx)?;
    let path = std::env::var_os("PATH").unwrap_or_default();
    if config.get("sasl.kerberos.kinit.cmd").is_some() && !has_kinit(&path) {
        // librdkafka would say nothing but the number that the shell ends with.
        let text = "the program `kinit` gets and renews tickets, and is not in PATH; install MIT Kerberos' client programs \
                    (Debian: krb5-user, Fedora: krb5-workstation)";
        return Err(jaas.refuse(cx, text));
    }
    if let Some(keytab) = config.get("sasl.kerberos.keytab") {
        let path = keytab.strip_prefix("FILE:").unwrap_or(keytab);
        // A folder can be opened, but not read.
        let read = File::open(path).and_then(|mut file| file.read_exact(&mut [0]));
        read.map_err(|error| jaas.refuse(cx, format!("the keytab {path} can't be read: {error}")))?;
    }
    claim(&IN_USE, identity).map_err(|other| {
        let text = format!(
            "another kafka plugin of this process logs in {other}; all of them share one ticket cache, and so have to log in \
             as the same (a reload that changes it needs a restart)"
        );
        jaas.refuse(cx, text)
    })
}

/// Fails with the other identity that is in use.
pub(super) fn claim(in_use: &Mutex<Weak<Source>>, identity: Identity) -> Result<Login, Identity> {
    let mut place = in_use.lock().unwrap_or_else(PoisonError::into_inner);
    match place.upgrade() {
        Some(source) => match &*source {
            Source::Kerberos(other) if *other != identity => Err(other.clone()),
            _ => Ok(Login::shared(source)),
        },
        None => {
            let source = Arc::new(Source::Kerberos(identity));
            *place = Arc::downgrade(&source);
            Ok(Login::shared(source))
        }
    }
}

pub(super) fn has_kinit(path: &OsStr) -> bool {
    std::env::split_paths(path).any(|folder| folder.join("kinit").is_file())
}

/// From the login module's options to librdkafka's settings.
pub(super) fn map(
    config: &mut ClientConfig,
    jaas: &mut Jaas,
    options: &SecurityOptions,
    cx: &mut BuildContext<'_>,
) -> BuildResult<Identity> {
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
            config
                .set("sasl.kerberos.keytab", keytab)
                .set("sasl.kerberos.principal", &principal)
                .set("sasl.kerberos.kinit.cmd", WITH_KEYTAB);
            Ok(Identity::Keytab(principal))
        }
        (true, ..) => Err(jaas.refuse(cx, "`useKeyTab=true` needs `keyTab` and `principal`")),
        (false, None, principal) if use_cache => {
            match renews {
                true => config.set("sasl.kerberos.kinit.cmd", RENEW),
                // Whoever made the ticket renews it.
                false => config.set("sasl.kerberos.min.time.before.relogin", "0"),
            };
            if principal.is_some() {
                cx.warn(
                    "`principal` is not compared with the ticket cache: who logs in is whoever the ticket belongs to",
                );
            }
            Ok(Identity::Cache)
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
