//! Names and what they stand for.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock};

use thiserror::Error;

/// The longest definition, in bytes, that is taken from a file or an option.
const DEFINITION_BYTES_MAX: usize = 256 * 1024;
/// The most definitions that a library holds.
const DEFINITIONS_MAX: usize = 100_000;

/// The files of a set, in the order in which they are read.
macro_rules! files {
    ($set:literal: $($name:literal)*) => {
        &[$(($name, include_str!(concat!("../patterns/", $set, "/", $name)))),*]
    };
}

const LEGACY: &[(&str, &str)] = files!("legacy":
    "aws" "bacula" "bind" "bro" "exim" "firewalls" "grok-patterns" "haproxy" "httpd" "java" "junos"
    "linux-syslog" "maven" "mcollective" "mcollective-patterns" "mongodb" "nagios" "postgresql" "rails" "redis"
    "ruby" "squid");

const ECS_V1: &[(&str, &str)] = files!("ecs-v1":
    "aws" "bacula" "bind" "bro" "exim" "firewalls" "grok-patterns" "haproxy" "httpd" "java" "junos"
    "linux-syslog" "maven" "mcollective" "mongodb" "nagios" "postgresql" "rails" "redis" "ruby" "squid" "zeek");

/// Pattern definitions by name. Copying one is cheap until it is changed.
///
/// ```
/// use ferrostash_grok::PatternLibrary;
///
/// let mut library = PatternLibrary::ecs_v1();
/// library.add_text("# ours\nORDER  ORD-%{POSINT:order:int}\n")?;
/// assert_eq!(library.get("ORDER"), Some("ORD-%{POSINT:order:int}"));
/// # Ok::<(), ferrostash_grok::LibraryError>(())
/// ```
#[derive(Debug, Clone, Default)]
pub struct PatternLibrary {
    definitions: Arc<HashMap<String, String>>,
}

impl PatternLibrary {
    /// No patterns at all.
    pub fn empty() -> Self {
        Self::default()
    }

    /// The set used without ECS: flat field names such as `clientip`.
    pub fn legacy() -> Self {
        static SET: LazyLock<PatternLibrary> = LazyLock::new(|| PatternLibrary::embedded(LEGACY));
        SET.clone()
    }

    /// The set used with ECS v1 and v8: nested fields such as `[source][address]`.
    pub fn ecs_v1() -> Self {
        static SET: LazyLock<PatternLibrary> = LazyLock::new(|| PatternLibrary::embedded(ECS_V1));
        SET.clone()
    }

    fn embedded(files: &[(&str, &str)]) -> Self {
        let definitions =
            files.iter().flat_map(|(_, text)| text.split_inclusive('\n')).filter_map(split).collect();
        Self { definitions: Arc::new(definitions) }
    }

    /// Defines a name, replacing an earlier definition. A final newline is not part of the definition.
    ///
    /// # Errors
    /// [`LibraryError`] when a limit is exceeded.
    pub fn add(&mut self, name: &str, definition: &str) -> Result<(), LibraryError> {
        self.insert(0, name, without_newline(definition))
    }

    /// Adds the definitions of a pattern file: one a line, `NAME`, blanks, definition. Empty lines and lines
    /// whose first sign is `#` are passed over. Blanks at the end of a line belong to the definition. As in
    /// Logstash a name alone stands for the empty text, except on a last line that has no newline.
    ///
    /// # Errors
    /// [`LibraryError`] with the line's number when a limit is exceeded; lines before it are added.
    pub fn add_text(&mut self, text: &str) -> Result<(), LibraryError> {
        for (line, content) in text.split_inclusive('\n').enumerate() {
            if let Some((name, definition)) = split(content) {
                self.insert(line + 1, &name, &definition)?;
            }
        }
        Ok(())
    }

    fn insert(&mut self, line: usize, name: &str, definition: &str) -> Result<(), LibraryError> {
        if definition.len() > DEFINITION_BYTES_MAX {
            return Err(LibraryError::TooLong { line, name: name.to_owned() });
        }
        let definitions = Arc::make_mut(&mut self.definitions);
        if definitions.len() >= DEFINITIONS_MAX {
            return Err(LibraryError::TooMany { line });
        }
        definitions.insert(name.to_owned(), definition.to_owned());
        Ok(())
    }

    /// The definition of a name.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.definitions.get(name).map(String::as_str)
    }

    /// All names, in no particular order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.definitions.keys().map(String::as_str)
    }

    /// The number of definitions.
    pub fn len(&self) -> usize {
        self.definitions.len()
    }

    /// True without a definition.
    pub fn is_empty(&self) -> bool {
        self.definitions.is_empty()
    }
}

/// Name and definition of a line, which still has its newline; `None` when it defines nothing.
fn split(line: &str) -> Option<(String, String)> {
    const BLANK: [char; 6] = [' ', '\t', '\n', '\u{b}', '\u{c}', '\r'];
    let line = line.trim_start_matches(BLANK);
    if line.starts_with('#') {
        return None;
    }
    let (name, definition) = line.split_once(BLANK)?;
    let definition = without_newline(definition.trim_start_matches(BLANK));
    Some((name.to_owned(), definition.to_owned()))
}

fn without_newline(text: &str) -> &str {
    let text = text.strip_suffix('\n').unwrap_or(text);
    text.strip_suffix('\r').unwrap_or(text)
}

/// A pattern file that is not taken.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum LibraryError {
    /// A definition exceeds the limit.
    #[error("line {line}: the definition of `{name}` is longer than {DEFINITION_BYTES_MAX} bytes")]
    TooLong {
        /// Line of the file, from 1; 0 for a definition that came from no file.
        line: usize,
        /// The name defined.
        name: String,
    },
    /// There are too many definitions.
    #[error("line {line}: there are more than {DEFINITIONS_MAX} pattern definitions")]
    TooMany {
        /// Line of the file, from 1; 0 for a definition that came from no file.
        line: usize,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_file() {
        let mut library = PatternLibrary::empty();
        library.add_text("# comment\n\nONE\t\ta b \r\n  TWO     b#c\nALONE\n  #x y\nONE c\nLAST").unwrap();
        let mut names: Vec<_> = library.names().collect();
        names.sort_unstable();
        assert_eq!(names, ["ALONE", "ONE", "TWO"]);
        let definitions = ["ALONE", "ONE", "TWO"].map(|name| library.get(name));
        assert_eq!(definitions, [Some(""), Some("c"), Some("b#c")]);
        library.add_text("ONE a b \n").unwrap();
        assert_eq!(library.get("ONE"), Some("a b "));
    }

    #[test]
    fn errors_name_the_line() {
        let mut library = PatternLibrary::empty();
        let text = format!("A a\nB {}\n", "b".repeat(DEFINITION_BYTES_MAX + 1));
        let error = library.add_text(&text).unwrap_err();
        assert_eq!(error.to_string(), "line 2: the definition of `B` is longer than 262144 bytes");
        assert_eq!(library.get("A"), Some("a"));
    }

    #[test]
    fn a_copy_does_not_change_the_shipped_set() {
        let mut mine = PatternLibrary::legacy();
        mine.add("INT", "x\n").unwrap();
        assert_eq!(mine.get("INT"), Some("x"));
        assert_ne!(PatternLibrary::legacy().get("INT"), Some("x"));
    }
}
