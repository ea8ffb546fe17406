//! The enumerated `ssl_*` options, by Logstash's names.

use std::str::FromStr;

/// A word that is none of an option's choices.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{value}` is none of {choices}")]
pub struct UnknownChoice {
    value: String,
    choices: &'static str,
}

impl UnknownChoice {
    pub(super) fn new(value: &str, choices: &'static str) -> Self {
        Self { value: value.to_owned(), choices }
    }
}

/// `ssl_client_authentication`: what a server asks of its clients.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum ClientAuthentication {
    /// No certificate is asked for.
    #[default]
    None,
    /// A certificate is asked for; one that is presented must be trusted.
    Optional,
    /// Only clients with a trusted certificate are let in.
    Required,
}

impl FromStr for ClientAuthentication {
    type Err = UnknownChoice;

    fn from_str(text: &str) -> Result<Self, UnknownChoice> {
        match text {
            "none" => Ok(Self::None),
            "optional" => Ok(Self::Optional),
            "required" => Ok(Self::Required),
            _ => Err(UnknownChoice::new(text, "none, optional, required")),
        }
    }
}

/// `ssl_verification_mode`: what a client checks of its server.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum VerificationMode {
    /// The chain, and that the certificate is for the host that was asked for.
    #[default]
    Full,
    /// The chain only.
    Certificate,
    /// Nothing: whoever answers is believed.
    None,
}

impl FromStr for VerificationMode {
    type Err = UnknownChoice;

    fn from_str(text: &str) -> Result<Self, UnknownChoice> {
        match text {
            "full" => Ok(Self::Full),
            "certificate" => Ok(Self::Certificate),
            "none" => Ok(Self::None),
            _ => Err(UnknownChoice::new(text, "full, certificate, none")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn choices_have_logstash_names() {
        assert_eq!("optional".parse(), Ok(ClientAuthentication::Optional));
        assert_eq!("certificate".parse(), Ok(VerificationMode::Certificate));
        let error = "peer".parse::<VerificationMode>().unwrap_err();
        assert_eq!(error.to_string(), "`peer` is none of full, certificate, none");
    }
}
