//! A secret that cannot be printed by accident.

use std::fmt;

/// A password, token or key. `Debug` and `Display` print `<password>`.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Password(String);

impl Password {
    /// Wraps a secret.
    pub fn new(secret: impl Into<String>) -> Password {
        Password(secret.into())
    }

    /// The secret itself, for those who have to send it.
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// Whether it is the empty text.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("<password>")
    }
}

impl fmt::Display for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("<password>")
    }
}

#[cfg(test)]
mod tests {
    use super::Password;

    #[test]
    fn is_not_printed() {
        let password = Password::new("hunter2");
        assert_eq!(format!("{password} {password:?}"), "<password> <password>");
        assert_eq!(password.reveal(), "hunter2");
    }
}
