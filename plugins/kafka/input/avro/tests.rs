use apache_avro::Schema;
use apache_avro::types::Value;
use apache_avro::writer::datum::GenericDatumWriter;

use super::*;

fn schema(text: &str) -> AvroSchema {
    let mut parser = SchemaParser::default();
    parser.add(text).unwrap();
    parser.finish().unwrap()
}

fn refused(text: &str) -> String {
    let mut parser = SchemaParser::default();
    parser.add(text).and_then(|()| parser.finish()).unwrap_err().to_string()
}

fn text(schema: &AvroSchema, bytes: &[u8]) -> Result<String, AvroError> {
    let mut out = b"before".to_vec();
    let result = schema.decode(bytes, &mut out);
    assert!(out.starts_with(b"before"));
    let decoded = String::from_utf8(out.split_off("before".len())).unwrap();
    assert!(result.is_ok() || decoded.is_empty());
    result.map(|()| decoded)
}

fn encoded(schema: &str, value: Value) -> Vec<u8> {
    let schema = Schema::parse_str(schema).unwrap();
    GenericDatumWriter::builder(&schema).build().unwrap().write_value_to_vec(value).unwrap()
}

/// What a value becomes that Apache's library wrote.
fn written(schema_text: &str, value: Value) -> String {
    let bytes = encoded(schema_text, value);
    text(&schema(schema_text), &bytes).unwrap()
}

fn record_of(kind: &str, value: Value) -> String {
    let schema = format!(r#"{{"type":"record","name":"R","fields":[{{"name":"f","type":{kind}}}]}}"#);
    written(&schema, Value::Record(vec![("f".to_owned(), value)]))
}

#[test]
fn a_frame_names_the_schema() {
    assert_eq!(frame(b"\0\0\x01\0\x02body"), Ok((0x0001_0002, &b"body"[..])));
    assert_eq!(frame(b"\0\0\0\0\x07"), Ok((7, &b""[..])));
    assert_eq!(frame(b"\0\0\0\x07"), Err(AvroError::TooShort(4)));
    assert_eq!(frame(b""), Err(AvroError::TooShort(0)));
    assert_eq!(frame(b"{\"a\":1}"), Err(AvroError::Magic(b'{')));
}

#[test]
fn each_type_within_a_record() {
    assert_eq!(record_of(r#""null""#, Value::Null), r#"{"f": null}"#);
    assert_eq!(record_of(r#""boolean""#, Value::Boolean(true)), r#"{"f": true}"#);
    assert_eq!(record_of(r#""int""#, Value::Int(i32::MIN)), r#"{"f": -2147483648}"#);
    assert_eq!(record_of(r#""long""#, Value::Long(i64::MAX)), r#"{"f": 9223372036854775807}"#);
    assert_eq!(record_of(r#""long""#, Value::Long(i64::MIN)), r#"{"f": -9223372036854775808}"#);
    assert_eq!(record_of(r#""float""#, Value::Float(0.1)), r#"{"f": 0.1}"#);
    assert_eq!(record_of(r#""double""#, Value::Double(1e10)), r#"{"f": 1.0E10}"#);
    assert_eq!(record_of(r#""float""#, Value::Float(f32::NAN)), r#"{"f": "NaN"}"#);
    assert_eq!(record_of(r#""double""#, Value::Double(f64::NEG_INFINITY)), r#"{"f": "-Infinity"}"#);
    assert_eq!(record_of(r#""string""#, Value::String("Grüße 🦀".into())), r#"{"f": "Grüße 🦀"}"#);
    assert_eq!(
        record_of(r#""bytes""#, Value::Bytes(vec![0, b'a', 0x80, 0xff])),
        r#"{"f": "\u0000a\u0080ÿ"}"#
    );
    let fixed = r#"{"type":"fixed","name":"F","size":3}"#;
    assert_eq!(record_of(fixed, Value::Fixed(3, vec![1, 0xff, 0x80])), r#"{"f": [1, -1, -128]}"#);
    let choice = r#"{"type":"enum","name":"E","symbols":["A","B"]}"#;
    assert_eq!(record_of(choice, Value::Enum(1, "B".into())), r#"{"f": "B"}"#);
    let array = r#"{"type":"array","items":"int"}"#;
    assert_eq!(record_of(array, Value::Array(vec![Value::Int(1), Value::Int(-2)])), r#"{"f": [1, -2]}"#);
    assert_eq!(record_of(array, Value::Array(vec![])), r#"{"f": []}"#);
    let map = r#"{"type":"map","values":"long"}"#;
    let one = [("a\"b".to_owned(), Value::Long(1))];
    assert_eq!(record_of(map, Value::Map(one.into())), r#"{"f": {"a\"b": 1}}"#);
    let union = r#"["null","string"]"#;
    assert_eq!(record_of(union, Value::Union(0, Value::Null.into())), r#"{"f": null}"#);
    assert_eq!(record_of(union, Value::Union(1, Value::String("x".into()).into())), r#"{"f": "x"}"#);
}

#[test]
fn logical_types_are_what_they_are_stored_as() {
    let date = r#"{"type":"int","logicalType":"date"}"#;
    assert_eq!(record_of(date, Value::Date(19000)), r#"{"f": 19000}"#);
    let time = r#"{"type":"long","logicalType":"timestamp-millis"}"#;
    assert_eq!(record_of(time, Value::TimestampMillis(1_700_000_000_000)), r#"{"f": 1700000000000}"#);
    let decimal = r#"{"type":"bytes","logicalType":"decimal","precision":4,"scale":2}"#;
    assert_eq!(record_of(decimal, Value::Decimal(vec![0x04, 0xd2].into())), r#"{"f": "\u0004Ò"}"#);
    let uuid = r#"{"type":"string","logicalType":"uuid"}"#;
    let text = "67e55044-10b1-426f-9247-bb680e5fe0c8";
    assert_eq!(record_of(uuid, Value::Uuid(text.parse().unwrap())), format!(r#"{{"f": "{text}"}}"#));
}

#[test]
fn a_value_that_is_no_record_is_its_text() {
    assert_eq!(written(r#""null""#, Value::Null), "");
    assert_eq!(written(r#""string""#, Value::String("a \"text\"".into())), "a \"text\"");
    assert_eq!(written(r#""boolean""#, Value::Boolean(false)), "false");
    assert_eq!(written(r#"{"type":"int"}"#, Value::Int(-7)), "-7");
    assert_eq!(written(r#""double""#, Value::Double(1e20)), "1.0e+20");
    assert_eq!(written(r#""float""#, Value::Float(0.1)), "0.10000000149011612");
    let choice = r#"{"type":"enum","name":"E","symbols":["A","B"]}"#;
    assert_eq!(written(choice, Value::Enum(0, "A".into())), "A");
    let union = r#"["null","string"]"#;
    assert_eq!(written(union, Value::Union(1, Value::String("x".into()).into())), "x");
    // Confluent's serializer writes these without their length.
    assert_eq!(text(&schema(r#""bytes""#), b"\x06raw").unwrap(), "\x06raw");
}

#[test]
fn records_within_records_and_names() {
    let tree = r#"{"type":"record","name":"Tree","namespace":"a.b","fields":[
        {"name":"kind","type":{"type":"enum","name":"Kind","symbols":["LEAF","NODE"]}},
        {"name":"left","type":["null","Tree"]},
        {"name":"right","type":["null","a.b.Tree"]},
        {"name":"again","type":"Kind"}]}"#;
    let leaf = |left| {
        Value::Record(vec![
            ("kind".to_owned(), Value::Enum(0, "LEAF".into())),
            ("left".to_owned(), left),
            ("right".to_owned(), Value::Union(0, Value::Null.into())),
            ("again".to_owned(), Value::Enum(1, "NODE".into())),
        ])
    };
    let inner = leaf(Value::Union(0, Value::Null.into()));
    let shown = r#"{"kind": "LEAF", "left": null, "right": null, "again": "NODE"}"#;
    assert_eq!(written(tree, inner.clone()), shown);
    let outer = leaf(Value::Union(1, inner.into()));
    assert_eq!(written(tree, outer), shown.replacen("null", shown, 1));
}

#[test]
fn what_java_reads_and_libraries_refuse() {
    // A default that does not fit, a name that is none, a type named before it is defined.
    let lenient = schema(
        r#"{"type":"record","name":"my-record","fields":[
            {"name":"a \"b\"","type":["string","null"],"default":null},
            {"name":"later","type":["null","Later"]},
            {"name":"now","type":{"type":"record","name":"Later","fields":[]}}]}"#,
    );
    assert_eq!(text(&lenient, b"\0\x02x\x02").unwrap(), r#"{"a \"b\"": "x", "later": {}, "now": {}}"#);
    // Bytes behind the value.
    assert_eq!(text(&schema(r#""int""#), b"\x02rest").unwrap(), "1");
}

#[test]
fn text_is_escaped_as_in_java() {
    let text = "\u{1}\u{1f}\"\\/\u{8}\u{c}\n\r\t\u{7f}\u{9f}\u{a0}\u{2028}\u{20ff}\u{2100}é";
    let escaped = "\\u0001\\u001F\\\"\\\\/\\b\\f\\n\\r\\t\\u007F\\u009F\u{a0}\\u2028\\u20FF\u{2100}é";
    assert_eq!(record_of(r#""string""#, Value::String(text.into())), format!(r#"{{"f": "{escaped}"}}"#));
    // What is not UTF-8 becomes the character that stands for that.
    let schema = schema(r#"{"type":"record","name":"R","fields":[{"name":"f","type":"string"}]}"#);
    assert_eq!(super::tests::text(&schema, b"\x04a\xff").unwrap(), "{\"f\": \"a\u{fffd}\"}");
}

#[test]
fn blocks_with_their_size_are_read() {
    let array = schema(r#"{"type":"array","items":"int"}"#);
    // Two items in a block of 2 bytes, then one without a size.
    assert_eq!(text(&array, b"\x03\x04\x02\x04\x02\x06\0").unwrap(), "[1, 2, 3]");
}

#[test]
fn schemas_that_are_none() {
    assert!(refused("{").starts_with("the schema is not JSON: "));
    assert_eq!(refused("5"), "`5` is no schema");
    assert_eq!(refused(r#""Unknown""#), "the type `Unknown` is defined nowhere");
    assert_eq!(refused(r#"{"name":"x"}"#), "a schema has no `type`");
    assert_eq!(refused(r#"{"type":"record","name":"R"}"#), "a record has no `fields`");
    assert_eq!(
        refused(r#"{"type":"fixed","name":"F","size":-1}"#),
        "the `size` of a fixed is no number of bytes"
    );
    assert_eq!(refused("[]"), "a union has no branches");
    let twice = r#"[{"type":"fixed","name":"F","size":1},{"type":"fixed","name":"F","size":2}]"#;
    assert_eq!(refused(twice), "the type `F` is defined twice");
}

#[test]
fn bytes_that_do_not_fit() {
    let of = |schema_text: &str, bytes: &[u8]| text(&schema(schema_text), bytes).unwrap_err();
    let invalid = |what, at| AvroError::Invalid { what, at };
    assert_eq!(of(r#""string""#, b"\x06ab"), AvroError::Truncated { at: 3, needed: 1 });
    assert_eq!(of(r#""long""#, &[0xff; 11]), invalid("a number of more than 64 bits", 0));
    assert_eq!(of(r#""int""#, &[0xff, 0xff, 0xff, 0xff, 0x1f]), invalid("an int of more than 32 bits", 0));
    assert_eq!(of(r#""string""#, b"\x01"), invalid("a negative length", 0));
    assert_eq!(of(r#""boolean""#, b"\x02"), invalid("a boolean that is neither 0 nor 1", 0));
    assert_eq!(of(r#"["null"]"#, b"\x02"), invalid("a union without such a branch", 0));
    let choice = r#"{"type":"enum","name":"E","symbols":["A"]}"#;
    assert_eq!(of(choice, b"\x02"), invalid("an enum without such a symbol", 0));
}

#[test]
fn declared_lengths_are_not_believed() {
    let long = |number: i64| encoded(r#""long""#, Value::Long(number));
    let huge = long(i64::MAX);
    let truncated = text(&schema(r#""string""#), &huge).unwrap_err();
    assert!(matches!(truncated, AvroError::Truncated { .. }), "{truncated}");
    for items in [r#"{"type":"array","items":"int"}"#, r#"{"type":"map","values":"null"}"#] {
        for count in [long(i64::MAX), [long(i64::MIN), long(0)].concat()] {
            let error = text(&schema(items), &count).unwrap_err();
            assert_eq!(error, AvroError::Invalid { what: "a block with more items than bytes", at: 0 });
        }
    }
    for nothing in [r#""null""#, r#"{"type":"record","name":"R","fields":[]}"#] {
        let nothing = schema(&format!(r#"{{"type":"array","items":{nothing}}}"#));
        assert_eq!(text(&nothing, &huge), Err(AvroError::TooManyEmpty));
        let few = [long(AVRO_EMPTY_ITEMS_MAX as i64), long(0)].concat();
        assert!(text(&nothing, &few).is_ok());
    }
}

#[test]
fn types_within_themselves_have_a_size() {
    let long = |number: i64| encoded(r#""long""#, Value::Long(number));
    let count = 2 * AVRO_EMPTY_ITEMS_MAX;
    for (field, leaf) in [
        (r#"{"type":"array","items":"Tree"}"#, r#"{"kids": []}"#),
        (r#"{"type":"array","items":["null","Tree"]}"#, "null"),
        (r#"{"type":"map","values":"Tree"}"#, r#""": {"kids": {}}"#),
        // A name that is defined later.
        (
            r#"[{"type":"array","items":"Leaf"},{"type":"record","name":"Leaf","fields":[{"name":"l","type":"int"}]}]"#,
            r#"{"l": 0}"#,
        ),
    ] {
        let tree = schema(&format!(
            r#"{{"type":"record","name":"Tree","fields":[{{"name":"kids","type":{field}}}]}}"#
        ));
        let branch = if field.starts_with('[') { long(0) } else { Vec::new() };
        // A leaf is a zero: no children, null, an int; before it a key without length.
        let leaves = vec![0; if field.contains("map") { 2 * count } else { count }];
        let bytes = [branch.clone(), long(count as i64), leaves, vec![0]].concat();
        let json = text(&tree, &bytes).unwrap();
        assert_eq!(json.matches(leaf).count(), count, "{field}");
        let hostile = [branch, long(i64::MAX)].concat();
        assert!(matches!(text(&tree, &hostile), Err(AvroError::Invalid { .. })), "{field}");
    }
}

#[test]
fn depth_and_size_are_bounded() {
    let list = schema(r#"{"type":"record","name":"L","fields":[{"name":"n","type":["null","L"]}]}"#);
    let nested = |levels: usize| [vec![2; levels - 1], vec![0]].concat();
    // Half the stack that threads have.
    let small = std::thread::Builder::new().stack_size(1024 * 1024);
    let deepest = small.spawn(move || {
        assert_eq!(text(&list, &nested(AVRO_DEPTH_MAX + 1)), Err(AvroError::TooDeep));
        let endless = schema(r#"{"type":"record","name":"E","fields":[{"name":"e","type":"E"}]}"#);
        assert_eq!(text(&endless, b""), Err(AvroError::TooDeep));
        text(&list, &nested(AVRO_DEPTH_MAX)).unwrap()
    });
    ferrostash_plugin::testing::event(&deepest.unwrap().join().unwrap());

    // One byte of data, a million of name.
    let name = "n".repeat(1 << 20);
    let field = format!(r#"{{"type":"record","name":"R","fields":[{{"name":"{name}","type":"boolean"}}]}}"#);
    let wide = schema(&format!(r#"{{"type":"array","items":{field}}}"#));
    let mut bytes = vec![0x80, 0x01];
    bytes.extend([1; 64]);
    assert_eq!(text(&wide, &bytes), Err(AvroError::TooLong));
}

const ALL: &str = r#"{"type":"record","name":"R","fields":[
    {"name":"a","type":"string"},{"name":"b","type":"long"},{"name":"c","type":["null","int","bytes","R"]},
    {"name":"d","type":{"type":"array","items":["null","double","R"]}},
    {"name":"e","type":{"type":"map","values":{"type":"fixed","name":"F","size":2}}},
    {"name":"f","type":{"type":"enum","name":"E","symbols":["X","Y"]}},
    {"name":"g","type":"float"},{"name":"h","type":"boolean"}]}"#;

proptest::proptest! {
    /// Whatever the bytes are: no panic, and nothing but JSON comes out.
    #[test]
    fn hostile_bytes(bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..200)) {
        is_json_or_refused(&bytes);
    }

    #[test]
    fn values_with_broken_bytes(cut in 0usize..60, at in 0usize..60, bits in 0u8..) {
        let mut bytes = sample();
        if let Some(byte) = bytes.get_mut(at) {
            *byte ^= bits;
        }
        is_json_or_refused(&bytes);
        bytes.truncate(cut);
        is_json_or_refused(&bytes);
    }
}

fn is_json_or_refused(bytes: &[u8]) {
    if let Ok(text) = text(&schema(ALL), bytes) {
        serde_json::from_str::<serde_json::Value>(&text).unwrap();
    }
}

fn sample() -> Vec<u8> {
    let record = |c: Value, d: Vec<Value>| {
        Value::Record(vec![
            ("a".into(), Value::String("text".into())),
            ("b".into(), Value::Long(-1_000_000)),
            ("c".into(), c),
            ("d".into(), Value::Array(d)),
            ("e".into(), Value::Map([("k".to_owned(), Value::Fixed(2, vec![1, 2]))].into())),
            ("f".into(), Value::Enum(1, "Y".into())),
            ("g".into(), Value::Float(1.5)),
            ("h".into(), Value::Boolean(true)),
        ])
    };
    let inner = record(Value::Union(2, Value::Bytes(vec![7; 3]).into()), vec![]);
    let outer = record(Value::Union(1, Value::Int(5).into()), vec![Value::Union(2, inner.into())]);
    encoded(ALL, outer)
}

#[test]
fn each_truncation_of_a_value_is_noticed() {
    let bytes = sample();
    let all = schema(ALL);
    assert!(text(&all, &bytes).is_ok());
    for length in 0..bytes.len() {
        assert!(text(&all, bytes.get(..length).unwrap()).is_err(), "{length}");
    }
}
