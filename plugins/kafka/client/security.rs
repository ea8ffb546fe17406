//! From the options of encryption and login to the settings of librdkafka.

mod jks;
mod pem;
pub(crate) mod stores;

use ferrostash_plugin::{BuildContext, BuildResult};
use rdkafka::ClientConfig;
use rdkafka::client::OAuthToken;

use super::options::{SecurityOptions, SecurityProtocol};

/// How a client gets tokens, where it logs in with them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Login {}

impl Login {
    /// A token for `OAUTHBEARER`. Blocks until the endpoint has answered.
    pub(crate) fn token(&self) -> Result<OAuthToken, Box<dyn std::error::Error>> {
        Err("there is no token endpoint".into())
    }
}

/// Adds the settings to `config`. Reads the stores that the options name.
pub(crate) fn secure(
    config: &mut ClientConfig,
    options: &SecurityOptions,
    cx: &mut BuildContext<'_>,
) -> BuildResult<Login> {
    match options.security_protocol {
        SecurityProtocol::Plaintext => config.set("security.protocol", "plaintext"),
        _ => return Err(cx.refuse("only PLAINTEXT is built in")),
    };
    Ok(Login::default())
}
