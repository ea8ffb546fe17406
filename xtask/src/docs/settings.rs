//! The page of the settings.

use super::markdown::{cell, code, table};
use ferrostash::settings::{SettingDoc, reference};

/// `docs/settings.md`.
pub(super) fn page() -> String {
    let titles = ["setting", "values", "default", "in pipelines.yml", "meaning"];
    let rows = table(&titles, reference().map(|setting| row(&setting)));
    format!(
        "<!-- written by `cargo xtask docs` -->\n# Settings\n\nWhat `logstash.yml`, flags and the environment can set; \
         settings marked in the fourth column can also be set per pipeline in `pipelines.yml`.\n\n{rows}"
    )
}

fn row(setting: &SettingDoc) -> Vec<String> {
    let meaning = match &setting.limitation {
        Some(limitation) => format!("{}<br>*{}*", cell(setting.doc), cell(limitation)),
        None => cell(setting.doc),
    };
    vec![
        code(setting.name),
        cell(&setting.values),
        setting.default.map(code).unwrap_or_default(),
        if setting.per_pipeline { "yes" } else { "" }.to_owned(),
        meaning,
    ]
}
