//! Patterns of paths, as Ruby's `Dir.glob` reads them: `*`, `?`, `[a-z]`, `{a,b}`, `**/`, `\` before a sign to be taken
//! literally. Names that begin with a dot have to be asked for.

use glob::{MatchOptions, Pattern};
use std::io;
use std::path::{Path, PathBuf};

/// Most patterns that the braces of one `path` may stand for.
const ALTERNATIVES_MAX: usize = 1024;
/// How deep `**/` goes.
const DEPTH_MAX: usize = 64;

const NAMES: MatchOptions = MatchOptions {
    case_sensitive: true,
    require_literal_separator: false,
    require_literal_leading_dot: true,
};

/// A pattern of paths without braces.
#[derive(Clone, Debug)]
pub(super) struct PathPattern {
    components: Vec<Component>,
}

#[derive(Clone, Debug)]
enum Component {
    /// This name.
    Name(String),
    /// Each name that matches.
    Match(Pattern),
    /// Any directories, also none.
    Deep,
}

impl PathPattern {
    /// The patterns that `text` stands for.
    pub(super) fn parse(text: &str) -> Result<Vec<PathPattern>, String> {
        expand_braces(text)?.iter().map(|text| PathPattern::parse_one(text)).collect()
    }

    fn parse_one(text: &str) -> Result<PathPattern, String> {
        let mut components = Vec::new();
        let mut parts = text.split('/').filter(|part| !part.is_empty()).peekable();
        while let Some(part) = parts.next() {
            let component = match part {
                "**" if parts.peek().is_some() => Component::Deep,
                _ => component(part)?,
            };
            components.push(component);
        }
        Ok(PathPattern { components })
    }

    /// All paths that match now, sorted by name within a directory.
    pub(super) fn find(&self, found: &mut dyn FnMut(PathBuf)) {
        walk(Path::new("/"), &self.components, DEPTH_MAX, found);
    }
}

/// A pattern of file names: the option `exclude`.
pub(super) fn name_pattern(text: &str) -> Result<Pattern, String> {
    compile(text)
}

/// Whether the name of the file at `path` matches.
pub(super) fn matches_name(pattern: &Pattern, path: &Path) -> bool {
    path.file_name().is_some_and(|name| pattern.matches_with(&name.to_string_lossy(), NAMES))
}

fn component(part: &str) -> Result<Component, String> {
    let mut name = String::new();
    let mut chars = part.chars();
    while let Some(c) = chars.next() {
        match c {
            '*' | '?' | '[' => return compile(part).map(Component::Match),
            '\\' => name.extend(chars.next()),
            _ => name.push(c),
        }
    }
    Ok(Component::Name(name))
}

/// From Ruby's signs to those of the library.
fn compile(text: &str) -> Result<Pattern, String> {
    let mut out = String::new();
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\\' => {
                let literal = chars.next().map(String::from).unwrap_or_default();
                out.push_str(&Pattern::escape(&literal));
            }
            '[' => {
                out.push('[');
                if chars.next_if_eq(&'^').is_some() {
                    out.push('!');
                }
            }
            // Several in a row mean no more than one, unless they are a directory of their own.
            '*' if out.ends_with('*') => {}
            _ => out.push(c),
        }
    }
    Pattern::new(&out).map_err(|error| format!("`{text}` is no file pattern: {}", error.msg))
}

fn expand_braces(text: &str) -> Result<Vec<String>, String> {
    let Some((head, choices, tail)) = first_braces(text) else { return Ok(vec![text.to_owned()]) };
    let mut all = Vec::new();
    for choice in choices {
        all.extend(expand_braces(&format!("{head}{choice}{tail}"))?);
        if all.len() > ALTERNATIVES_MAX {
            return Err(format!("`{text}` stands for more than {ALTERNATIVES_MAX} patterns"));
        }
    }
    Ok(all)
}

/// The first pair of braces: what stands before it, its alternatives, what stands behind.
fn first_braces(text: &str) -> Option<(&str, Vec<&str>, &str)> {
    let mut open: Option<usize> = None;
    let (mut depth, mut start, mut escaped) = (0usize, 0, false);
    let mut choices = Vec::new();
    for (at, c) in text.char_indices() {
        if std::mem::take(&mut escaped) {
            continue;
        }
        match c {
            '\\' => escaped = true,
            '{' => {
                depth += 1;
                if depth == 1 {
                    (open, start) = (Some(at), at + 1);
                }
            }
            ',' if depth == 1 => {
                choices.push(text.get(start..at)?);
                start = at + 1;
            }
            '}' if depth == 1 => {
                choices.push(text.get(start..at)?);
                return Some((text.get(..open?)?, choices, text.get(at + 1..)?));
            }
            '}' if depth > 1 => depth -= 1,
            _ => {}
        }
    }
    None
}

fn walk(directory: &Path, components: &[Component], depth: usize, found: &mut dyn FnMut(PathBuf)) {
    let Some((component, rest)) = components.split_first() else { return found(directory.to_owned()) };
    match component {
        Component::Name(name) => walk(&directory.join(name), rest, depth, found),
        Component::Match(pattern) => {
            for entry in entries(directory) {
                let is_wanted = matches_name(pattern, &entry.path);
                if is_wanted && (rest.is_empty() || entry.path.is_dir()) {
                    walk(&entry.path, rest, depth, found);
                }
            }
        }
        Component::Deep => {
            walk(directory, rest, depth, found);
            let Some(depth) = depth.checked_sub(1) else { return };
            // Links to directories are not followed, or a loop of them would never end.
            for entry in
                entries(directory).into_iter().filter(|entry| entry.is_directory && !entry.is_hidden())
            {
                walk(&entry.path, components, depth, found);
            }
        }
    }
}

struct Entry {
    path: PathBuf,
    is_directory: bool,
}

impl Entry {
    fn is_hidden(&self) -> bool {
        self.path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."))
    }
}

/// What is in a directory, by name; nothing where it can't be read.
fn entries(directory: &Path) -> Vec<Entry> {
    let read = || -> io::Result<Vec<Entry>> {
        let mut entries = Vec::new();
        for entry in std::fs::read_dir(directory)? {
            let entry = entry?;
            let is_directory = entry.file_type().is_ok_and(|kind| kind.is_dir());
            entries.push(Entry { path: entry.path(), is_directory });
        }
        entries.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(entries)
    };
    read().unwrap_or_else(|error| {
        if !matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) {
            tracing::warn!(path = %directory.display(), %error, limited = true, "a directory can't be read");
        }
        Vec::new()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn find(root: &Path, pattern: &str) -> Vec<String> {
        let mut found = Vec::new();
        for pattern in PathPattern::parse(&format!("{}/{pattern}", root.display())).unwrap() {
            pattern.find(&mut |path| {
                if path.is_file() {
                    found.push(path.strip_prefix(root).unwrap().display().to_string());
                }
            });
        }
        found
    }

    #[test]
    fn patterns_find_what_ruby_finds() {
        let dir = tempfile::tempdir().unwrap();
        for path in
            ["a.log", "b.log", ".hidden.log", "x*y", "one/c.log", "one/two/d.log", ".git/e.log", "b.txt"]
        {
            let path = dir.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, "").unwrap();
        }
        std::os::unix::fs::symlink(dir.path(), dir.path().join("one/loop")).unwrap();
        for (pattern, found) in [
            ("a.log", &["a.log"][..]),
            ("*.log", &["a.log", "b.log"]),
            (".*.log", &[".hidden.log"]),
            ("**/*.log", &["a.log", "b.log", "one/c.log", "one/two/d.log"]),
            ("**.log", &["a.log", "b.log"]),
            ("**/d.log", &["one/two/d.log"]),
            ("one/**", &["one/c.log"]),
            ("{b,a}.{txt,log}", &["b.txt", "b.log", "a.log"]),
            ("[^a].log", &["b.log"]),
            ("?.log", &["a.log", "b.log"]),
            ("x\\*y", &["x*y"]),
            ("*/c.log", &["one/c.log"]),
            ("none/*", &[]),
        ] {
            assert_eq!(find(dir.path(), pattern), found, "{pattern}");
        }
    }

    #[test]
    fn names_to_leave_out() {
        let pattern = name_pattern("*.gz").unwrap();
        assert!(matches_name(&pattern, Path::new("/var/log/x.gz")));
        assert!(!matches_name(&pattern, Path::new("/var/x.gz/log")));
        assert!(name_pattern("[a").is_err());
    }

    #[test]
    fn braces_are_bounded() {
        assert!(PathPattern::parse(&"{a,b}".repeat(20)).is_err());
        assert_eq!(PathPattern::parse("/a{b").unwrap().len(), 1);
    }
}
