//! The `sasl_` options.

use ferrostash_conf::Spanned;
use ferrostash_plugin::{BuildContext, BuildResult, Refused};
use rdkafka::ClientConfig;

use super::jaas::{self, LoginModule};
use super::{Login, SecurityOptions, endpoint, kerberos, refuse};

/// A JAAS file is some lines.
const JAAS_FILE_SIZE_MAX: u64 = 1024 * 1024;

const PLAIN: &str = "org.apache.kafka.common.security.plain.PlainLoginModule";
const SCRAM: &str = "org.apache.kafka.common.security.scram.ScramLoginModule";
const OAUTHBEARER: &str = "org.apache.kafka.common.security.oauthbearer.OAuthBearerLoginModule";
const KERBEROS: &str = "com.sun.security.auth.module.Krb5LoginModule";

/// The class that fetches tokens, by its old and its new name.
const TOKEN_FETCHERS: [&str; 2] = [
    "org.apache.kafka.common.security.oauthbearer.OAuthBearerLoginCallbackHandler",
    "org.apache.kafka.common.security.oauthbearer.secured.OAuthBearerLoginCallbackHandler",
];

pub(super) fn log_in(
    config: &mut ClientConfig,
    options: &SecurityOptions,
    cx: &mut BuildContext<'_>,
) -> BuildResult<Login> {
    let mechanism = &options.sasl_mechanism;
    let class = match mechanism.value.as_str() {
        "PLAIN" => PLAIN,
        "SCRAM-SHA-256" | "SCRAM-SHA-512" => SCRAM,
        "OAUTHBEARER" => OAUTHBEARER,
        "GSSAPI" => {
            kerberos::check(options, cx)?;
            KERBEROS
        }
        "AWS_MSK_IAM" => {
            let text = "AWS_MSK_IAM is a Java class of Amazon's, which can't be loaded here; use SCRAM-SHA-512, which MSK offers, too";
            return Err(refuse(cx, "sasl_mechanism", mechanism, text));
        }
        other => {
            let text = format!(
                "`{other}` is not supported; there are PLAIN, SCRAM-SHA-256, SCRAM-SHA-512, OAUTHBEARER and GSSAPI"
            );
            return Err(refuse(cx, "sasl_mechanism", mechanism, text));
        }
    };
    check_handler(options, cx)?;
    let mut jaas = Jaas::read(options, cx)?;
    if jaas.module.class != class {
        let text = format!(
            "the login module {} does not fit to `sasl_mechanism` {}, which needs {class}",
            jaas.module.class, mechanism.value
        );
        return Err(jaas.refuse(cx, text));
    }
    config.set("sasl.mechanism", &mechanism.value);
    let login = match class {
        PLAIN | SCRAM => user(config, &mut jaas, cx).map(|()| Login::default()),
        OAUTHBEARER => endpoint::login(&mut jaas, options, cx),
        _ => kerberos::log_in(config, &mut jaas, options, cx),
    }?;
    let rest = jaas.module.rest();
    if !rest.is_empty() {
        // Java's modules take no notice of what they don't know.
        cx.warn(format!("`{}`: {class} has no option {}; without effect", jaas.option, rest.join(", ")));
    }
    Ok(login)
}

/// Kafka's own way to fetch tokens is what is built in.
fn check_handler(options: &SecurityOptions, cx: &mut BuildContext<'_>) -> BuildResult<()> {
    match &options.sasl_login_callback_handler_class {
        Some(class)
            if options.sasl_mechanism.value != "OAUTHBEARER"
                || !TOKEN_FETCHERS.contains(&class.value.as_str()) =>
        {
            let text = format!(
                "the Java class {} can't be loaded here; for OAUTHBEARER set `sasl_oauthbearer_token_endpoint_url`",
                class.value
            );
            Err(refuse(cx, "sasl_login_callback_handler_class", class, text))
        }
        _ => Ok(()),
    }
}

fn user(config: &mut ClientConfig, jaas: &mut Jaas, cx: &mut BuildContext<'_>) -> BuildResult<()> {
    if jaas.module.take("tokenauth").is_some_and(|value| value.eq_ignore_ascii_case("true")) {
        return Err(jaas.refuse(cx, "delegation tokens (`tokenauth`) are not supported"));
    }
    for (name, setting) in [("username", "sasl.username"), ("password", "sasl.password")] {
        let value = jaas.required(name, cx)?;
        config.set(setting, value);
    }
    Ok(())
}

/// The login module, and where it is written.
pub(super) struct Jaas {
    pub(super) module: LoginModule,
    option: &'static str,
    place: Spanned<()>,
}

impl Jaas {
    pub(super) fn read(options: &SecurityOptions, cx: &mut BuildContext<'_>) -> BuildResult<Jaas> {
        if let Some(line) = &options.sasl_jaas_config {
            // It wins over the file, as in Kafka.
            let module = jaas::parse_line(line.value.reveal());
            let module = module.map_err(|error| refuse(cx, "sasl_jaas_config", line, error))?;
            return Ok(Jaas {
                module,
                option: "sasl_jaas_config",
                place: Spanned { value: (), span: line.span },
            });
        }
        let Some(path) = &options.jaas_path else {
            return Err(cx.refuse("with SASL, set `sasl_jaas_config` (or `jaas_path`): it says who logs in"));
        };
        let shown = path.value.display();
        let text = match std::fs::metadata(&path.value) {
            Ok(file) if file.len() > JAAS_FILE_SIZE_MAX => {
                Err(format!("larger than {JAAS_FILE_SIZE_MAX} bytes"))
            }
            _ => std::fs::read_to_string(&path.value).map_err(|error| format!("can't be read: {error}")),
        };
        let module = text.and_then(|text| jaas::parse_file(&text).map_err(|error| error.to_string()));
        let module = module.map_err(|error| refuse(cx, "jaas_path", path, format!("{shown}: {error}")))?;
        Ok(Jaas { module, option: "jaas_path", place: Spanned { value: (), span: path.span } })
    }

    /// Takes an option that has to be there.
    pub(super) fn required(&mut self, name: &str, cx: &mut BuildContext<'_>) -> BuildResult<String> {
        match self.module.take(name) {
            Some(value) => Ok(value),
            None => Err(self.refuse(cx, format!("{} needs the option `{name}`", self.module.class))),
        }
    }

    /// Refuses what is written there. The text must hold no value.
    pub(super) fn refuse(&self, cx: &mut BuildContext<'_>, text: impl std::fmt::Display) -> Refused {
        refuse(cx, self.option, &self.place, text)
    }
}
