//! `patterns_dir`: pattern definitions out of files.

use ferrostash_conf::Spanned;
use ferrostash_grok::PatternLibrary;
use ferrostash_plugin::{BuildContext, BuildResult};
use std::fs;
use std::path::{Path, PathBuf};

/// The largest pattern file that is read, in bytes.
const FILE_BYTES_MAX: u64 = 16 * 1024 * 1024;
/// Most globs that the braces of one may stand for.
const BRACES_MAX: usize = 1000;

/// Adds the definitions of all files; every one that can't be taken is reported.
pub(super) fn add(
    library: &mut PatternLibrary,
    paths: &[Spanned<String>],
    files_glob: &str,
    cx: &mut BuildContext<'_>,
) -> BuildResult<()> {
    let mut all = Ok(());
    for path in paths {
        if let Err(problem) = add_path(library, &path.value, files_glob, cx) {
            all = Err(cx.refuse_at(path.span, problem));
        }
    }
    all
}

fn add_path(
    library: &mut PatternLibrary,
    path: &str,
    files_glob: &str,
    cx: &mut BuildContext<'_>,
) -> Result<(), String> {
    let files = files(path, files_glob)?;
    if files.is_empty() {
        cx.warn(format!("there is no pattern file at `{path}`"));
    }
    files.iter().try_for_each(|file| {
        let text = read(file).map_err(|problem| format!("{}: {problem}", file.display()))?;
        library.add_text(&text).map_err(|problem| format!("{}: {problem}", file.display()))
    })
}

/// The files of a folder that the glob names; a path that is no folder may be a glob itself. Sorted, so that which of two
/// definitions wins does not depend on the file system.
fn files(path: &str, files_glob: &str) -> Result<Vec<PathBuf>, String> {
    let globs = match Path::new(path) {
        existing if existing.is_dir() => {
            let folder = glob::Pattern::escape(path.trim_end_matches('/'));
            braces(files_glob).into_iter().map(|glob| format!("{folder}/{glob}")).collect()
        }
        existing if existing.exists() => return Ok(vec![existing.to_owned()]),
        _ => braces(path),
    };
    let options = glob::MatchOptions { require_literal_leading_dot: true, ..Default::default() };
    let mut files = Vec::new();
    for glob in globs {
        let found = glob::glob_with(&glob, options).map_err(|error| format!("`{glob}`: {error}"))?;
        files.extend(found.filter_map(Result::ok).filter(|file| file.is_file()));
    }
    files.sort();
    files.dedup();
    Ok(files)
}

/// `*.{a,b}` as `*.a` and `*.b`: Ruby's globs know braces. Braces that are not closed are text.
fn braces(glob: &str) -> Vec<String> {
    let mut done = Vec::new();
    let mut open = vec![glob.to_owned()];
    while let Some(glob) = open.pop() {
        let inner = glob.find('}').and_then(|close| {
            let start = glob.get(..close)?.rfind('{')?;
            Some((glob.get(..start)?, glob.get(start + 1..close)?, glob.get(close + 1..)?))
        });
        match inner {
            Some((before, choices, after)) if done.len() + open.len() < BRACES_MAX => {
                open.extend(choices.split(',').map(|choice| format!("{before}{choice}{after}")));
            }
            _ => done.push(glob),
        }
    }
    done
}

fn read(file: &Path) -> Result<String, String> {
    let size = fs::metadata(file).map_err(|error| error.to_string())?.len();
    if size > FILE_BYTES_MAX {
        return Err(format!("the file is larger than {FILE_BYTES_MAX} bytes"));
    }
    let bytes = fs::read(file).map_err(|error| error.to_string())?;
    String::from_utf8(bytes).map_err(|error| format!("the file is not UTF-8: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn braces_of_globs() {
        let sorted = |glob| {
            let mut globs = braces(glob);
            globs.sort();
            globs.dedup();
            globs
        };
        assert_eq!(sorted("*.{a,b{c,d}}"), ["*.a", "*.bc", "*.bd"]);
        assert_eq!(sorted("x{a"), ["x{a"]);
        assert_eq!(sorted("x}"), ["x}"]);
        assert!(braces(&"{a,b}".repeat(40)).len() <= 2 * BRACES_MAX);
    }
}
