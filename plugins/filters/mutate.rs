//! The mutate filter: general changes of fields.

mod convert;
mod gsub;
mod letter_case;
mod step;

use crate::shared::Field;
use convert::TARGETS;
use ferrostash_conf::{ConfKind, ConfValue, Options};
use ferrostash_event::{Event, Template};
use ferrostash_grok::Regex;
use ferrostash_plugin::{
    BuildContext, BuildResult, EventFilter, FieldName, FilterContext, FilterPlugin, Matched, PluginDef,
    filter,
};
use gsub::{Gsub, Pattern};
use letter_case::LetterCase;
use std::fmt;
use std::sync::Arc;
use step::{Scratch, Separator, Step};

/// Renames, replaces, converts and otherwise changes fields.
///
/// Whatever the order in the text, the operations are done in this one: `coerce`, `rename`, `update`, `replace`,
/// `convert`, `gsub`, `uppercase`, `capitalize`, `lowercase`, `strip`, `split`, `join`, `merge`, `copy`. Two operations
/// that need another order go into two mutate filters. After an error the event is tagged; what was done stays, and what
/// would have come after, the common options included, is not done.
///
/// ```conf
/// filter {
///   mutate {
///     rename => { "[client][ip]" => "ip" }
///     convert => { "status" => "integer" }
///     gsub => ["path", "/+", "/"]
///     lowercase => ["method"]
///   }
/// }
/// # in:  {"client": {"ip": "192.0.2.1"}, "status": "200", "path": "//a///b", "method": "GET"}
/// # out: {"client": {}, "status": 200, "path": "/a/b", "method": "get", "ip": "192.0.2.1"}
/// ```
///
/// ```conf
/// filter { mutate { split => { "hosts" => "," } join => { "hosts" => " and " } } }
/// # in:  {"hosts": "a,b"}
/// # out: {"hosts": "a and b"}
/// ```
#[derive(Options, Clone)]
#[plugin(filter = "mutate")]
pub(crate) struct MutateOptions {
    /// Values for fields that are there and null; `%{…}` is filled in.
    coerce: Option<Vec<(String, ConfValue)>>,
    /// New names for fields; `%{…}` is filled in on both sides.
    rename: Option<Vec<(String, ConfValue)>>,
    /// New values for fields, which are made where they are missing; `%{…}` is filled in.
    replace: Option<Vec<(String, ConfValue)>>,
    /// New values for fields that are there; `%{…}` is filled in.
    update: Option<Vec<(String, ConfValue)>>,
    /// Fields, and what they become: `integer`, `integer_eu`, `float`, `float_eu`, `string` or `boolean`. With `_eu`,
    /// points group digits and a comma begins the decimals.
    convert: Option<Vec<(String, ConfValue)>>,
    /// Field, regular expression and replacement by turns; `\1` or `\k<name>` is a group, and `%{…}` is filled in.
    gsub: Option<Vec<ConfValue>>,
    /// Fields whose letters become capitals.
    uppercase: Option<Vec<String>>,
    /// Fields whose letters become small.
    lowercase: Option<Vec<String>>,
    /// Fields whose first letter becomes a capital, and all others small.
    capitalize: Option<Vec<String>>,
    /// Strings to cut into lists, and the separator.
    split: Option<Vec<(String, ConfValue)>>,
    /// Lists to join to strings, and the separator.
    join: Option<Vec<(String, ConfValue)>>,
    /// Fields that lose their blanks at both ends.
    strip: Option<Vec<String>>,
    /// Fields, and the fields that are added to each: lists and strings make lists, a hash goes with a hash.
    merge: Option<Vec<(String, ConfValue)>>,
    /// Fields, and where a copy of each goes.
    copy: Option<Vec<(String, ConfValue)>>,
    /// The tag of events that could not be changed.
    #[option(default = "_mutate_error")]
    tag_on_failure: String,
}

/// The declaration.
pub(crate) static PLUGIN: PluginDef = filter::<Mutate>();

/// What the options ask for, as one list in mutate's order.
#[derive(Clone)]
pub(crate) struct Mutate {
    steps: Arc<[Step]>,
    tag_on_failure: Arc<str>,
    scratch: Scratch,
}

/// Why an event could not be changed, in Logstash's words where it has some.
#[derive(Debug)]
struct Fault(Box<str>);

impl Fault {
    fn new(message: String) -> Fault {
        Fault(message.into())
    }
}

impl<E: std::error::Error> From<E> for Fault {
    fn from(error: E) -> Fault {
        Fault::new(error.to_string())
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FilterPlugin for Mutate {
    type Options = MutateOptions;

    fn build(options: MutateOptions, cx: &mut BuildContext<'_>) -> BuildResult<Mutate> {
        let mut steps = Steps { cx, steps: Vec::new() };
        steps.values(options.coerce, Step::Coerce);
        for (from, to) in options.rename.unwrap_or_default() {
            steps.steps.push(Step::Rename(FieldName::parse(&from), FieldName::parse(&text_of(&to))));
        }
        steps.values(options.update, Step::Update);
        steps.values(options.replace, Step::Replace);
        let converts = steps.converts(options.convert);
        let gsubs = steps.gsubs(options.gsub);
        steps.fields(options.uppercase, |field| Step::Case(field, LetterCase::Upper));
        steps.fields(options.capitalize, |field| Step::Case(field, LetterCase::Capital));
        steps.fields(options.lowercase, |field| Step::Case(field, LetterCase::Lower));
        steps.fields(options.strip, Step::Strip);
        steps.pairs(options.split, |field, value, _| Step::Split(field, separator(&value)));
        steps.pairs(options.join, |field, value, _| Step::Join(field, separator(&value)));
        steps.pairs(options.merge, |field, value, cx| {
            let names = value.into_list();
            Step::Merge(field, names.iter().map(|name| Field::parse(&text_of(name), cx)).collect())
        });
        steps.pairs(options.copy, |field, value, cx| Step::Copy(field, Field::parse(&text_of(&value), cx)));
        let steps = steps.steps.into();
        converts.and(gsubs)?;
        Ok(Mutate { steps, tag_on_failure: options.tag_on_failure.into(), scratch: Scratch::default() })
    }
}

impl EventFilter for Mutate {
    fn filter(&mut self, event: &mut Event, cx: &mut FilterContext<'_>) -> Matched {
        for step in self.steps.iter() {
            if let Err(fault) = step.apply(event, &mut self.scratch) {
                warn(&fault.0);
                cx.fail(event, &[&self.tag_on_failure], &fault.0);
                return Matched::No;
            }
        }
        Matched::Yes
    }

    fn decoration_failed(&mut self, event: &mut Event, error: &str) {
        warn(error);
        event.tag(&self.tag_on_failure);
    }
}

fn warn(exception: &str) {
    tracing::warn!(exception, limited = true, "Exception caught while applying mutate filter");
}

/// Collects the steps.
struct Steps<'c, 'b> {
    cx: &'c mut BuildContext<'b>,
    steps: Vec<Step>,
}

impl Steps<'_, '_> {
    fn pairs(
        &mut self,
        option: Option<Vec<(String, ConfValue)>>,
        step: impl Fn(Field, ConfValue, &mut BuildContext<'_>) -> Step,
    ) {
        for (name, value) in option.unwrap_or_default() {
            let field = Field::parse(&name, self.cx);
            self.steps.push(step(field, value, self.cx));
        }
    }

    fn values(&mut self, option: Option<Vec<(String, ConfValue)>>, step: impl Fn(Field, Template) -> Step) {
        self.pairs(option, |field, value, _| step(field, Template::parse(&text_of(&value))));
    }

    fn fields(&mut self, option: Option<Vec<String>>, step: impl Fn(Field) -> Step) {
        for name in option.unwrap_or_default() {
            let field = Field::parse(&name, self.cx);
            self.steps.push(step(field));
        }
    }

    fn converts(&mut self, option: Option<Vec<(String, ConfValue)>>) -> BuildResult<()> {
        let mut result = Ok(());
        for (name, value) in option.unwrap_or_default() {
            let wanted = text_of(&value);
            let Some((_, target)) = TARGETS.iter().find(|(name, _)| *name == wanted) else {
                let known = "string,integer,float,boolean,integer_eu,float_eu";
                let message = format!("Invalid conversion type '{wanted}', expected one of '{known}'");
                result = Err(self.cx.refuse_at(value.span, message));
                continue;
            };
            let field = Field::parse(&name, self.cx);
            self.steps.push(Step::Convert(field, *target));
        }
        result
    }

    fn gsubs(&mut self, option: Option<Vec<ConfValue>>) -> BuildResult<()> {
        let mut result = Ok(());
        for triple in option.unwrap_or_default().chunks(3) {
            match self.gsub(triple) {
                Ok(gsub) => self.steps.push(Step::Gsub(gsub)),
                Err(refused) => result = Err(refused),
            }
        }
        result
    }

    fn gsub(&mut self, triple: &[ConfValue]) -> BuildResult<Gsub> {
        let span = triple.first().map_or(self.cx.span, |first| first.span);
        let [field, pattern, replacement] = triple else {
            let given: Vec<String> = triple.iter().map(ConfValue::inspect).collect();
            let message = format!(
                "Invalid gsub configuration [{}]. gsub requires 3 non-nil elements per config entry",
                given.join(", ")
            );
            return Err(self.cx.refuse_at(span, message));
        };
        let Some(text) = pattern.as_text() else {
            let message = format!("gsub needs a regular expression, got {}", pattern.inspect());
            return Err(self.cx.refuse_at(pattern.span, message));
        };
        let field = Field::parse(&text_of(field), self.cx);
        let pattern = if text.contains("%{") {
            Pattern::Template(Template::parse(text))
        } else {
            let regex =
                Regex::new(text).map_err(|error| self.cx.refuse_at(pattern.span, error.to_string()))?;
            self.cx.log_pattern(text, regex.engine().name(), regex.engine().reason());
            Pattern::Fixed(regex)
        };
        Ok(Gsub { field, pattern, replacement: Template::parse(&text_of(replacement)) })
    }
}

/// The text that Ruby makes of a value when a string is wanted.
fn text_of(value: &ConfValue) -> String {
    value.to_text().unwrap_or_else(|| value.inspect())
}

fn separator(value: &ConfValue) -> Separator {
    Separator::Illegal(match &value.kind {
        ConfKind::Text(text) => return Separator::Text(text.clone()),
        ConfKind::Int(_) | ConfKind::BigInt(_) => "Integer",
        ConfKind::Float(_) => "Float",
        ConfKind::Bool(_) => "Boolean",
        ConfKind::Missing => "NilClass",
        ConfKind::Array(_) => "Array",
        ConfKind::Hash(_) | ConfKind::Plugin(_) => "Hash",
    })
}

#[cfg(test)]
mod tests {
    use ferrostash_plugin::testing::Harness;

    /// What `mutate { … }` makes of an event.
    fn run(options: &str, event: &str) -> String {
        let mut filter = Harness::new(crate::PLUGINS).filter(&format!("mutate {{ {options} }}")).unwrap();
        filter.run_json(&[event]).remove(0)
    }

    fn refused(options: &str) -> String {
        Harness::new(crate::PLUGINS).filter(&format!("mutate {{ {options} }}")).err().unwrap()
    }

    #[test]
    fn the_order_is_mutates_own() {
        assert_eq!(
            run(
                r#"merge => { "v" => "w" } join => { "v" => "+" } split => { "v" => "," }"#,
                r#"{"v":"a,b","w":"c"}"#
            ),
            r#"{"v":["a+b","c"],"w":"c"}"#
        );
        assert_eq!(
            run(
                r#"lowercase => ["a"] capitalize => ["a", "b"] uppercase => ["a", "b", "c"]"#,
                r#"{"a":"xY","b":"xY","c":"xY"}"#
            ),
            r#"{"a":"xy","b":"Xy","c":"XY"}"#
        );
        assert_eq!(
            run(r#"copy => { "b" => "c" } rename => { "a" => "b" }"#, r#"{"a":1}"#),
            r#"{"b":1,"c":1}"#
        );
        assert_eq!(
            run(r#"replace => { "a" => "x" } coerce => { "a" => "y" }"#, r#"{"a":null}"#),
            r#"{"a":"x"}"#
        );
    }

    #[test]
    fn after_an_error_the_rest_is_not_done() {
        let options = r#"rename => { "a" => "b" } gsub => ["b", "x", "y"] strip => ["l"] split => { "b" => "," }
                         add_tag => ["never"] remove_field => ["keep"]"#;
        assert_eq!(
            run(options, r#"{"a":"x,x","l":[" p ",5],"keep":1}"#),
            r#"{"l":[" p ",5],"keep":1,"b":"y,y","tags":["_mutate_error"]}"#
        );
        assert_eq!(
            run(r#"rename => { "a" => "[s][x]" } tag_on_failure => "%{no}""#, r#"{"a":1,"s":"str"}"#),
            r#"{"s":"str","tags":["%{no}"]}"#
        );
        assert_eq!(run("add_field => { '@timestamp' => 'x' }", "{}"), r#"{"tags":["_mutate_error"]}"#);
    }

    #[test]
    fn rename() {
        let event = r#"{"a":null,"k":"a","to":"[n][x]"}"#;
        assert_eq!(
            run(r#"rename => { "%{k}" => "%{to}" }"#, event),
            r#"{"k":"a","to":"[n][x]","n":{"x":null}}"#
        );
        assert_eq!(run(r#"rename => { "l" => "[x" }"#, r#"{"a":1}"#), r#"{"a":1}"#);
        assert_eq!(run(r#"rename => { "a" => "[x" }"#, r#"{"a":1}"#), r#"{"tags":["_mutate_error"]}"#);
        assert_eq!(run(r#"rename => { "[l][0]" => "a" }"#, r#"{"l":[1,2]}"#), r#"{"l":[2],"a":1}"#);
        assert_eq!(
            run(r#"rename => { "a" => "@timestamp" }"#, r#"{"a":1}"#),
            r#"{"tags":["_mutate_error"]}"#
        );
    }

    #[test]
    fn values() {
        for (value, text) in [
            ("5", "5"),
            ("2.50", "2.5"),
            ("true", "true"),
            (r#"["x", 3]"#, r#"[\"x\", 3]"#),
            (r#"{ "k" => "v" }"#, r#"{\"k\" => \"v\"}"#),
            (r#""%{b}-%{c}""#, "1,2.0-%{c}"),
        ] {
            let options = format!(r#"replace => {{ "[n][a]" => {value} }}"#);
            assert_eq!(run(&options, r#"{"b":[1,2.0]}"#), format!(r#"{{"b":[1,2.0],"n":{{"a":"{text}"}}}}"#));
        }
        assert_eq!(
            run(r#"update => { "a" => "%{b}" "c" => "never" }"#, r#"{"a":null,"b":1}"#),
            r#"{"a":"1","b":1}"#
        );
        assert_eq!(
            run(
                r#"coerce => { "a" => "x" "b" => "x" "c" => "x" "[l][0]" => "x" }"#,
                r#"{"a":null,"b":0,"l":[null]}"#
            ),
            r#"{"a":"x","b":0,"l":["x"]}"#
        );
        assert_eq!(run(r#"replace => { "a" => "%{[b}" }"#, "{}"), r#"{"tags":["_mutate_error"]}"#);
    }

    #[test]
    fn convert_knows_lists_and_leaves_hashes() {
        let options = r#"convert => { "a" => "integer" "b" => "string" "c" => "boolean" "d" => "float_eu" "none" => "float" }"#;
        assert_eq!(
            run(options, r#"{"a":["5",null,1.9,true],"b":1.0,"c":{"k":"yes"},"d":"1.000,5"}"#),
            r#"{"a":[5,null,1,1],"b":"1.0","c":{"k":"yes"},"d":1000.5}"#
        );
        assert_eq!(
            run(r#"convert => { "a" => "integer" }"#, r#"{"a":["1",["2"]]}"#),
            r#"{"a":["1",["2"]],"tags":["_mutate_error"]}"#
        );
        let error = refused(r#"convert => { "a" => "int" "b" => "decimal" }"#);
        for part in ["Invalid conversion type 'int', expected one of 'string,integer,float", "type 'decimal'"]
        {
            assert!(error.contains(part), "{error}");
        }
    }

    #[test]
    fn gsub() {
        assert_eq!(
            run(
                r#"gsub => ["a", "(\w+)@(\w+)", "\2 at \1", "l", "x", "y"]"#,
                r#"{"a":"me@home","l":["xx",5]}"#
            ),
            r#"{"a":"home at me","l":["yy",5]}"#
        );
        let fields = r#"gsub => ["v", "%{p}+", "<%{r}>"]"#;
        assert_eq!(
            run(fields, r#"{"v":"abc","p":"[bc]","r":"\\0"}"#),
            r#"{"v":"a<bc>","p":"[bc]","r":"\\0"}"#
        );
        assert_eq!(run(fields, r#"{"v":"a","p":"("}"#), r#"{"v":"a","p":"(","tags":["_mutate_error"]}"#);
        assert_eq!(run(r#"gsub => ["v", "x", "y"]"#, r#"{"v":5}"#), r#"{"v":5}"#);
        assert!(refused(r#"gsub => ["a", "(b", "c"]"#).contains("end pattern with unmatched parenthesis"));
        let error = refused(r#"gsub => ["a", "b", "c", "d"]"#);
        assert!(
            error.contains(r#"Invalid gsub configuration ["d"]. gsub requires 3 non-nil elements"#),
            "{error}"
        );
    }

    #[test]
    fn letters_and_blanks() {
        let event = r#"{"u":["aB",1,["cD"]],"s":"\t a b\n","l":"ABC"}"#;
        assert_eq!(
            run(r#"uppercase => "u" strip => ["s", "none"] lowercase => ["l"]"#, event),
            r#"{"u":["AB",1,["cD"]],"s":"a b","l":"abc"}"#
        );
    }

    #[test]
    fn split_and_join() {
        assert_eq!(run(r#"split => { "v" => "," }"#, r#"{"v":"a,,b,,"}"#), r#"{"v":["a","","b"]}"#);
        assert_eq!(
            run(r#"split => { "v" => 1 }"#, r#"{"v":"a1b"}"#),
            r#"{"v":"a1b","tags":["_mutate_error"]}"#
        );
        assert_eq!(run(r#"split => { "v" => 1 }"#, r#"{"v":5}"#), r#"{"v":5}"#);
        assert_eq!(
            run(r#"join => { "v" => "-" }"#, r#"{"v":[1,1e7,null,["a",{"k":true}]]}"#),
            r#"{"v":"1-10000000.0--a-{\"k\" => true}"}"#
        );
        assert_eq!(
            run(r#"join => { "v" => 1 }"#, r#"{"v":["a"]}"#),
            r#"{"v":["a"],"tags":["_mutate_error"]}"#
        );
    }

    #[test]
    fn merge() {
        let merge = |event| run(r#"merge => { "d" => ["a", "b"] }"#, event);
        assert_eq!(merge(r#"{"d":["x"],"a":"y","b":["z"]}"#), r#"{"d":["x","y","z"],"a":"y","b":["z"]}"#);
        // A string is no list that grows: Logstash forgets the first addition.
        assert_eq!(merge(r#"{"d":"x","a":"y","b":"z"}"#), r#"{"d":["x","z"],"a":"y","b":"z"}"#);
        assert_eq!(
            merge(r#"{"d":{"p":1,"q":1},"a":{"q":2},"b":5}"#),
            r#"{"d":{"p":1,"q":2},"a":{"q":2},"b":5}"#
        );
        assert_eq!(merge(r#"{"a":null}"#), r#"{"a":null,"d":[]}"#);
        assert_eq!(merge(r#"{"d":["x"],"a":null}"#), r#"{"d":["x"],"a":null}"#);
    }

    #[test]
    fn copy_is_deep() {
        assert_eq!(
            run(
                r#"copy => { "a" => "b" "n" => "m" "x" => "m" } remove_field => "[a][k]""#,
                r#"{"a":{"k":1},"n":null}"#
            ),
            r#"{"a":{},"n":null,"b":{"k":1}}"#
        );
    }

    #[test]
    fn illegal_names_fail_at_each_event() {
        for options in
            ["uppercase => '[a'", "update => { '[a' => 'x' }", "merge => { 'd' => ['a]'] }", "strip => 'x]'"]
        {
            assert_eq!(run(options, "{}"), r#"{"tags":["_mutate_error"]}"#, "{options}");
        }
    }

    #[test]
    fn metadata() {
        assert_eq!(
            run(
                r#"uppercase => "[@metadata][m]" rename => { "a" => "[@metadata][a]" }"#,
                r#"{"a":1,"@metadata":{"m":"x"}}"#
            ),
            r#"{"@metadata":{"m":"X","a":1}}"#
        );
    }
}
