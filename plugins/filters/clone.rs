//! The clone filter: copies of events.

use ferrostash_conf::Options;
use ferrostash_event::{Event, FieldRef};
use ferrostash_plugin::{
    BuildContext, BuildResult, Ecs, EventFilter, FilterContext, FilterPlugin, Matched, PluginDef, filter,
};
use std::sync::Arc;

/// Makes a copy of each event for every name in a list.
///
/// The name becomes a tag of the copy, or its `type` where ECS compatibility is disabled. The common options apply to
/// the copies; the original stays as it is and goes on before them.
///
/// ```conf
/// filter { clone { clones => ["audit"] add_field => { "copy" => "yes" } } }
/// # in:  {"message": "x"}
/// # out: {"message": "x"}
/// # out: {"message": "x", "tags": ["audit"], "copy": "yes"}
/// ```
#[derive(Options, Clone)]
#[plugin(filter = "clone")]
pub(crate) struct CloneOptions {
    /// A name for each copy.
    #[option(required)]
    clones: Vec<String>,
}

/// The declaration.
pub(crate) static PLUGIN: PluginDef = filter::<CloneFilter>();

/// The filter.
#[derive(Clone)]
pub(crate) struct CloneFilter {
    names: Arc<[String]>,
    ecs: Ecs,
    type_field: FieldRef,
}

impl FilterPlugin for CloneFilter {
    type Options = CloneOptions;

    fn build(options: CloneOptions, cx: &mut BuildContext<'_>) -> BuildResult<CloneFilter> {
        if options.clones.is_empty() {
            cx.warn("The parameter 'clones' is empty, so no clones will be created.");
        }
        Ok(CloneFilter { names: options.clones.into(), ecs: cx.ecs, type_field: FieldRef::literal("type") })
    }
}

impl EventFilter for CloneFilter {
    fn filter(&mut self, event: &mut Event, cx: &mut FilterContext<'_>) -> Matched {
        for name in self.names.iter() {
            let mut copy = event.clone();
            if self.ecs.is_on() {
                copy.push_tag(name);
            } else if let Err(error) = copy.set_str(&self.type_field, name) {
                // Only reserved fields refuse a string, and `type` is none.
                tracing::warn!(%error, limited = true, "the type of a clone could not be set");
            }
            cx.emit_matched(copy);
        }
        Matched::No
    }
}

#[cfg(test)]
mod tests {
    use ferrostash_plugin::Ecs;
    use ferrostash_plugin::testing::Harness;

    fn run(ecs: Ecs, options: &str, event: &str) -> Vec<String> {
        let mut filter =
            Harness::new(crate::PLUGINS).ecs(ecs).filter(&format!("clone {{ {options} }}")).unwrap();
        filter.run_json(&[event])
    }

    #[test]
    fn names_become_tags() {
        assert_eq!(
            run(Ecs::V8, r#"clones => ["a", "a"]"#, r#"{"tags":"t"}"#),
            [r#"{"tags":"t"}"#, r#"{"tags":["t","a"]}"#, r#"{"tags":["t","a"]}"#]
        );
    }

    #[test]
    fn names_become_types_without_ecs() {
        let event = r#"{"type":"old"}"#;
        assert_eq!(run(Ecs::Disabled, "clones => [a1]", event), [event, r#"{"type":"a1"}"#]);
        assert_eq!(
            run(Ecs::V8, "clones => a1 ecs_compatibility => disabled", event),
            [event, r#"{"type":"a1"}"#]
        );
    }

    #[test]
    fn common_options_change_the_copies_only() {
        let out = run(Ecs::V8, r#"clones => ["c"] remove_field => "x" add_tag => "t""#, r#"{"x":1}"#);
        assert_eq!(out, [r#"{"x":1}"#, r#"{"tags":["c","t"]}"#]);
    }

    #[test]
    fn no_name_no_copy() {
        assert_eq!(run(Ecs::V8, "clones => []", "{}"), ["{}"]);
        assert!(Harness::new(crate::PLUGINS).filter("clone { }").is_err());
    }
}
