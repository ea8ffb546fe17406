//! Schemas, from JSON to a list of nodes.

use std::collections::HashMap;

use serde_json::{Map, Value};

use super::AvroSchema;
use super::text::write_string;

/// A node's place in the list.
pub(super) type NodeId = usize;

/// A type. Logical types are what they are stored as, as Confluent's deserializer gives them.
#[derive(Debug)]
pub(super) enum Node {
    Null,
    Boolean,
    Int,
    Long,
    Float,
    Double,
    Bytes,
    String,
    Fixed(usize),
    Enum(Box<[Box<str>]>),
    Array(NodeId),
    /// The type of its values.
    Map(NodeId),
    Union(Box<[NodeId]>),
    Record(Box<[Field]>),
    /// A name that was used before it was defined.
    Same(NodeId),
}

#[derive(Debug)]
pub(super) struct Field {
    /// What stands before the value: separator and name.
    pub(super) label: Box<[u8]>,
    pub(super) node: NodeId,
}

/// Why a schema can't be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(crate) struct SchemaError(String);

impl SchemaError {
    fn new(reason: impl Into<String>) -> Self {
        Self(reason.into())
    }
}

/// Reads schemas that use each other's names.
#[derive(Default)]
pub(crate) struct SchemaParser {
    nodes: Vec<Node>,
    /// Fewest bytes of each node's value. Of a type within itself it is less than that until the type is complete.
    sizes: Vec<usize>,
    names: HashMap<String, NodeId>,
    /// Names used before their definition.
    forward: Vec<(NodeId, String)>,
    root: NodeId,
}

impl SchemaParser {
    /// Reads one schema: the last one is that of the values.
    ///
    /// # Errors
    /// It is not JSON, or no Avro schema.
    pub(crate) fn add(&mut self, text: &str) -> Result<(), SchemaError> {
        let schema = serde_json::from_str(text);
        let schema = schema.map_err(|error| SchemaError(format!("the schema is not JSON: {error}")))?;
        self.root = self.parse(&schema, "")?;
        Ok(())
    }

    /// The last schema that was read, with all that it uses.
    ///
    /// # Errors
    /// A name is used and defined nowhere.
    pub(crate) fn finish(mut self) -> Result<AvroSchema, SchemaError> {
        for (id, name) in std::mem::take(&mut self.forward) {
            let target = self.names.get(&name);
            let target =
                *target.ok_or_else(|| SchemaError(format!("the type `{name}` is defined nowhere")))?;
            let size = self.size(target);
            self.set(id, Node::Same(target), size);
        }
        if self.nodes.is_empty() {
            return Err(SchemaError::new("there is no schema"));
        }
        Ok(AvroSchema { nodes: self.nodes, sizes: self.sizes, root: self.root })
    }

    // Its depth is bounded by that of the JSON.
    fn parse(&mut self, schema: &Value, namespace: &str) -> Result<NodeId, SchemaError> {
        match schema {
            Value::String(name) => Ok(self.named(name, namespace)),
            Value::Array(branches) => {
                let branches = branches.iter().map(|branch| self.parse(branch, namespace)).collect::<Result<
                    Box<[_]>,
                    _,
                >>(
                )?;
                if branches.is_empty() {
                    return Err(SchemaError::new("a union has no branches"));
                }
                let size = branches.iter().map(|branch| self.size(*branch)).min().unwrap_or_default();
                Ok(self.push(Node::Union(branches), size.saturating_add(1)))
            }
            Value::Object(schema) => match schema.get("type") {
                Some(Value::String(kind)) => self.complex(kind, schema, namespace),
                Some(inner) => self.parse(inner, namespace),
                None => Err(SchemaError::new("a schema has no `type`")),
            },
            _ => Err(SchemaError(format!("`{schema}` is no schema"))),
        }
    }

    fn complex(
        &mut self,
        kind: &str,
        schema: &Map<String, Value>,
        namespace: &str,
    ) -> Result<NodeId, SchemaError> {
        match kind {
            "array" => {
                let items = self.parse(member(schema, "items", "an array")?, namespace)?;
                Ok(self.push(Node::Array(items), 1))
            }
            "map" => {
                let values = self.parse(member(schema, "values", "a map")?, namespace)?;
                Ok(self.push(Node::Map(values), 1))
            }
            "enum" => {
                let symbols = list(member(schema, "symbols", "an enum")?, "`symbols`")?;
                let symbols =
                    symbols.iter().map(|symbol| symbol.as_str().map(Into::into)).collect::<Option<_>>();
                let symbols = symbols.ok_or_else(|| SchemaError::new("a symbol of an enum is no text"))?;
                self.define(schema, namespace, Node::Enum(symbols), 1).map(|(id, _)| id)
            }
            "fixed" => {
                let size =
                    member(schema, "size", "a fixed")?.as_u64().and_then(|size| usize::try_from(size).ok());
                let size =
                    size.ok_or_else(|| SchemaError::new("the `size` of a fixed is no number of bytes"))?;
                self.define(schema, namespace, Node::Fixed(size), size).map(|(id, _)| id)
            }
            "record" | "error" => self.record(schema, namespace),
            name => Ok(self.named(name, namespace)),
        }
    }

    fn record(&mut self, schema: &Map<String, Value>, namespace: &str) -> Result<NodeId, SchemaError> {
        // Known before its fields are, which may be of the same type.
        let (id, namespace) = self.define(schema, namespace, Node::Record(Box::default()), 0)?;
        let mut fields = Vec::new();
        let mut size = 0usize;
        for field in list(member(schema, "fields", "a record")?, "`fields`")? {
            let field =
                field.as_object().ok_or_else(|| SchemaError::new("a field of a record is no object"))?;
            let name = text(member(field, "name", "a field")?, "the name of a field")?;
            let node = self.parse(member(field, "type", "a field")?, &namespace)?;
            size = size.saturating_add(self.size(node));
            let mut label = if fields.is_empty() { Vec::new() } else { b", ".to_vec() };
            write_string(name, &mut label);
            label.extend_from_slice(b": ");
            fields.push(Field { label: label.into(), node });
        }
        self.set(id, Node::Record(fields.into()), size);
        Ok(id)
    }

    /// Adds a type with a name. Returns the namespace of names within it, too.
    fn define(
        &mut self,
        schema: &Map<String, Value>,
        namespace: &str,
        node: Node,
        size: usize,
    ) -> Result<(NodeId, String), SchemaError> {
        let name = text(member(schema, "name", "a named type")?, "the name of a type")?;
        let namespace = schema.get("namespace").and_then(Value::as_str).unwrap_or(namespace);
        let namespace = name.rsplit_once('.').map_or(namespace, |(namespace, _)| namespace).to_owned();
        let full = full_name(name, &namespace);
        let id = self.push(node, size);
        if self.names.insert(full.clone(), id).is_some() {
            return Err(SchemaError(format!("the type `{full}` is defined twice")));
        }
        Ok((id, namespace))
    }

    fn named(&mut self, name: &str, namespace: &str) -> NodeId {
        let (node, size) = match name {
            "null" => (Node::Null, 0),
            "boolean" => (Node::Boolean, 1),
            "int" => (Node::Int, 1),
            "long" => (Node::Long, 1),
            "float" => (Node::Float, 4),
            "double" => (Node::Double, 8),
            "bytes" => (Node::Bytes, 1),
            "string" => (Node::String, 1),
            _ => {
                let full = full_name(name, namespace);
                // Java looks for the name without its namespace, too.
                if let Some(id) = self.names.get(&full).or_else(|| self.names.get(name)) {
                    return *id;
                }
                self.forward.push((self.nodes.len(), full));
                (Node::Null, 0)
            }
        };
        self.push(node, size)
    }

    fn push(&mut self, node: Node, size: usize) -> NodeId {
        self.nodes.push(node);
        self.sizes.push(size);
        self.nodes.len() - 1
    }

    fn set(&mut self, id: NodeId, node: Node, size: usize) {
        if let (Some(old_node), Some(old_size)) = (self.nodes.get_mut(id), self.sizes.get_mut(id)) {
            (*old_node, *old_size) = (node, size);
        }
    }

    fn size(&self, id: NodeId) -> usize {
        self.sizes.get(id).copied().unwrap_or_default()
    }
}

fn full_name(name: &str, namespace: &str) -> String {
    if name.contains('.') || namespace.is_empty() { name.to_owned() } else { format!("{namespace}.{name}") }
}

fn member<'a>(schema: &'a Map<String, Value>, name: &str, of: &str) -> Result<&'a Value, SchemaError> {
    schema.get(name).ok_or_else(|| SchemaError(format!("{of} has no `{name}`")))
}

fn text<'a>(value: &'a Value, what: &str) -> Result<&'a str, SchemaError> {
    value.as_str().ok_or_else(|| SchemaError(format!("{what} is no text")))
}

fn list<'a>(value: &'a Value, what: &str) -> Result<&'a [Value], SchemaError> {
    value.as_array().map(Vec::as_slice).ok_or_else(|| SchemaError(format!("{what} is no list")))
}
