//! Who we are to the cluster: user and password, or an API key.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ferrostash_net::http_client::secret_value;
use http::HeaderValue;

use super::options::ElasticsearchOptions;

/// How Elastic Cloud's own keys begin.
const CLOUD_KEY: &str = "essu_";

/// What the options say about it.
#[derive(Debug)]
pub(super) struct Authentication {
    /// User and password, from `user` and `password` or from `cloud_auth`.
    pub(super) login: Option<(String, String)>,
    /// The header of `api_key`.
    pub(super) api_key: Option<HeaderValue>,
}

impl Authentication {
    /// Reads the options.
    ///
    /// # Errors
    /// More than one way is given, or one that can't be used; the sentence holds no secret.
    pub(super) fn of(options: &ElasticsearchOptions) -> Result<Authentication, String> {
        let ElasticsearchOptions { user, password, cloud_auth, api_key, .. } = options;
        let ways = [cloud_auth.is_some(), api_key.is_some(), user.is_some() || password.is_some()];
        if ways.into_iter().filter(|way| *way).count() > 1 {
            return Err(
                "Multiple authentication options are specified, please only use one of user/password, \
                        cloud_auth or api_key"
                    .into(),
            );
        }
        let login = match cloud_auth {
            Some(cloud_auth) => Some(cloud_login(cloud_auth.reveal())?),
            None => user.clone().zip(password.as_ref().map(|password| password.reveal().to_owned())),
        };
        let api_key = api_key.as_ref().map(|key| api_key_header(key.reveal())).transpose()?;
        Ok(Authentication { login, api_key })
    }
}

fn cloud_login(cloud_auth: &str) -> Result<(String, String), String> {
    match cloud_auth.split_once(':') {
        Some((user, password)) if !user.is_empty() && !password.is_empty() => {
            Ok((user.into(), password.into()))
        }
        _ => Err("cloud_auth has not the form user:password".into()),
    }
}

fn api_key_header(key: &str) -> Result<HeaderValue, String> {
    let is_base64 = STANDARD.decode(key).is_ok_and(|bytes| STANDARD.encode(bytes) == key);
    let is_cloud_key = key.strip_prefix(CLOUD_KEY).is_some_and(|rest| !rest.is_empty());
    let key = match key.split_once(':') {
        _ if is_base64 || is_cloud_key => key.to_owned(),
        Some((id, secret)) if !id.is_empty() && !secret.is_empty() && !secret.contains(':') => {
            STANDARD.encode(key)
        }
        _ => {
            return Err("Invalid api_key format. Expected a base64-encoded key, an 'id:api_key' pair, or a Cloud API \
                        key (essu_ prefix)."
                .into());
        }
    };
    secret_value(&format!("ApiKey {key}"))
        .ok_or_else(|| "the api_key holds characters that a header can't carry".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_come_in_three_forms() {
        let header = |key: &str| api_key_header(key).map(|value| value.to_str().unwrap().to_owned());
        assert_eq!(header("id:key").unwrap(), "ApiKey aWQ6a2V5");
        assert_eq!(header("aWQ6a2V5").unwrap(), "ApiKey aWQ6a2V5");
        assert_eq!(header("essu_abc").unwrap(), "ApiKey essu_abc");
        for bad in ["id:", ":key", "a:b:c", "no-key", "essu_"] {
            assert!(header(bad).unwrap_err().starts_with("Invalid api_key format"), "{bad}");
        }
    }

    #[test]
    fn the_cloud_gives_out_user_and_password_in_one() {
        assert_eq!(cloud_login("elastic:a:b").unwrap(), ("elastic".to_owned(), "a:b".to_owned()));
        assert!(cloud_login("elastic").is_err() && cloud_login("elastic:").is_err());
    }
}
