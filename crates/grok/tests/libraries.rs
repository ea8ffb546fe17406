//! Every definition of the shipped pattern sets compiles, alone and as `%{NAME:field}`.

use ferrostash_grok::{Captures, Grok, PatternLibrary};

fn check(set: &PatternLibrary, expected: usize) {
    assert_eq!(set.len(), expected);
    let mut failures = Vec::new();
    let mut scratch = Captures::new();
    for name in set.names() {
        for named_captures_only in [true, false] {
            match Grok::compile(set, &format!("%{{{name}:field}}"), named_captures_only) {
                Ok(grok) => {
                    assert!(grok.captures().iter().any(|capture| capture.field() == "field"), "{name}");
                    assert!(grok.matches("", None, &mut scratch).is_ok(), "{name}");
                }
                Err(error) => failures.push(format!("{name}: {error}")),
            }
        }
    }
    assert!(failures.is_empty(), "{} of {expected} fail:\n{}", failures.len(), failures.join("\n"));
}

#[test]
fn every_legacy_definition_compiles() {
    check(&PatternLibrary::legacy(), 317);
}

#[test]
fn every_ecs_definition_compiles() {
    check(&PatternLibrary::ecs_v1(), 362);
}
