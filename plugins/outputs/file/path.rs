//! Which file an event goes to.

use ferrostash_event::{Event, Template};
use std::path::{Component, Path, PathBuf};

/// Makes paths from a template, and keeps them inside the folder in front of its first `%{`.
#[derive(Clone)]
pub(super) struct PathMaker {
    template: Template,
    /// Where all files lie.
    root: PathBuf,
    failure: PathBuf,
    text: String,
    path: PathBuf,
}

impl PathMaker {
    /// Fails with a reason for a path that is a folder, or whose first part is not fixed.
    pub(super) fn new(template: Template, filename_failure: &str) -> Result<PathMaker, String> {
        let raw = template.as_str();
        if let Some(problem) = template.problems().next() {
            return Err(format!("`path` can't be made: {problem}"));
        }
        let fixed = raw.split("%{").next().unwrap_or_default();
        if fixed.is_empty() {
            return Err("`path` must begin with a fixed folder".into());
        }
        if raw.ends_with('/') {
            return Err("`path` names a folder, not a file".into());
        }
        let root = match fixed.rsplit_once('/') {
            Some(("", _)) => PathBuf::from("/"),
            Some((folder, _)) => PathBuf::from(folder),
            None => PathBuf::from("."),
        };
        let failure = root.join(filename_failure);
        let path = template.as_constant().map(PathBuf::from).unwrap_or_default();
        Ok(PathMaker { template, root, failure, text: String::new(), path })
    }

    /// The file for events that have none of their own.
    pub(super) fn failure(&self) -> &Path {
        &self.failure
    }

    /// The file of `event`.
    pub(super) fn path_of(&mut self, event: &Event) -> &Path {
        if self.template.as_constant().is_some() {
            return &self.path;
        }
        let before = std::mem::take(&mut self.text);
        let mut text = String::with_capacity(before.len());
        let made = self.template.render(event, &mut text).is_ok();
        let changed = text != before;
        self.text = text;
        if !made || self.text.contains('\0') {
            return &self.failure;
        }
        if changed {
            self.path = PathBuf::from(&self.text);
        }
        if is_inside(&self.path, &self.root) { &self.path } else { &self.failure }
    }
}

/// Whether `path`, its `..` followed, lies below `root`.
fn is_inside(path: &Path, root: &Path) -> bool {
    let mut depth: i64 = 0;
    let root = root.strip_prefix(".").unwrap_or(root);
    let Ok(below) = path.strip_prefix(root) else { return false };
    for part in below.components() {
        match part {
            Component::ParentDir => depth -= 1,
            Component::Normal(_) => depth += 1,
            _ => {}
        }
        if depth < 0 {
            return false;
        }
    }
    depth > 0
}

#[cfg(test)]
mod tests {
    use super::*;
    use ferrostash_plugin::testing::event;

    fn path(template: &str, fields: &str) -> String {
        let mut maker = PathMaker::new(Template::parse(template), "_failed").unwrap();
        maker.path_of(&event(fields)).display().to_string()
    }

    #[test]
    fn paths_stay_below_the_root() {
        assert_eq!(path("/logs/%{app}.json", r#"{"app":"web"}"#), "/logs/web.json");
        assert_eq!(path("/logs/%{app}.json", r#"{"app":"a/b"}"#), "/logs/a/b.json");
        assert_eq!(path("/logs/%{app}.json", r#"{"app":"../../etc/passwd"}"#), "/logs/_failed");
        assert_eq!(path("/logs/%{app}.json", r#"{"app":"a/../../x"}"#), "/logs/_failed");
        assert_eq!(path("out/%{+yyyy-MM-dd}.json", "{}"), "out/2026-01-02.json");
        assert_eq!(path("/logs/x.json", "{}"), "/logs/x.json");
    }

    #[test]
    fn refused_paths() {
        for bad in ["%{app}/x", "/logs/", "/logs/%{[}"] {
            assert!(PathMaker::new(Template::parse(bad), "_failed").is_err(), "{bad}");
        }
    }
}
