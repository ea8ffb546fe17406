//! URIs of options: with a host, and with a password that stays hidden.

use std::fmt;

/// What a URI's password is printed as.
const HIDDEN: &str = "xxxxxx";

/// A URI as the `uri` validator takes it: `http://me:pw@host:9200/path?q`, or just `host` or `host:port`.
///
/// `Debug` and `Display` print it without its password.
#[derive(Clone, PartialEq, Eq)]
pub struct Uri {
    text: String,
    scheme: Option<String>,
    user_info: Option<String>,
    host: String,
    port: Option<u16>,
    path: String,
    query: Option<String>,
}

impl Uri {
    /// Reads a URI.
    ///
    /// # Errors
    /// A sentence saying what is wrong: characters that a URI cannot have, a bad port, no host.
    pub fn parse(text: &str) -> Result<Uri, String> {
        if let Some(bad) =
            text.chars().find(|c| c.is_whitespace() || c.is_control() || "<>\"{}|\\^`".contains(*c))
        {
            return Err(format!("a URI has no {bad:?}"));
        }
        let (scheme, rest) = match text.split_once("://") {
            Some((scheme, rest)) if is_scheme(scheme) => (Some(scheme.to_owned()), rest),
            Some(_) => return Err("the part before `://` is no scheme".to_owned()),
            None => (None, text.strip_prefix("//").unwrap_or(text)),
        };
        let rest = rest.split_once('#').map_or(rest, |(before, _)| before);
        let (rest, query) = match rest.split_once('?') {
            Some((before, query)) => (before, Some(query.to_owned())),
            None => (rest, None),
        };
        let (authority, path) = rest.find('/').and_then(|at| rest.split_at_checked(at)).unwrap_or((rest, ""));
        let (user_info, host_port) = match authority.rsplit_once('@') {
            Some((user, host)) => (Some(user.to_owned()), host),
            None => (None, authority),
        };
        let (host, port) = split_port(host_port)?;
        if host.is_empty() {
            return Err("URI is not valid - host is not specified".to_owned());
        }
        let text =
            if scheme.is_none() && !text.starts_with("//") { format!("//{text}") } else { text.to_owned() };
        Ok(Uri { text, scheme, user_info, host: host.to_owned(), port, path: path.to_owned(), query })
    }

    /// The whole URI, password included.
    pub fn reveal(&self) -> &str {
        &self.text
    }

    /// `http`, `https`, …, if given.
    pub fn scheme(&self) -> Option<&str> {
        self.scheme.as_deref()
    }

    /// The user, as written (percent-encoded).
    pub fn user(&self) -> Option<&str> {
        self.user_info.as_deref().map(|info| info.split_once(':').map_or(info, |(user, _)| user))
    }

    /// The password, as written (percent-encoded).
    pub fn password(&self) -> Option<crate::Password> {
        let (_, password) = self.user_info.as_deref()?.split_once(':')?;
        Some(crate::Password::new(password))
    }

    /// The host; an IPv6 address keeps its brackets.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port, if given.
    pub fn port(&self) -> Option<u16> {
        self.port
    }

    /// The path, as written; empty when there is none.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// What is behind `?`, as written.
    pub fn query(&self) -> Option<&str> {
        self.query.as_deref()
    }
}

fn is_scheme(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c))
}

fn split_port(text: &str) -> Result<(&str, Option<u16>), String> {
    let (host, port) = if text.starts_with('[') {
        let end = text.find(']').ok_or("the address has no closing bracket")?;
        let (host, rest) = text.split_at_checked(end + 1).unwrap_or((text, ""));
        (host, rest.strip_prefix(':'))
    } else {
        text.split_once(':').map_or((text, None), |(host, port)| (host, Some(port)))
    };
    match port {
        None | Some("") => Ok((host, None)),
        Some(port) => match port.parse() {
            Ok(number) if port.bytes().all(|b| b.is_ascii_digit()) => Ok((host, Some(number))),
            // It may be a part of a password.
            _ => Err("the port is no number from 0 to 65535".to_owned()),
        },
    }
}

impl fmt::Display for Uri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.user_info.as_deref().and_then(|info| info.split_once(':').map(|(user, _)| (info, user))) {
            Some((info, user)) => {
                f.write_str(&self.text.replacen(&format!("{info}@"), &format!("{user}:{HIDDEN}@"), 1))
            }
            None => f.write_str(&self.text),
        }
    }
}

impl fmt::Debug for Uri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::Uri;

    #[test]
    fn parts() {
        let uri = Uri::parse("https://me:s3cret@es.example.com:9243/a/b?x=1#f").unwrap();
        assert_eq!(uri.scheme(), Some("https"));
        assert_eq!(
            (uri.user(), uri.password().unwrap().reveal().to_owned()),
            (Some("me"), "s3cret".to_owned())
        );
        assert_eq!(
            (uri.host(), uri.port(), uri.path(), uri.query()),
            ("es.example.com", Some(9243), "/a/b", Some("x=1"))
        );
        assert_eq!(format!("{uri:?}"), "https://me:xxxxxx@es.example.com:9243/a/b?x=1#f");
    }

    #[test]
    fn host_and_port_alone() {
        let uri = Uri::parse("127.0.0.1:9200").unwrap();
        assert_eq!(
            (uri.to_string().as_str(), uri.host(), uri.port()),
            ("//127.0.0.1:9200", "127.0.0.1", Some(9200))
        );
        assert_eq!(Uri::parse("[::1]:9200").unwrap().port(), Some(9200));
        assert_eq!(Uri::parse("http://").unwrap_err(), "URI is not valid - host is not specified");
        assert!(Uri::parse("http://a b").is_err());
        assert!(Uri::parse("http://h:99999").is_err());
    }
}
