//! The option `auth_type`: a hash that says who we are to the cluster.

use std::time::Duration;

use ferrostash_conf::{ConfKind, ConfValue, ConvertError, FromConf, OptionKind, Pair, Password, suggest};

const REGION: &str = "us-east-1";
const SERVICE: &str = "es";
/// How long container or instance may take to answer.
const METADATA_TIMEOUT: Duration = Duration::from_secs(1);

#[derive(Clone, Debug, PartialEq)]
pub(super) enum AuthType {
    Basic { user: String, password: Password },
    AwsIam(AwsIam),
}

/// How requests are signed for AWS.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct AwsIam {
    /// Key and secret; otherwise the usual places are searched.
    pub(super) keys: Option<(String, Password)>,
    /// Belongs to keys that are given for a while.
    pub(super) session_token: Option<Password>,
    /// Of the files of the AWS tools.
    pub(super) profile: Option<String>,
    pub(super) region: String,
    /// `es` or `aoss`.
    pub(super) service: String,
    pub(super) metadata_timeout: Duration,
    pub(super) metadata_retries: u32,
}

const BASIC: &[&str] = &["type", "user", "password"];
const AWS_IAM: &[&str] = &[
    "type",
    "aws_access_key_id",
    "aws_secret_access_key",
    "session_token",
    "profile",
    "region",
    "service_name",
    "instance_profile_credentials_timeout",
    "instance_profile_credentials_retries",
];

impl FromConf for AuthType {
    const KIND: OptionKind = OptionKind::Hash;

    fn convert(value: &ConfValue) -> Result<AuthType, ConvertError> {
        let ConfKind::Hash(pairs) = &value.kind else {
            return Err(ConvertError::new(value, "expected a hash"));
        };
        let hash = Hash { value, pairs };
        match hash.text("type")?.as_deref() {
            Some("basic") => hash.basic(),
            Some("aws_iam") => hash.aws_iam(),
            Some(_) => Err(hash.fault("type", "`type` is `basic` or `aws_iam`")),
            None => Err(ConvertError::new(value, "`type` is missing: `basic` or `aws_iam`")),
        }
    }
}

struct Hash<'v> {
    value: &'v ConfValue,
    pairs: &'v [Pair],
}

impl Hash<'_> {
    fn basic(&self) -> Result<AuthType, ConvertError> {
        self.only(BASIC)?;
        match (self.text("user")?, self.secret("password")?) {
            (Some(user), Some(password)) => Ok(AuthType::Basic { user, password }),
            _ => Err(ConvertError::new(self.value, "`basic` needs `user` and `password`")),
        }
    }

    fn aws_iam(&self) -> Result<AuthType, ConvertError> {
        self.only(AWS_IAM)?;
        let keys = match (self.text("aws_access_key_id")?, self.secret("aws_secret_access_key")?) {
            (Some(id), Some(secret)) => Some((id, secret)),
            (None, None) => None,
            _ => {
                let reason = "`aws_access_key_id` and `aws_secret_access_key` belong together";
                return Err(ConvertError::new(self.value, reason));
            }
        };
        let (session_token, profile) = (self.secret("session_token")?, self.text("profile")?);
        if keys.is_none() && session_token.is_some() {
            return Err(self.fault("session_token", "`session_token` needs the keys that it belongs to"));
        }
        if keys.is_some() && profile.is_some() {
            return Err(self.fault("profile", "`profile` has no effect beside `aws_access_key_id`"));
        }
        Ok(AuthType::AwsIam(AwsIam {
            keys,
            session_token,
            profile,
            region: self.text("region")?.unwrap_or_else(|| REGION.to_owned()),
            service: self.text("service_name")?.unwrap_or_else(|| SERVICE.to_owned()),
            metadata_timeout: self
                .number::<Duration>("instance_profile_credentials_timeout")?
                .unwrap_or(METADATA_TIMEOUT),
            metadata_retries: self.number("instance_profile_credentials_retries")?.unwrap_or(0),
        }))
    }

    /// Refuses other keys than these.
    fn only(&self, known: &[&'static str]) -> Result<(), ConvertError> {
        let Some(unknown) = self.pairs.iter().find(|pair| !known.contains(&pair.key.as_str())) else {
            return Ok(());
        };
        let near = suggest(&unknown.key, known.iter().copied());
        let hint = near.map(|near| format!(", did you mean `{near}`?")).unwrap_or_default();
        let message = format!("there is no `{}` in `auth_type` of this type{hint}", unknown.key);
        Err(ConvertError { span: unknown.key_span, message })
    }

    fn get(&self, key: &str) -> Option<&ConfValue> {
        self.pairs.iter().find(|pair| pair.key == key).map(|pair| &pair.value)
    }

    /// An empty text, as an unset variable leaves it, is none.
    fn text(&self, key: &str) -> Result<Option<String>, ConvertError> {
        let Some(value) = self.get(key) else { return Ok(None) };
        let text = value.to_text().ok_or_else(|| ConvertError::new(value, format!("`{key}` is one text")))?;
        Ok(Some(text).filter(|text| !text.is_empty()))
    }

    fn secret(&self, key: &str) -> Result<Option<Password>, ConvertError> {
        Ok(self.text(key)?.map(Password::new))
    }

    /// In hashes numbers may be texts.
    fn number<T: FromConf>(&self, key: &str) -> Result<Option<T>, ConvertError> {
        let Some(value) = self.get(key) else { return Ok(None) };
        let text = value.to_text().unwrap_or_default();
        let kind = match (text.parse(), text.parse()) {
            (Ok(whole), _) => ConfKind::Int(whole),
            (_, Ok(number)) => ConfKind::Float(number),
            _ => return Err(self.fault(key, "expected a number")),
        };
        T::convert(&ConfValue { kind, ..value.clone() }).map(Some)
    }

    fn fault(&self, key: &str, reason: &str) -> ConvertError {
        ConvertError::new(self.get(key).unwrap_or(self.value), reason)
    }
}
