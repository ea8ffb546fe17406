//! From Avro's binary form to text, along the schema.

use std::ops::Range;

use ferrostash_event::number::{write_java_double, write_java_float, write_ruby_float};

use super::schema::{Field, Node, NodeId};
use super::text::{write_bytes, write_string};
use super::{AVRO_DEPTH_MAX, AVRO_EMPTY_ITEMS_MAX, AVRO_TEXT_SIZE_MAX, AvroError, AvroSchema};

pub(super) struct Decoder<'a> {
    schema: &'a AvroSchema,
    input: &'a [u8],
    /// Length of the whole input.
    size: usize,
    out: &'a mut Vec<u8>,
    out_max: usize,
    empty_items: usize,
    number: String,
}

impl<'a> Decoder<'a> {
    pub(super) fn new(schema: &'a AvroSchema, input: &'a [u8], out: &'a mut Vec<u8>) -> Self {
        let out_max = out.len().saturating_add(AVRO_TEXT_SIZE_MAX);
        Self { schema, input, size: input.len(), out, out_max, empty_items: 0, number: String::new() }
    }

    /// The value of a record: as the text that it has in Ruby, where it is no record, array or map.
    pub(super) fn whole(mut self, root: NodeId) -> Result<(), AvroError> {
        // Confluent's writers leave out the length where the schema is nothing but `bytes`.
        if matches!(self.node(root), Node::Bytes) {
            self.out.extend_from_slice(self.input);
            return Ok(());
        }
        let id = self.branch(root)?;
        match self.node(id) {
            Node::Null => {}
            Node::String => {
                let text = self.bytes()?;
                self.out.extend_from_slice(String::from_utf8_lossy(text).as_bytes());
            }
            Node::Bytes => {
                let bytes = self.bytes()?;
                self.out.extend_from_slice(bytes);
            }
            Node::Enum(symbols) => {
                let symbol = self.symbol(symbols)?;
                self.out.extend_from_slice(symbol.as_bytes());
            }
            // A Java float is a double in Ruby, and shows it.
            Node::Float => {
                let number = f64::from(self.float()?);
                self.number(number, write_ruby_float);
            }
            Node::Double => {
                let number = self.double()?;
                self.number(number, write_ruby_float);
            }
            _ => self.value(id, 0)?,
        }
        if self.out.len() > self.out_max { Err(AvroError::TooLong) } else { Ok(()) }
    }

    // Small, as are all that it calls in turn: a level of the value is a level of the stack.
    fn value(&mut self, id: NodeId, depth: usize) -> Result<(), AvroError> {
        let id = self.branch(id)?;
        match self.node(id) {
            Node::Record(fields) => self.record(fields, below(depth)?)?,
            Node::Array(items) => self.array(*items, below(depth)?)?,
            Node::Map(values) => self.map(*values, below(depth)?)?,
            leaf => self.leaf(leaf)?,
        }
        if self.out.len() > self.out_max { Err(AvroError::TooLong) } else { Ok(()) }
    }

    fn record(&mut self, fields: &'a [Field], depth: usize) -> Result<(), AvroError> {
        self.out.push(b'{');
        for field in fields {
            self.out.extend_from_slice(&field.label);
            self.value(field.node, depth)?;
        }
        self.out.push(b'}');
        Ok(())
    }

    fn leaf(&mut self, node: &'a Node) -> Result<(), AvroError> {
        match node {
            Node::Null => self.out.extend_from_slice(b"null"),
            Node::Boolean => {
                let text: &[u8] = if self.boolean()? { b"true" } else { b"false" };
                self.out.extend_from_slice(text);
            }
            Node::Int => {
                let number = self.int()?;
                self.out.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
            }
            Node::Long => {
                let number = self.long()?;
                self.out.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
            }
            Node::Float => self.json_float()?,
            Node::Double => {
                let number = self.double()?;
                self.json_double(number);
            }
            Node::Bytes => write_bytes(self.bytes()?, self.out),
            Node::String => write_string(&String::from_utf8_lossy(self.bytes()?), self.out),
            Node::Fixed(size) => self.fixed(*size)?,
            Node::Enum(symbols) => write_string(self.symbol(symbols)?, self.out),
            // `value` looks into these and behind those.
            Node::Record(_) | Node::Array(_) | Node::Map(_) | Node::Union(_) | Node::Same(_) => {}
        }
        Ok(())
    }

    /// What stands behind names and unions.
    fn branch(&mut self, mut id: NodeId) -> Result<NodeId, AvroError> {
        loop {
            id = match self.node(id) {
                Node::Same(node) => *node,
                Node::Union(branches) => {
                    let at = self.at();
                    let branch = self.long()?;
                    let branch = usize::try_from(branch).ok().and_then(|branch| branches.get(branch));
                    *branch.ok_or(AvroError::Invalid { what: "a union without such a branch", at })?
                }
                _ => return Ok(id),
            }
        }
    }

    fn array(&mut self, items: NodeId, depth: usize) -> Result<(), AvroError> {
        let size_min = self.size_min(items);
        self.out.push(b'[');
        let mut separator: &[u8] = b"";
        while let Some(block) = self.block(size_min)? {
            for _ in block {
                self.out.extend_from_slice(separator);
                separator = b", ";
                self.value(items, depth)?;
            }
        }
        self.out.push(b']');
        Ok(())
    }

    fn map(&mut self, values: NodeId, depth: usize) -> Result<(), AvroError> {
        // A key has at least its length.
        let size_min = self.size_min(values).saturating_add(1);
        self.out.push(b'{');
        let mut separator: &[u8] = b"";
        while let Some(block) = self.block(size_min)? {
            for _ in block {
                self.out.extend_from_slice(separator);
                separator = b", ";
                write_string(&String::from_utf8_lossy(self.bytes()?), self.out);
                self.out.extend_from_slice(b": ");
                self.value(values, depth)?;
            }
        }
        self.out.push(b'}');
        Ok(())
    }

    /// The items of the next block of an array or a map, none at the end; an item has at least `size_min` bytes. More than the
    /// bytes at hand can hold are never begun.
    fn block(&mut self, size_min: usize) -> Result<Option<Range<usize>>, AvroError> {
        let at = self.at();
        let count = self.long()?;
        if count == 0 {
            return Ok(None);
        }
        if count < 0 {
            // Its size in bytes, for those who skip it.
            self.long()?;
        }
        let count = usize::try_from(count.unsigned_abs()).unwrap_or(usize::MAX);
        match self.input.len().checked_div(size_min) {
            Some(most) if count > most => {
                return Err(AvroError::Invalid { what: "a block with more items than bytes", at });
            }
            Some(_) => {}
            None => {
                self.empty_items = self.empty_items.saturating_add(count);
                if self.empty_items > AVRO_EMPTY_ITEMS_MAX {
                    return Err(AvroError::TooManyEmpty);
                }
            }
        }
        Ok(Some(0..count))
    }

    /// A list of signed bytes: so Java shows it, other than `bytes`.
    fn fixed(&mut self, size: usize) -> Result<(), AvroError> {
        self.out.push(b'[');
        let mut separator: &[u8] = b"";
        for byte in self.take(size)? {
            self.out.extend_from_slice(separator);
            separator = b", ";
            self.out.extend_from_slice(itoa::Buffer::new().format(byte.cast_signed()).as_bytes());
        }
        self.out.push(b']');
        Ok(())
    }

    fn symbol(&mut self, symbols: &'a [Box<str>]) -> Result<&'a str, AvroError> {
        let at = self.at();
        let symbol = usize::try_from(self.long()?).ok().and_then(|symbol| symbols.get(symbol));
        symbol.map(AsRef::as_ref).ok_or(AvroError::Invalid { what: "an enum without such a symbol", at })
    }

    fn json_float(&mut self) -> Result<(), AvroError> {
        let number = self.float()?;
        if !number.is_finite() {
            self.json_double(f64::from(number));
            return Ok(());
        }
        self.number.clear();
        write_java_float(number, &mut self.number);
        self.out.extend_from_slice(self.number.as_bytes());
        Ok(())
    }

    fn json_double(&mut self, number: f64) {
        if number.is_finite() {
            return self.number(number, write_java_double);
        }
        self.out.push(b'"');
        self.number(number, write_java_double);
        self.out.push(b'"');
    }

    fn number(&mut self, number: f64, write: fn(f64, &mut String)) {
        self.number.clear();
        write(number, &mut self.number);
        self.out.extend_from_slice(self.number.as_bytes());
    }

    fn boolean(&mut self) -> Result<bool, AvroError> {
        let at = self.at();
        match self.array_of::<1>()? {
            [0] => Ok(false),
            [1] => Ok(true),
            _ => Err(AvroError::Invalid { what: "a boolean that is neither 0 nor 1", at }),
        }
    }

    fn int(&mut self) -> Result<i32, AvroError> {
        let at = self.at();
        i32::try_from(self.long()?)
            .map_err(|_| AvroError::Invalid { what: "an int of more than 32 bits", at })
    }

    /// A number of up to ten bytes with seven bits each, the sign in the lowest bit.
    fn long(&mut self) -> Result<i64, AvroError> {
        let at = self.at();
        let mut number = 0;
        for place in 0..10 {
            let [byte] = self.array_of::<1>()?;
            number |= u64::from(byte & 0x7f) << (7 * place);
            if byte < 0x80 {
                return Ok((number >> 1).cast_signed() ^ -(number & 1).cast_signed());
            }
        }
        Err(AvroError::Invalid { what: "a number of more than 64 bits", at })
    }

    fn float(&mut self) -> Result<f32, AvroError> {
        self.array_of().map(f32::from_le_bytes)
    }

    fn double(&mut self) -> Result<f64, AvroError> {
        self.array_of().map(f64::from_le_bytes)
    }

    fn bytes(&mut self) -> Result<&'a [u8], AvroError> {
        let at = self.at();
        let length = self.long()?;
        let length = usize::try_from(length);
        self.take(length.map_err(|_| AvroError::Invalid { what: "a negative length", at })?)
    }

    fn take(&mut self, count: usize) -> Result<&'a [u8], AvroError> {
        let (taken, rest) = self.input.split_at_checked(count).ok_or_else(|| self.truncated(count))?;
        self.input = rest;
        Ok(taken)
    }

    fn array_of<const N: usize>(&mut self) -> Result<[u8; N], AvroError> {
        let (taken, rest) = self.input.split_first_chunk().ok_or_else(|| self.truncated(N))?;
        self.input = rest;
        Ok(*taken)
    }

    fn truncated(&self, count: usize) -> AvroError {
        AvroError::Truncated { at: self.size, needed: count.saturating_sub(self.input.len()) }
    }

    /// How far the input is read.
    fn at(&self) -> usize {
        self.size - self.input.len()
    }

    fn node(&self, id: NodeId) -> &'a Node {
        // Every id is a node's: the parser makes them together.
        self.schema.nodes.get(id).unwrap_or(&Node::Null)
    }

    /// Fewest bytes of a value.
    fn size_min(&self, id: NodeId) -> usize {
        self.schema.sizes.get(id).copied().unwrap_or_default()
    }
}

fn below(depth: usize) -> Result<usize, AvroError> {
    if depth < AVRO_DEPTH_MAX { Ok(depth + 1) } else { Err(AvroError::TooDeep) }
}
