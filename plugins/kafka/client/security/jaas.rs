//! JAAS: how Java writes down who logs in.

use std::iter::Peekable;
use std::str::CharIndices;

/// The section of a file that is ours.
const SECTION: &str = "KafkaClient";
/// What may stand before the options.
const FLAGS: [&str; 4] = ["required", "requisite", "sufficient", "optional"];

/// A login module with its options. No `Debug`: the options hold passwords.
pub(super) struct LoginModule {
    /// The Java class.
    pub(super) class: String,
    options: Vec<(String, String)>,
}

/// What is wrong with a JAAS text. Never holds a value: it could be the password.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {text}")]
pub(super) struct JaasError {
    line: usize,
    text: String,
}

impl LoginModule {
    /// Takes an option out.
    pub(super) fn take(&mut self, name: &str) -> Option<String> {
        let at = self.options.iter().position(|(key, _)| key == name)?;
        Some(self.options.swap_remove(at).1)
    }

    /// The names of those not taken, in order.
    pub(super) fn rest(&self) -> Vec<&str> {
        let mut names: Vec<_> = self.options.iter().map(|(name, _)| name.as_str()).collect();
        names.sort_unstable();
        names
    }
}

/// The one module of `sasl_jaas_config`: `CLASS required KEY="VALUE" …;`
pub(super) fn parse_line(text: &str) -> Result<LoginModule, JaasError> {
    let mut parser = Parser::new(text);
    let module = parser.module()?;
    match parser.next()? {
        None => Ok(module),
        Some(_) => Err(parser.error("there is more behind the `;`; one login module is all that is read")),
    }
}

/// The one module of the section `KafkaClient` of a JAAS file.
pub(super) fn parse_file(text: &str) -> Result<LoginModule, JaasError> {
    if text.contains("${") {
        let line = text.lines().position(|line| line.contains("${")).unwrap_or_default() + 1;
        return Err(JaasError {
            line,
            text: "Java's system properties (`${…}`) are not known here".to_owned(),
        });
    }
    let mut parser = Parser::new(text);
    let mut ours = None;
    while let Some(token) = parser.next()? {
        let (Token::Word(name) | Token::Quoted(name)) = token else {
            return Err(parser.error("the name of a section is expected"));
        };
        parser.expect('{')?;
        let mut modules = Vec::new();
        while parser.peek()? != Some(&Token::Mark('}')) {
            modules.push(parser.module()?);
        }
        parser.expect('}')?;
        parser.expect(';')?;
        if name == SECTION {
            if modules.len() > 1 {
                return Err(
                    parser.error("`KafkaClient` holds several login modules; one is all that is read")
                );
            }
            ours = modules.pop().or(ours);
        }
    }
    ours.ok_or_else(|| parser.error("there is no section `KafkaClient` with a login module"))
}

#[derive(Debug, PartialEq, Eq)]
enum Token {
    Word(String),
    Quoted(String),
    Mark(char),
}

struct Parser<'a> {
    text: &'a str,
    chars: Peekable<CharIndices<'a>>,
    /// The token that was looked at and not taken.
    ahead: Option<Token>,
}

impl<'a> Parser<'a> {
    fn new(text: &'a str) -> Self {
        Parser { text, chars: text.char_indices().peekable(), ahead: None }
    }

    fn module(&mut self) -> Result<LoginModule, JaasError> {
        let Some(Token::Word(class)) = self.next()? else {
            return Err(self.error("the class of a login module is expected"));
        };
        match self.next()? {
            Some(Token::Word(flag)) if FLAGS.iter().any(|known| flag.eq_ignore_ascii_case(known)) => {}
            _ => return Err(self.error("`required` is expected behind the class of the login module")),
        }
        let mut options: Vec<(String, String)> = Vec::new();
        loop {
            let key = match self.next()? {
                Some(Token::Mark(';')) => return Ok(LoginModule { class, options }),
                Some(Token::Word(key) | Token::Quoted(key)) => key,
                Some(Token::Mark(_)) => return Err(self.error("an option's name, or `;`, is expected")),
                None => return Err(self.error("the `;` at the end is missing")),
            };
            if self.next()? != Some(Token::Mark('=')) {
                // What stands there may be a part of a password that lacks its quotes.
                return Err(
                    self.error("KEY=\"VALUE\" is expected: a `=` is missing, or quotes around a value")
                );
            }
            let Some(Token::Word(value) | Token::Quoted(value)) = self.next()? else {
                // Its name may be a part of a password without quotes.
                return Err(self.error("an option has no value"));
            };
            // The last one wins, as in Java.
            options.retain(|(known, _)| *known != key);
            options.push((key, value));
        }
    }

    fn expect(&mut self, mark: char) -> Result<(), JaasError> {
        match self.next()? {
            Some(Token::Mark(found)) if found == mark => Ok(()),
            _ => Err(self.error(&format!("`{mark}` is expected"))),
        }
    }

    fn peek(&mut self) -> Result<Option<&Token>, JaasError> {
        if self.ahead.is_none() {
            self.ahead = self.read()?;
        }
        Ok(self.ahead.as_ref())
    }

    fn next(&mut self) -> Result<Option<Token>, JaasError> {
        match self.ahead.take() {
            Some(token) => Ok(Some(token)),
            None => self.read(),
        }
    }

    fn read(&mut self) -> Result<Option<Token>, JaasError> {
        while let Some((_, c)) = self.chars.next() {
            match c {
                c if c.is_whitespace() => {}
                '/' => self.comment()?,
                '"' | '\'' => return self.quoted(c).map(Some),
                '=' | ';' | '{' | '}' => return Ok(Some(Token::Mark(c))),
                c if is_word(c) => {
                    let mut word = String::from(c);
                    while let Some((_, c)) = self.chars.next_if(|(_, c)| is_word(*c)) {
                        word.push(c);
                    }
                    return Ok(Some(Token::Word(word)));
                }
                _ => return Err(self.error("a character that has to be in quotes")),
            }
        }
        Ok(None)
    }

    fn comment(&mut self) -> Result<(), JaasError> {
        match self.chars.next().map(|(_, c)| c) {
            Some('/') => while self.chars.next().is_some_and(|(_, c)| c != '\n') {},
            Some('*') => loop {
                match self.chars.next() {
                    Some((_, '*')) if self.chars.next_if(|(_, c)| *c == '/').is_some() => break,
                    Some(_) => {}
                    None => return Err(self.error("the comment has no end")),
                }
            },
            _ => {
                return Err(self.error("a `/` outside of quotes; values that hold one are written in quotes"));
            }
        }
        Ok(())
    }

    fn quoted(&mut self, quote: char) -> Result<Token, JaasError> {
        let mut value = String::new();
        loop {
            match self.chars.next().map(|(_, c)| c) {
                Some(c) if c == quote => return Ok(Token::Quoted(value)),
                Some('\\') => value.push(self.escaped()?),
                Some('\n' | '\r') | None => return Err(self.error("a quote is not closed")),
                Some(c) => value.push(c),
            }
        }
    }

    /// What follows a backslash: as in Java, of which JAAS is.
    fn escaped(&mut self) -> Result<char, JaasError> {
        let Some((_, c)) = self.chars.next() else { return Err(self.error("a quote is not closed")) };
        Ok(match c {
            'a' => '\u{7}',
            'b' => '\u{8}',
            'f' => '\u{c}',
            'n' => '\n',
            'r' => '\r',
            't' => '\t',
            'v' => '\u{b}',
            '0'..='7' => {
                let mut code = c.to_digit(8).unwrap_or_default();
                // Three digits, or two where the first is above 3.
                for _ in 0..if c <= '3' { 2 } else { 1 } {
                    let Some((_, c)) = self.chars.next_if(|(_, c)| c.is_digit(8)) else { break };
                    code = code * 8 + c.to_digit(8).unwrap_or_default();
                }
                char::from_u32(code).unwrap_or_default()
            }
            other => other,
        })
    }

    /// An error at the place that was reached.
    fn error(&mut self, text: &str) -> JaasError {
        let at = self.chars.peek().map_or(self.text.len(), |(at, _)| *at);
        let before = self.text.get(..at).unwrap_or_default();
        JaasError { line: before.trim_end().matches('\n').count() + 1, text: text.to_owned() }
    }
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, '.' | '-' | '_' | '$' | '*')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(text: &str) -> Result<(String, Vec<(String, String)>), String> {
        parse_line(text).map(|module| (module.class, module.options)).map_err(|error| error.to_string())
    }

    fn value(text: &str) -> String {
        let mut module =
            parse_line(&format!("c required k={text};")).unwrap_or_else(|error| panic!("{error}"));
        module.take("k").unwrap()
    }

    #[test]
    fn a_line_has_a_class_a_flag_and_options() {
        let text = r#"a.b.PlainLoginModule Required username="u" password='p"=;' retries=3 ;"#;
        let pair = |key: &str, value: &str| (key.to_owned(), value.to_owned());
        let options = vec![pair("username", "u"), pair("password", "p\"=;"), pair("retries", "3")];
        assert_eq!(line(text), Ok(("a.b.PlainLoginModule".to_owned(), options)));
        assert_eq!(line("c\n  required\n;"), Ok(("c".to_owned(), Vec::new())));
    }

    #[test]
    fn quotes_and_escapes_are_javas() {
        assert_eq!(value(r#""a\"b\\c""#), r#"a"b\c"#);
        assert_eq!(value("'it\\'s'"), "it's");
        assert_eq!(value(r#""\t\101\7\400!""#), "\tA\u{7} 0!");
        assert_eq!(value(r#""$%&/ü#{}""#), "$%&/ü#{}");
        assert_eq!(value("true"), "true");
    }

    #[test]
    fn the_last_of_two_wins_as_in_java() {
        let mut module = parse_line("c required k=a k=b;").unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(module.take("k").as_deref(), Some("b"));
        assert!(module.rest().is_empty());
    }

    #[test]
    fn what_is_wrong_is_said_without_the_values() {
        for (text, error) in [
            ("", "line 1: the class of a login module is expected"),
            ("c", "line 1: `required` is expected behind the class of the login module"),
            ("c username=\"u\";", "line 1: `required` is expected behind the class of the login module"),
            ("c required\nk=\"v\"", "line 2: the `;` at the end is missing"),
            ("c required k=;", "line 1: an option has no value"),
            ("c required k=\"secret;\n", "line 1: a quote is not closed"),
            (
                "c required k=se cret;",
                "line 1: KEY=\"VALUE\" is expected: a `=` is missing, or quotes around a value",
            ),
            ("c required k=s@cret;", "line 1: a character that has to be in quotes"),
            (
                "c required k=/secret;",
                "line 1: a `/` outside of quotes; values that hold one are written in quotes",
            ),
            (
                "c required; d required;",
                "line 1: there is more behind the `;`; one login module is all that is read",
            ),
        ] {
            assert_eq!(line(text).unwrap_err(), error, "{text}");
        }
    }

    #[test]
    fn a_file_has_sections_and_comments() {
        let text = "// ours is the second\nOther { x.Y required; x.Z optional a=b; };\n/* and * this\n */\n\
                    KafkaClient {\n  com.sun.security.auth.module.Krb5LoginModule required\n  useTicketCache=true\n\
                    serviceName=\"kafka\";\n};\n";
        let mut module = parse_file(text).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(module.class, "com.sun.security.auth.module.Krb5LoginModule");
        assert_eq!(module.take("useTicketCache").as_deref(), Some("true"));
        assert_eq!(module.rest(), ["serviceName"]);
    }

    #[test]
    fn what_is_wrong_with_a_file_is_said() {
        let error = |text: &str| parse_file(text).err().unwrap().to_string();
        assert_eq!(
            error("Other { x.Y required; };"),
            "line 1: there is no section `KafkaClient` with a login module"
        );
        assert_eq!(error("KafkaClient {\n x.Y required; }"), "line 2: `;` is expected");
        assert_eq!(
            error("KafkaClient { x.Y required; x.Z required; };"),
            "line 1: `KafkaClient` holds several login modules; one is all that is read"
        );
        assert_eq!(error("/* x"), "line 1: the comment has no end");
        assert!(
            error("KafkaClient {\n x.Y required k=\"${user.home}\"; };")
                .starts_with("line 2: Java's system properties")
        );
    }
}
