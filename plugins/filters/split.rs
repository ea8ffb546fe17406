//! The split filter: one event for each piece of a field.

use crate::shared::{Field, ruby_split};
use ferrostash_conf::Options;
use ferrostash_event::{ArrayRef, Event, FieldRef, Value, ValueRef};
use ferrostash_plugin::{
    BuildContext, BuildResult, EventFilter, FilterContext, FilterPlugin, Matched, PluginDef, filter,
};
use std::sync::Arc;

/// The tag of events that could not be split.
const FAILURE_TAG: &str = "_split_type_failure";

/// Makes an event of each element of a list, or of each piece of a string.
///
/// The new events are copies of the old one with the piece in the place of the whole, or in `target`; the old event is
/// dropped, and the common options apply to the new ones. Null and empty pieces make no event. A string that holds no
/// terminator is left alone.
///
/// ```conf
/// filter { split { field => "items" } }
/// # in:  {"items": [{"k": 1}, {"k": 2}], "id": 7}
/// # out: {"id": 7, "items": {"k": 1}}
/// # out: {"id": 7, "items": {"k": 2}}
/// ```
///
/// ```conf
/// filter { split { terminator => "," target => "piece" } }
/// # in:  {"message": "a,b"}
/// # out: {"message": "a,b", "piece": "a"}
/// # out: {"message": "a,b", "piece": "b"}
/// ```
#[derive(Options, Clone)]
#[plugin(filter = "split")]
pub(crate) struct SplitOptions {
    /// What stands between the pieces of a string; taken literally.
    #[option(default = "\n")]
    terminator: String,
    /// The field to split.
    #[option(default = "message")]
    field: String,
    /// The field of the new events that gets the piece; the field that is split when absent.
    target: Option<String>,
}

/// The declaration.
pub(crate) static PLUGIN: PluginDef = filter::<Split>();

/// The filter.
#[derive(Clone)]
pub(crate) struct Split {
    terminator: Arc<str>,
    field: Field,
    target: Option<Field>,
}

impl FilterPlugin for Split {
    type Options = SplitOptions;

    fn build(options: SplitOptions, cx: &mut BuildContext<'_>) -> BuildResult<Split> {
        let field = Field::parse(&options.field, cx);
        let target = options.target.map(|target| Field::parse(&target, cx));
        Ok(Split { terminator: options.terminator.into(), field, target })
    }
}

impl EventFilter for Split {
    fn filter(&mut self, event: &mut Event, cx: &mut FilterContext<'_>) -> Matched {
        let (field, target) = match self.names() {
            Ok(names) => names,
            Err(error) => {
                fail(event, &error, cx);
                return Matched::No;
            }
        };
        match event.get(field) {
            Some(ValueRef::Array(array)) => self.split_list(event, array, field, target, cx),
            Some(ValueRef::Str(text)) => {
                if self.is_one_piece(text) {
                    return Matched::No;
                }
                let pieces = ruby_split(text, &self.terminator, true);
                if pieces.len() == 1 {
                    return Matched::No;
                }
                self.split_text(event, &pieces, field, target, cx);
            }
            _ => {
                fail(event, "Only String and Array types are splittable", cx);
                return Matched::No;
            }
        }
        event.cancel();
        Matched::No
    }
}

impl Split {
    /// Whether the text has nothing to be split at; where that takes more than a look, it is found out by splitting.
    fn is_one_piece(&self, text: &str) -> bool {
        let is_plain = !matches!(&*self.terminator, "" | " ");
        is_plain && !text.is_empty() && !text.contains(&*self.terminator)
    }

    fn names(&self) -> Result<(&FieldRef, &FieldRef), String> {
        let field = self.field.get().map_err(|error| error.to_string())?;
        let target = self.target.as_ref().map_or(Ok(field), Field::get).map_err(|error| error.to_string())?;
        Ok((field, target))
    }

    /// The list is taken out before the event is copied for each element, so that the work grows with its length only.
    fn split_list(
        &self,
        event: &Event,
        array: ArrayRef<'_>,
        field: &FieldRef,
        target: &FieldRef,
        cx: &mut FilterContext<'_>,
    ) {
        let mut base = event.clone();
        if self.target.is_none() {
            base.remove(field);
        }
        base.compact();
        for value in array.iter().filter(|value| !value.is_null() && value.as_str() != Some("")) {
            emit(&base, target, value, cx);
        }
    }

    fn split_text(
        &self,
        event: &Event,
        pieces: &[&str],
        field: &FieldRef,
        target: &FieldRef,
        cx: &mut FilterContext<'_>,
    ) {
        let mut base = event.clone();
        // Emptied, not removed: in a list, elements behind it would move up. `tags` refuses and keeps the text.
        if self.target.is_none() && base.set(field, Value::Null).is_ok() {
            base.compact();
        }
        for piece in pieces.iter().filter(|piece| !piece.is_empty()) {
            emit(&base, target, ValueRef::Str(piece), cx);
        }
    }
}

fn emit(base: &Event, target: &FieldRef, value: ValueRef<'_>, cx: &mut FilterContext<'_>) {
    match base.clone_with(target, value) {
        Ok(piece) => cx.emit_matched(piece),
        Err(error) => {
            let mut piece = base.clone();
            fail(&mut piece, &error.to_string(), cx);
            cx.emit(piece);
        }
    }
}

fn fail(event: &mut Event, exception: &str, cx: &mut FilterContext<'_>) {
    tracing::warn!(exception, limited = true, "an event could not be split");
    cx.fail(event, &[FAILURE_TAG], exception);
}

#[cfg(test)]
mod tests {
    use ferrostash_plugin::testing::Harness;

    fn run(options: &str, event: &str) -> Vec<String> {
        let mut filter = Harness::new(crate::PLUGINS).filter(&format!("split {{ {options} }}")).unwrap();
        filter.run_json(&[event])
    }

    #[test]
    fn strings() {
        assert_eq!(run("", r#"{"message":"a\n\nb\n"}"#), [r#"{"message":"a"}"#, r#"{"message":"b"}"#]);
        assert_eq!(run("add_tag => 'never'", r#"{"message":"a"}"#), [r#"{"message":"a"}"#]);
        assert_eq!(
            run("terminator => '.' ", r#"{"message":"a.b"}"#),
            [r#"{"message":"a"}"#, r#"{"message":"b"}"#]
        );
        assert_eq!(
            run("terminator => ''", r#"{"message":"é😀"}"#),
            [r#"{"message":"é"}"#, r#"{"message":"😀"}"#]
        );
        assert_eq!(run("field => tags", r#"{"tags":"a\nb"}"#), [r#"{"tags":"a"}"#, r#"{"tags":"b"}"#]);
        assert_eq!(
            run("field => '[l][0]'", r#"{"l":["a\nb","c"]}"#),
            [r#"{"l":["a","c"]}"#, r#"{"l":["b","c"]}"#]
        );
    }

    #[test]
    fn lists() {
        assert_eq!(
            run("field => 'l'", r#"{"l":["a",null,"",[4],{}],"id":1}"#),
            [r#"{"id":1,"l":"a"}"#, r#"{"id":1,"l":[4]}"#, r#"{"id":1,"l":{}}"#]
        );
        assert_eq!(run("field => 'l' add_tag => 't'", r#"{"l":["only"]}"#), [r#"{"l":"only","tags":["t"]}"#]);
        assert_eq!(run("field => 'l'", r#"{"l":[]}"#), [""; 0]);
    }

    #[test]
    fn a_target_leaves_the_field() {
        assert_eq!(
            run("field => 'v' target => '[p][q]'", r#"{"v":[{"k":1},2]}"#),
            [r#"{"v":[{"k":1},2],"p":{"q":{"k":1}}}"#, r#"{"v":[{"k":1},2],"p":{"q":2}}"#]
        );
    }

    #[test]
    fn what_cannot_be_split_is_tagged() {
        for value in ["1", "{}", "null", "true"] {
            let out = run("field => 'v' add_tag => 'never'", &format!("{{\"v\":{value}}}"));
            assert_eq!(out, [format!("{{\"v\":{value},\"tags\":[\"_split_type_failure\"]}}")]);
        }
        assert_eq!(run("field => '[v'", "{}"), [r#"{"tags":["_split_type_failure"]}"#]);
        assert_eq!(
            run("field => 'v' target => '@timestamp'", r#"{"v":["a"]}"#),
            [r#"{"v":["a"],"tags":["_split_type_failure"]}"#]
        );
    }

    #[test]
    fn metadata_and_time_are_kept() {
        let event = r#"{"l":["a"],"@timestamp":"2020-01-01T00:00:00Z","@metadata":{"m":1}}"#;
        assert_eq!(
            run("field => 'l'", event),
            [r#"{"@timestamp":"2020-01-01T00:00:00.000Z","l":"a","@metadata":{"m":1}}"#]
        );
    }
}
