//! `cargo xtask docs`: the pages that come out of the declarations of plugins and settings.
//!
//! The pages are committed, so that they can be read without building; `--check` fails when one is stale.

mod markdown;
mod plugins;
mod settings;

use anyhow::{Context as _, Result};
use ferrostash_conf::PluginKind;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Options of `cargo xtask docs`.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Only say which pages are stale.
    #[arg(long)]
    check: bool,
}

/// Texts by path below the repository.
type Pages = BTreeMap<PathBuf, String>;

const KINDS: [PluginKind; 4] = [PluginKind::Input, PluginKind::Filter, PluginKind::Output, PluginKind::Codec];

/// Writes or checks the pages.
pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode> {
    let top = crate::repository();
    let registry = ferrostash::plugins::registry();
    let defs: Vec<_> = registry.iter().collect();
    let mut pages = plugins::pages(&defs);
    pages.insert("docs/settings.md".into(), settings::page());
    let readme = std::fs::read_to_string(top.join("README.md")).context("README.md")?;
    pages.insert("README.md".into(), plugins::in_readme(&readme, &defs)?);
    let orphans = orphans(&top, &pages)?;
    if arguments.check {
        return Ok(check(&top, &pages, &orphans));
    }
    for orphan in &orphans {
        std::fs::remove_file(top.join(orphan))?;
    }
    for (path, text) in &pages {
        write(&top.join(path), text)?;
    }
    println!("{} pages", pages.len());
    Ok(ExitCode::SUCCESS)
}

/// The folder of a kind's pages.
fn folder(kind: PluginKind) -> String {
    format!("docs/plugins/{kind}s")
}

/// Pages of plugins that are no more.
fn orphans(top: &Path, pages: &Pages) -> Result<Vec<PathBuf>> {
    let mut orphans = Vec::new();
    for kind in KINDS {
        let folder = PathBuf::from(folder(kind));
        let Ok(entries) = std::fs::read_dir(top.join(&folder)) else { continue };
        for entry in entries {
            let page = folder.join(entry?.file_name());
            if !pages.contains_key(&page) {
                orphans.push(page);
            }
        }
    }
    Ok(orphans)
}

fn check(top: &Path, pages: &Pages, orphans: &[PathBuf]) -> ExitCode {
    let is_fresh = |(path, text): &(&PathBuf, &String)| {
        std::fs::read_to_string(top.join(path)).is_ok_and(|found| found == **text)
    };
    let stale: Vec<_> =
        pages.iter().filter(|page| !is_fresh(page)).map(|(path, _)| path).chain(orphans).collect();
    for path in &stale {
        println!("stale: {} (cargo xtask docs writes it)", path.display());
    }
    if stale.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn write(path: &Path, text: &str) -> Result<()> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    std::fs::write(path, text).with_context(|| path.display().to_string())
}
