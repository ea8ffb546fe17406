//! Events as Logstash puts them into its queues: CBOR with the name of its Java class before each value.

use super::cbor::{CborError, Item, Reader, Writer};
use ferrostash_event::json::{JSON_DEPTH_MAX, append_value};
use ferrostash_event::number::Decimal;
use ferrostash_event::{Event, FieldRef, METADATA, TIMESTAMP, Timestamp, VERSION, Value, ValueRef};
use std::borrow::Cow;

const HASH_MAP: &str = "java.util.HashMap";
const CONVERTED_MAP: &str = "org.logstash.ConvertedMap";
const CONVERTED_LIST: &str = "org.logstash.ConvertedList";
const RUBY_STRING: &str = "org.jruby.RubyString";
const RUBY_NIL: &str = "org.jruby.RubyNil";
const TIMESTAMP_CLASS: &str = "org.logstash.Timestamp";
const DATA: &str = "DATA";
const META: &str = "META";
/// Where the names of classes begin.
const PACKAGES: [&str; 5] = ["java.", "javax.", "org.", "com.", "co."];

/// Appends `event` as Logstash would write it. What lies deeper than JSON may be becomes the text of its JSON.
pub fn encode_event(event: &Event, out: &mut Vec<u8>) {
    let mut writer = Writer::new(out);
    writer.begin_list();
    writer.text(HASH_MAP);
    writer.begin_map();
    for (name, fields) in [(DATA, event.fields()), (META, event.metadata())] {
        writer.text(name);
        write(&mut writer, ValueRef::Object(fields), 0);
    }
    writer.end();
    writer.end();
}

// Plain loops below: events may be deep, and each level of a call has its price on the stack.
fn write(writer: &mut Writer<'_>, value: ValueRef<'_>, depth: usize) {
    let is_deep = depth >= JSON_DEPTH_MAX;
    match value {
        ValueRef::Null => {
            begin(writer, RUBY_NIL);
            writer.null();
            writer.end();
        }
        ValueRef::Bool(value) => writer.bool(value),
        ValueRef::Int(value) => writer.int(value),
        ValueRef::Float(value) => writer.float(value),
        ValueRef::BigInt(digits) => writer.big_int(digits),
        ValueRef::Decimal(text) => {
            let (digits, exponent) = unscaled(text);
            writer.decimal(&digits, exponent);
        }
        ValueRef::Timestamp(timestamp) => text(writer, TIMESTAMP_CLASS, &timestamp.to_string()),
        ValueRef::Str(string) => text(writer, RUBY_STRING, string),
        ValueRef::Array(_) | ValueRef::Object(_) if is_deep => write_json(writer, value),
        ValueRef::Array(array) => {
            begin(writer, CONVERTED_LIST);
            writer.begin_list();
            for value in array.iter() {
                write(writer, value, depth + 1);
            }
            writer.end();
            writer.end();
        }
        ValueRef::Object(object) => {
            begin(writer, CONVERTED_MAP);
            writer.begin_map();
            for (name, value) in object.iter() {
                writer.text(name);
                write(writer, value, depth + 1);
            }
            writer.end();
            writer.end();
        }
    }
}

fn begin(writer: &mut Writer<'_>, class: &str) {
    writer.begin_list();
    writer.text(class);
}

fn text(writer: &mut Writer<'_>, class: &str, text: &str) {
    begin(writer, class);
    writer.text(text);
    writer.end();
}

fn write_json(writer: &mut Writer<'_>, value: ValueRef<'_>) {
    let mut json = String::new();
    append_value(value, &mut json);
    text(writer, RUBY_STRING, &json);
}

/// The digits of a decimal number without its point, and the exponent that this takes.
fn unscaled(text: &str) -> (String, i64) {
    let (mantissa, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let exponent = exponent.parse::<i64>().unwrap_or(0);
    (format!("{whole}{fraction}"), exponent.saturating_sub(fraction.len() as i64))
}

/// Reads an event of any version of Logstash since 5.
///
/// # Errors
/// [`CborError`] says where the bytes are not what Logstash writes.
pub fn decode_event(data: &[u8]) -> Result<Event, CborError> {
    let mut map = members(Reader::read(data)?)?;
    let mut take = |name: &str| {
        let at = map.iter().position(|(key, _)| key == name)?;
        Some(map.swap_remove(at).1)
    };
    let fields = take(DATA).ok_or_else(|| CborError::Shape("there is no DATA".to_owned()))?;
    let mut fields = object(members(fields)?)?;
    let metadata = match take(META) {
        Some(metadata) => object(members(metadata)?)?,
        None => Vec::new(),
    };
    let missing = |name: &str| !fields.iter().any(|(key, _)| key == name);
    let removed = [TIMESTAMP, VERSION].into_iter().filter(|name| missing(name)).collect::<Vec<_>>();
    fields.push((METADATA.to_owned(), Value::Object(metadata)));
    let mut event = Event::from_fields(&fields, Timestamp::now());
    // New events have both; this one may have lost them.
    for name in removed {
        event.remove(&FieldRef::literal(name));
    }
    Ok(event)
}

type Members<'a> = Vec<(Cow<'a, str>, Item<'a>)>;

/// The members of a map, with or without the name of a class.
fn members(item: Item<'_>) -> Result<Members<'_>, CborError> {
    match classified(item) {
        (_, Item::Map(map)) => Ok(map),
        (_, other) => Err(CborError::Shape(format!("a map is expected, and not {other:?}"))),
    }
}

/// A value and the name of its class, where it has one: a list of the two.
fn classified(item: Item<'_>) -> (Option<Cow<'_, str>>, Item<'_>) {
    let Item::List(mut list) = item else { return (None, item) };
    let is_class = |name: &Item<'_>| match name {
        Item::Text(name) => PACKAGES.iter().any(|package| name.starts_with(package)),
        _ => false,
    };
    match list.len() == 2 && list.first().is_some_and(is_class) {
        false => (None, Item::List(list)),
        true => match (list.pop(), list.pop()) {
            (Some(item), Some(Item::Text(class))) => (Some(class), item),
            _ => (None, Item::Null),
        },
    }
}

fn object(members: Members<'_>) -> Result<Vec<(String, Value)>, CborError> {
    let mut object = Vec::with_capacity(members.len());
    for (name, item) in members {
        object.push((name.into_owned(), value(item)?));
    }
    Ok(object)
}

fn array(list: Vec<Item<'_>>) -> Result<Vec<Value>, CborError> {
    let mut array = Vec::with_capacity(list.len());
    for item in list {
        array.push(value(item)?);
    }
    Ok(array)
}

fn value(item: Item<'_>) -> Result<Value, CborError> {
    let (class, item) = classified(item);
    let is_time = class.as_deref() == Some(TIMESTAMP_CLASS);
    match item {
        Item::Null => Ok(Value::Null),
        Item::Bool(value) => Ok(Value::Bool(value)),
        Item::Int(value) => Ok(Value::Int(value)),
        Item::BigInt(digits) => Ok(Value::BigInt(digits)),
        Item::Float(value) => Ok(Value::Float(value)),
        Item::Decimal(digits, exponent) => decimal(&digits, exponent),
        Item::Text(text) if is_time => timestamp(&text),
        Item::Text(text) => Ok(Value::String(text.into_owned())),
        // A timestamp of Ruby's has its class twice.
        Item::List(list) if is_time => value(Item::List(list)),
        Item::List(list) => array(list).map(Value::Array),
        Item::Map(map) => object(map).map(Value::Object),
    }
}

fn decimal(digits: &str, exponent: i64) -> Result<Value, CborError> {
    let decimal = Decimal::parse(&format!("{digits}E{exponent}"));
    let decimal = decimal.ok_or_else(|| CborError::Shape(format!("{digits}E{exponent} is no number")))?;
    Ok(Value::Decimal(decimal.to_java()))
}

fn timestamp(text: &str) -> Result<Value, CborError> {
    let timestamp = Timestamp::parse(text);
    timestamp.map(Value::Timestamp).ok_or_else(|| CborError::Shape(format!("`{text}` is no timestamp")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn there_and_back(event: &Event) -> Event {
        let mut bytes = Vec::new();
        encode_event(event, &mut bytes);
        decode_event(&bytes).unwrap()
    }

    fn json(event: &Event) -> String {
        let mut out = Vec::new();
        event.write_json_with_metadata(&mut out);
        String::from_utf8(out).unwrap()
    }

    fn field(name: &str) -> FieldRef {
        FieldRef::parse(name).unwrap()
    }

    #[test]
    fn every_kind_of_value_comes_back() {
        let mut event = Event::from_message("héllo \u{1}", Timestamp::from_parts(1_700_000_000, 123_456_789));
        let values = [
            Value::Null,
            Value::Bool(true),
            Value::Int(i64::MIN),
            Value::Int(-1),
            Value::BigInt("12345678901234567890".to_owned()),
            Value::BigInt("-12345678901234567890123".to_owned()),
            Value::Float(-1.5e300),
            Value::Decimal("1.50".to_owned()),
            Value::Decimal("-1E+30".to_owned()),
            Value::Decimal("0.1000000000000000055511151231257827".to_owned()),
            Value::Timestamp(Timestamp::EPOCH),
            Value::String(String::new()),
            Value::Array(vec![Value::from("java.lang.Long"), Value::Int(1)]),
            Value::Object(vec![("message".to_owned(), Value::from("x".repeat(70_000)))]),
        ];
        event.set(&field("all"), Value::Array(values.to_vec())).unwrap();
        event.set(&field("[@metadata][kept]"), "after the numbers").unwrap();
        let back = there_and_back(&event);
        assert_eq!(json(&back), json(&event));
        assert_eq!(back.get(&field("all")).unwrap().to_value(), Value::Array(values.to_vec()));
        assert_eq!(back.timestamp(), event.timestamp());
    }

    #[test]
    fn many_names_are_numbered_past_every_boundary() {
        let mut event = Event::at(Timestamp::EPOCH);
        for i in 0..600 {
            event.set(&field(&format!("[o{i}][name {i}]")), format!("v{}", i % 300)).unwrap();
        }
        assert_eq!(json(&there_and_back(&event)), json(&event));
    }

    #[test]
    fn what_was_removed_stays_removed() {
        let mut event = Event::at(Timestamp::EPOCH);
        event.remove(&field("@timestamp"));
        event.remove(&field("@version"));
        assert_eq!(json(&there_and_back(&event)), "{}");
    }

    #[test]
    fn old_and_plain_forms_are_read() {
        // {"DATA": {"a": [ "java.util.ArrayList", ["x", 1] ], "b": ["x", "y", "z"]}}, nothing numbered.
        let mut bytes =
            b"\xa1\x64DATA\xa2\x61a\x82\x73java.util.ArrayList\x82\x61x\x01\x61b\x83\x61x\x61y\x61z".to_vec();
        assert_eq!(json(&decode_event(&bytes).unwrap()), r#"{"a":["x",1],"b":["x","y","z"]}"#);
        bytes[2] = b'X';
        assert_eq!(decode_event(&bytes).unwrap_err().to_string(), "there is no DATA");
    }

    #[test]
    fn the_deepest_event_comes_back_and_a_deeper_one_as_text() {
        let nested =
            |depth| (0..depth).fold(Value::Int(1), |inner, _| Value::Object(vec![("a".to_owned(), inner)]));
        let mut event = Event::at(Timestamp::EPOCH);
        event.set(&field("n"), nested(JSON_DEPTH_MAX - 1)).unwrap();
        assert_eq!(json(&there_and_back(&event)), json(&event));
        event.set(&field("n"), nested(JSON_DEPTH_MAX + 1)).unwrap();
        assert!(json(&there_and_back(&event)).contains(r#"\"a\":1}"#));
    }
}
