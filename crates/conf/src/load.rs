//! Reading `path.config` and `config.string` into a [`SourceMap`].

use std::fs;
use std::io::Read;
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};

use crate::conf_value::inspect_text;
use crate::diagnostics::{Diagnostic, Diagnostics};
use crate::source::{Protocol, SourceMap};

/// Longest configuration file that is read, in bytes.
pub const FILE_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// Most patterns that the braces of one `path.config` may stand for.
pub const BRACE_PATTERNS_MAX: usize = 1_000;

/// Adds `config.string`, with the inputs and outputs that a text without any gets.
///
/// Whether it has some is decided by looks, as in Logstash: `input {` in a comment counts.
pub fn load_string(text: &str, sources: &mut SourceMap) {
    sources.add(Protocol::String, "config string", text);
    if !mentions_section(text, "input") {
        sources.add(Protocol::String, "default input", "input { stdin { type => stdin } }");
    }
    if !mentions_section(text, "output") {
        sources.add(Protocol::String, "default output", "output { stdout { codec => rubydebug } }");
    }
}

/// Whether `name`, perhaps blanks, and a brace are somewhere in the text.
fn mentions_section(text: &str, name: &str) -> bool {
    text.match_indices(name).any(|(at, _)| {
        text.get(at + name.len()..).is_some_and(|rest| rest.trim_start_matches(' ').starts_with('{'))
    })
}

/// Adds the files of `path.config`: one file, those that a glob finds, or those directly in a directory.
///
/// Names that end in `~` are left out with a warning. It is an error when nothing is left, when a file cannot be
/// read, or when it is not UTF-8.
pub fn load_path(path: &str, sources: &mut SourceMap, diagnostics: &mut Diagnostics) {
    if path.starts_with("http://") || path.starts_with("https://") {
        let message = format!("`path.config` with a URL is not supported yet: {path}");
        diagnostics.push(Diagnostic::error(message).help("fetch the file and give its path"));
        return;
    }
    let path = strip_file_scheme(path);
    let files = match find(path) {
        Ok(files) => files,
        Err(reason) => {
            diagnostics
                .push(Diagnostic::error(format!("`path.config` is no valid pattern: {path}: {reason}")));
            return;
        }
    };
    let (before, errors_before) = (sources.iter().count(), diagnostics.error_count());
    for file in files {
        load_file(&file, sources, diagnostics);
    }
    if sources.iter().count() == before && diagnostics.error_count() == errors_before {
        let what =
            if Path::new(path).is_dir() { "no configuration file in" } else { "no such configuration file:" };
        diagnostics.push(
            Diagnostic::error(format!("{what} {path}"))
                .logstash("ERROR", "No configuration found in the configured sources."),
        );
    }
}

fn strip_file_scheme(path: &str) -> &str {
    match path.get(..7) {
        Some(scheme) if scheme.eq_ignore_ascii_case("file://") => path.get(7..).unwrap_or(path),
        _ => path,
    }
}

/// The paths that a pattern stands for, sorted.
fn find(path: &str) -> Result<Vec<PathBuf>, String> {
    let pattern = if Path::new(path).is_dir() {
        format!("{}/*", glob::Pattern::escape(path.trim_end_matches('/')))
    } else if Path::new(path).exists() {
        return Ok(vec![PathBuf::from(path)]);
    } else {
        path.to_owned()
    };
    let options = glob::MatchOptions { require_literal_leading_dot: true, ..Default::default() };
    let mut files = Vec::new();
    for pattern in expand_braces(&pattern)? {
        let found = glob::glob_with(&pattern, options).map_err(|error| error.to_string())?;
        files.extend(found.filter_map(Result::ok));
    }
    files.sort();
    files.dedup();
    Ok(files)
}

/// `a{b,c}d` as `abd` and `acd`: Ruby's globs know braces.
fn expand_braces(pattern: &str) -> Result<Vec<String>, String> {
    let mut patterns = vec![pattern.to_owned()];
    loop {
        let mut expanded = Vec::new();
        let mut changed = false;
        for pattern in &patterns {
            match innermost_braces(pattern) {
                Some((before, inside, after)) => {
                    changed = true;
                    expanded.extend(inside.split(',').map(|part| format!("{before}{part}{after}")));
                }
                None => expanded.push(pattern.clone()),
            }
        }
        if expanded.len() > BRACE_PATTERNS_MAX {
            return Err(format!("its braces stand for more than {BRACE_PATTERNS_MAX} patterns"));
        }
        if !changed {
            return Ok(expanded);
        }
        patterns = expanded;
    }
}

/// What is before, in and behind a pair of braces without braces inside.
fn innermost_braces(pattern: &str) -> Option<(&str, &str, &str)> {
    let close = pattern.find('}')?;
    let (before, after) = (pattern.get(..close)?, pattern.get(close + 1..)?);
    let (before, inside) = before.rsplit_once('{')?;
    Some((before, inside, after))
}

fn load_file(path: &Path, sources: &mut SourceMap, diagnostics: &mut Diagnostics) {
    let name = path.display().to_string();
    let Ok(kind) = fs::metadata(path).map(|metadata| metadata.file_type()) else {
        diagnostics.push(Diagnostic::error(format!("cannot read {name}")));
        return;
    };
    if !kind.is_file() && !kind.is_fifo() {
        return;
    }
    if name.ends_with('~') {
        let message = format!("not reading {name}: it looks like an editor's backup");
        diagnostics.push(Diagnostic::warning(message).logstash(
            "WARN",
            format!("NOT reading config file because it is a temp file {{config_file: {name}}}"),
        ));
        return;
    }
    match read_text(path) {
        Ok(text) => {
            sources.add(Protocol::File, name, text);
        }
        Err(Unreadable::Io(reason)) => diagnostics.push(Diagnostic::error(format!("cannot read {name}: {reason}"))),
        Err(Unreadable::Encoding { offset, line }) => diagnostics.push(
            Diagnostic::error(format!("{name} is not UTF-8: byte {offset}, in line {line}"))
                .help("convert it, for example with iconv")
                .logstash(
                    "LogStash::ConfigLoadingError",
                    format!(
                        "The following config files contains non-ascii characters but are not UTF-8 encoded [{}]",
                        inspect_text(&name)
                    ),
                ),
        ),
    }
}

enum Unreadable {
    Io(String),
    Encoding { offset: usize, line: usize },
}

fn read_text(path: &Path) -> Result<String, Unreadable> {
    let io = |error: std::io::Error| Unreadable::Io(error.to_string());
    let mut bytes = Vec::new();
    fs::File::open(path).map_err(io)?.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(io)?;
    if bytes.len() as u64 > FILE_BYTES_MAX {
        return Err(Unreadable::Io(format!("it is longer than {FILE_BYTES_MAX} bytes")));
    }
    String::from_utf8(bytes).map_err(|error| {
        let offset = error.utf8_error().valid_up_to();
        let line = error.as_bytes().iter().take(offset).filter(|byte| **byte == b'\n').count() + 1;
        Unreadable::Encoding { offset, line }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(path: &str) -> (Vec<String>, Diagnostics) {
        let (mut sources, mut diagnostics) = (SourceMap::new(), Diagnostics::new());
        load_path(path, &mut sources, &mut diagnostics);
        let name = |source: &crate::Source| source.name.rsplit('/').next().unwrap().to_owned();
        (sources.iter().map(name).collect(), diagnostics)
    }

    #[test]
    fn files_directories_and_globs() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        for name in ["20-b.conf", "10-a.conf", ".hidden", "old~"] {
            fs::write(at(name), "input {}").unwrap();
        }
        fs::create_dir(at("deeper")).unwrap();
        fs::write(at("deeper/x.conf"), "").unwrap();
        let folder_name = folder.path().to_str().unwrap();

        let (found, diagnostics) = names(folder_name);
        assert_eq!(found, ["10-a.conf", "20-b.conf"]);
        assert!(!diagnostics.has_errors() && !diagnostics.is_empty());
        assert_eq!(names(&format!("file://{folder_name}/10-a.conf")).0, ["10-a.conf"]);
        assert_eq!(names(&format!("{folder_name}/{{10,20}}-*.conf")).0, ["10-a.conf", "20-b.conf"]);
        assert_eq!(names(&format!("{folder_name}/**/*.conf")).0, ["10-a.conf", "20-b.conf", "x.conf"]);
        assert!(names(&format!("{folder_name}/none*")).1.has_errors());
        assert!(names("https://example.com/a.conf").1.has_errors());
    }

    #[test]
    fn other_encodings_are_refused_with_their_place() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("latin1.conf");
        fs::write(&path, b"input {}\n# caf\xe9\n").unwrap();
        let (_, diagnostics) = names(path.to_str().unwrap());
        let message = diagnostics.iter().next().unwrap().message.clone();
        assert!(message.ends_with("is not UTF-8: byte 14, in line 2"), "{message}");
    }

    #[test]
    fn default_sections_by_looks() {
        let mut sources = SourceMap::new();
        load_string("filter {} # input  {", &mut sources);
        let names: Vec<&str> = sources.iter().map(|source| source.name.as_str()).collect();
        assert_eq!(names, ["config string", "default output"]);
    }
}
