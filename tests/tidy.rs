//! The house rules that a compiler does not know: who may depend on whom, and that nothing is left out silently.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests fail loudly, and so do their helpers"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

/// The crates of `crates/` from the ground up. Each may use those below its own level, and none beside it.
///
/// So `pipeline` can name no plugin crate, and a plugin crate neither `pipeline` nor another plugin crate: they all
/// stand on one level, [`PLUGINS_LEVEL`].
const LEVELS: [&[&str]; 6] =
    [&["joda", "grok", "conf-derive"], &["event"], &["conf"], &["plugin"], &["queue", "net"], &["pipeline"]];
const PLUGINS_LEVEL: usize = 5;
const ROOT_LEVEL: usize = 6;
/// What only tests and chores use.
const DOUBLES_LEVEL: usize = 7;
/// What `xtask` uses, as `xtask/costs`.
const XTASK_PARTS_LEVEL: usize = 8;
const XTASK_LEVEL: usize = 9;

/// Crates that are fuzzed and benched alone, and so bring no runtime along.
const WITHOUT_TOKIO: [&str; 4] =
    ["ferrostash-event", "ferrostash-conf", "ferrostash-grok", "ferrostash-joda"];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// All files below `folder`, without build results and hidden folders.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let Ok(entries) = fs::read_dir(folder) else { return found };
    for entry in entries {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy();
        if path.is_dir() && name != "target" && !name.starts_with('.') {
            found.extend(files(&path));
        } else if path.is_file() {
            found.push(path);
        }
    }
    found.sort();
    found
}

fn rust_files(folder: &Path) -> Vec<PathBuf> {
    files(folder).into_iter().filter(|path| path.extension().is_some_and(|ext| ext == "rs")).collect()
}

/// `cargo metadata` for this machine; with `--no-deps`, of the workspace alone.
fn metadata(more: &[&str]) -> Value {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".into());
    let arguments = ["metadata", "--format-version", "1", "--offline"];
    let output = Command::new(cargo).args(arguments).args(more).current_dir(root()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key].as_str().unwrap_or_else(|| panic!("no {key} in {value}"))
}

fn list<'a>(value: &'a Value, key: &str) -> &'a [Value] {
    value[key].as_array().unwrap_or_else(|| panic!("no {key} in {value}"))
}

struct Crate {
    name: String,
    /// Below the root of the repository; empty for the root package.
    folder: PathBuf,
    /// Crates of the workspace that it uses outside its tests.
    uses: BTreeSet<String>,
}

impl Crate {
    fn level(&self) -> usize {
        let mut parts = self.folder.iter().map(|part| part.to_str().unwrap());
        match (parts.next(), parts.next()) {
            (None, _) => ROOT_LEVEL,
            (Some("xtask"), None) => XTASK_LEVEL,
            (Some("xtask"), Some(_)) => XTASK_PARTS_LEVEL,
            (Some("plugins"), _) => PLUGINS_LEVEL,
            (_, Some("doubles")) => DOUBLES_LEVEL,
            (_, Some(folder)) => LEVELS
                .iter()
                .position(|level| level.contains(&folder))
                .unwrap_or_else(|| panic!("on which level is crates/{folder}? Say so in tests/tidy.rs")),
            (Some(other), None) => panic!("a crate in {other}/: on which level is it?"),
        }
    }
}

fn workspace() -> Vec<Crate> {
    let metadata = metadata(&["--no-deps"]);
    let packages = list(&metadata, "packages");
    let names: BTreeSet<&str> = packages.iter().map(|package| text(package, "name")).collect();
    let of = |package: &Value| {
        let uses = list(package, "dependencies")
            .iter()
            .filter(|used| used["kind"] != "dev" && names.contains(text(used, "name")))
            .map(|used| text(used, "name").to_owned());
        let manifest = Path::new(text(package, "manifest_path"));
        let folder = manifest.parent().unwrap().strip_prefix(root()).unwrap().to_owned();
        Crate { name: text(package, "name").to_owned(), folder, uses: uses.collect() }
    };
    packages.iter().map(of).collect()
}

#[test]
fn crates_use_only_what_stands_below_them() {
    let crates = workspace();
    let levels: BTreeMap<&str, usize> = crates.iter().map(|c| (c.name.as_str(), c.level())).collect();
    for user in &crates {
        for used in &user.uses {
            assert!(
                levels[used.as_str()] < user.level(),
                "{} must not depend on {used}: it does not stand below it",
                user.name
            );
        }
    }
}

#[test]
fn crates_are_named_after_their_folders_and_obey_the_lints() {
    for member in workspace() {
        let folder = member.folder.file_name().map_or("", |name| name.to_str().unwrap());
        let expected = match folder {
            "" => "ferrostash".to_owned(),
            "xtask" => "xtask".to_owned(),
            folder => format!("ferrostash-{folder}"),
        };
        assert_eq!(member.name, expected);
        let manifest = read(&root().join(&member.folder).join("Cargo.toml"));
        assert!(manifest.contains("[lints]\nworkspace = true"), "{} has lints of its own", member.name);
    }
}

#[test]
fn event_conf_grok_and_joda_bring_no_tokio() {
    let output = Command::new("rustc").arg("-vV").output().unwrap();
    let version = String::from_utf8(output.stdout).unwrap();
    let host = version.lines().find_map(|line| line.strip_prefix("host: ")).unwrap();
    let metadata = metadata(&["--filter-platform", host]);
    let names: BTreeMap<&str, &str> = list(&metadata, "packages")
        .iter()
        .map(|package| (text(package, "id"), text(package, "name")))
        .collect();
    let nodes: BTreeMap<&str, &Value> =
        list(&metadata["resolve"], "nodes").iter().map(|node| (text(node, "id"), node)).collect();
    let mut seen = 0;
    for (id, name) in &names {
        if WITHOUT_TOKIO.contains(name) {
            seen += 1;
            let linked = linked_with(id, &nodes);
            assert!(linked.len() > 1, "{name} is linked with {linked:?}");
            assert!(!linked.iter().any(|id| names[id] == "tokio"), "{name} depends on tokio");
        }
    }
    assert_eq!(seen, WITHOUT_TOKIO.len());
}

/// The package and all that is linked with it outside its tests.
fn linked_with<'a>(id: &'a str, nodes: &BTreeMap<&'a str, &'a Value>) -> BTreeSet<&'a str> {
    let mut linked = BTreeSet::new();
    let mut open = vec![id];
    while let Some(id) = open.pop() {
        if linked.insert(id) {
            let normal = |used: &&Value| list(used, "dep_kinds").iter().any(|kind| kind["kind"].is_null());
            open.extend(list(nodes[id], "deps").iter().filter(normal).map(|used| text(used, "pkg")));
        }
    }
    linked
}

/// `mod NAME;` and the entries of `PLUGINS` in a plugin crate's `lib.rs`.
fn lib_of(folder: &Path) -> (BTreeSet<String>, Vec<String>) {
    let lib = read(&folder.join("lib.rs"));
    let module = |line: &str| {
        let bare = line.trim_start_matches("pub(crate) ").trim_start_matches("pub ");
        Some(bare.strip_prefix("mod ")?.strip_suffix(';')?.to_owned())
    };
    let modules = lib.lines().filter_map(module).collect();
    let list = lib.split_once("PLUGINS: &[&PluginDef] =").and_then(|cut| cut.1.split_once("];"));
    let listed = list.map_or("", |cut| cut.0.trim().trim_start_matches("&["));
    let uncommented = listed.lines().map(|line| line.split("//").next().unwrap()).collect::<String>();
    let entry = |entry: &str| entry.trim().strip_prefix('&').map(str::to_owned);
    (modules, uncommented.split(',').filter_map(entry).collect())
}

/// The names of the declarations in a file: `static NAME: PluginDef`.
fn declared_in(path: &Path) -> Vec<String> {
    let text = read(path);
    let name = |line: &str| {
        let (name, rest) = line.split_once("static ")?.1.split_once(':')?;
        rest.trim_start().starts_with("PluginDef").then(|| name.trim().to_owned())
    };
    text.lines().filter(|line| !line.trim_start().starts_with("//")).filter_map(name).collect()
}

fn plugin_crates() -> Vec<PathBuf> {
    let mut folders: Vec<_> =
        fs::read_dir(root().join("plugins")).unwrap().map(|e| e.unwrap().path()).collect();
    folders.retain(|folder| folder.join("Cargo.toml").exists());
    assert!(folders.len() >= 4);
    folders.sort();
    folders
}

#[test]
fn every_plugin_is_listed_in_its_crate() {
    for folder in plugin_crates() {
        let (modules, listed) = lib_of(&folder);
        for path in rust_files(&folder) {
            let inside = path.strip_prefix(&folder).unwrap();
            let top = inside.iter().next().unwrap().to_str().unwrap();
            let module = top.strip_suffix(".rs").unwrap_or(top);
            if ["lib", "tests", "benches", "examples"].contains(&module) {
                continue;
            }
            assert!(modules.contains(module), "{}: lib.rs has no `mod {module};`", path.display());
            let declared = if path.ends_with("tests.rs") { Vec::new() } else { declared_in(&path) };
            for name in declared {
                let entry = format!("{module}::{name}");
                assert!(listed.contains(&entry), "{}: PLUGINS has no `&{entry}`", path.display());
            }
        }
    }
}

#[test]
fn every_plugin_crate_is_part_of_the_program() {
    let program = read(&root().join("src/plugins.rs"));
    for folder in plugin_crates() {
        let entry = format!("ferrostash_{}::PLUGINS", folder.file_name().unwrap().to_str().unwrap());
        assert!(program.contains(&entry), "src/plugins.rs has no {entry}");
    }
}

#[test]
fn lists_of_plugins_are_alphabetical() {
    for folder in plugin_crates() {
        let (_, listed) = lib_of(&folder);
        assert!(listed.is_sorted(), "{}: {listed:?}", folder.display());
    }
}

#[test]
fn the_event_shows_nothing_of_its_inside() {
    for path in rust_files(&root().join("crates/event/src")) {
        let text = read(&path);
        for signature in
            text.split("pub fn ").skip(1).filter_map(|rest| rest.split_once('{')).map(|cut| cut.0)
        {
            for inside in ["HashMap", "BTreeMap", "IndexMap", "serde_json", "&mut Value"] {
                assert!(!signature.contains(inside), "{}: pub fn {signature}", path.display());
            }
        }
    }
    let text = read(&root().join("crates/event/src/event.rs"));
    let fields = text.split_once("pub struct Event {").unwrap().1.split_once("\n}").unwrap().0;
    assert!(fields.lines().all(|line| !line.trim_start().starts_with("pub ")), "{fields}");
}

#[test]
fn no_channel_is_unbounded() {
    let sources: Vec<_> =
        ["src", "crates", "plugins"].iter().flat_map(|folder| rust_files(&root().join(folder))).collect();
    assert!(sources.len() > 50);
    let of_tests = |path: &&PathBuf| path.iter().any(|part| part == "tests" || part == "tests.rs");
    for path in sources.iter().filter(|path| !of_tests(path)) {
        let text = read(path);
        let code = text.split("#[cfg(test)]\nmod tests").next().unwrap();
        for (number, line) in code.lines().enumerate() {
            for call in ["unbounded_channel", "::unbounded", "mpsc::channel()"] {
                assert!(!line.contains(call), "{}:{}: {line}", path.display(), number + 1);
            }
        }
    }
}

#[test]
fn no_test_is_switched_off() {
    let mark = concat!("#[", "ignore");
    let commands = ["cargo test", "cargo test --features kafka-gssapi"];
    let needs = ["java and maven", "java, maven and MIT Kerberos"];
    let with_services: Vec<_> = needs
        .iter()
        .zip(commands)
        .map(|(needs, command)| format!("{mark} = \"needs {needs}: {command} --test e2e -- --ignored\"]"))
        .collect();
    let e2e = root().join("tests/e2e");
    let sources = rust_files(root());
    assert!(sources.len() > 50);
    for path in sources {
        let text = read(&path);
        let known = with_services.iter().filter(|_| path.starts_with(&e2e));
        let text = known.fold(text, |text, known| text.replace(known, ""));
        assert!(!text.contains(mark), "{} has a test that never runs", path.display());
    }
    let run = read(&root().join(".ci/run"));
    assert!(run.contains("cargo test --quiet --test e2e -- --ignored"));
    assert!(run.contains("cargo test --quiet --features kafka-gssapi --test e2e kerberos -- --ignored"));
}

#[test]
fn every_sample_is_run_by_a_test() {
    let tests: String = rust_files(&root().join("tests/it")).iter().map(|path| read(path)).collect();
    let samples = files(&root().join("conf"));
    assert!(samples.len() > 5);
    for sample in samples {
        let name = sample.file_name().unwrap().to_str().unwrap();
        assert!(tests.contains(name), "no test in tests/it names {name}");
    }
}
