//! The program that an expression is compiled to.

use super::bytes::Bytes;
use super::class::CharSet;
use super::tree::Assert;

/// The place of an instruction.
pub(super) type Place = u32;

/// A compiled expression.
#[derive(Debug, Default)]
pub(super) struct Program {
    pub(super) code: Vec<Instruction>,
    /// For each instruction, whether what comes of it depends on more than the position, on a count for instance.
    pub(super) depends: Vec<bool>,
    /// Where it begins.
    pub(super) entry: Place,
    /// For each byte and the end of the text, eight sets, a bit each.
    pub(super) tables: Vec<[u8; 257]>,
    /// Where to go on a byte or the end of the text.
    pub(super) dispatches: Vec<[u16; 257]>,
    /// Texts, one after the other.
    pub(super) texts: Vec<u8>,
    /// Sets with some characters beyond ASCII, not all.
    pub(super) sets: Vec<CharSet>,
    pub(super) runs: Vec<Run>,
    pub(super) counts: Vec<Count>,
    /// Places to note things in while matching.
    pub(super) registers: usize,
    /// What a match may begin with.
    pub(super) first: Bytes,
}

/// A set in one of the tables.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Probe {
    pub(super) table: u16,
    pub(super) mask: u8,
}

/// One step, and where it goes on.
#[derive(Debug, Clone, Copy)]
pub(super) struct Instruction {
    pub(super) op: Op,
    pub(super) next: Place,
}

/// What a step does.
#[derive(Debug, Clone, Copy)]
pub(super) enum Op {
    /// The expression matches.
    Match,
    /// This way does not lead to a match.
    Fail,
    /// One byte.
    Byte(u8),
    /// A text.
    Text {
        at: u32,
        length: u32,
    },
    /// An ASCII character of a set.
    Ascii(Probe),
    /// A character of a set with all characters beyond ASCII.
    Wide(Probe),
    /// A character of a set with some characters beyond ASCII.
    Mixed(u16),
    /// All characters of a set that come, any number or at least one.
    Star(Probe),
    Plus(Probe),
    /// Everything up to the first of these bytes or the end, at least `min` (0 or 1) characters.
    Until {
        bytes: [u8; 3],
        count: u8,
        min: u8,
    },
    /// All that is left, of at least `min` (0 or 1) characters.
    Rest {
        min: u8,
    },
    /// As many characters of a set as allowed.
    Span(u32),
    /// The same, but some may be given back.
    Greedy(u32),
    /// As few characters of a set as needed.
    Lazy(u32),
    /// Two ways: `first`, then `next`. Each only on the bytes of its set.
    Fork {
        first: Place,
        table: u16,
        first_mask: u8,
        next_mask: u8,
    },
    /// Two ways: `first`, then `next`.
    Try {
        first: Place,
    },
    /// One way for each byte.
    Dispatch(u32),
    /// Notes the position in a slot.
    Save(u32),
    /// A condition on the place.
    Assert(Assert),
    /// A condition on the next byte.
    Peek {
        probe: Probe,
        negate: bool,
    },
    /// A condition on the byte before, which is ASCII.
    BehindAscii {
        probe: Probe,
        negate: bool,
    },
    /// A condition on the character before.
    Behind {
        set: u16,
        negate: bool,
    },
    /// Some characters back.
    Back(u32),
    /// Begins what is matched in one way only.
    Enter {
        register: u32,
    },
    /// Ends it, forgetting other ways.
    Leave {
        register: u32,
        captures: bool,
    },
    /// Begins what must match here without being consumed.
    EnterLook {
        register: u32,
    },
    /// Ends it.
    LeaveLook {
        register: u32,
        captures: bool,
    },
    /// Begins what must not match here; then it goes on at `after`.
    EnterNot {
        register: u32,
        after: Place,
    },
    /// It did match.
    LeaveNot {
        register: u32,
    },
    /// Begins counting.
    CountFrom {
        register: u32,
    },
    /// Once more, or on.
    Count(u32),
    /// Notes the position.
    Mark {
        register: u32,
    },
    /// Goes on at `exit` when the position is still the same.
    Check {
        register: u32,
        exit: Place,
    },
}

/// How a set knows its characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// All are ASCII.
    Ascii,
    /// All beyond ASCII are in it.
    Wide,
    /// Some beyond ASCII are in it; the number is that in the list of sets.
    Mixed(u16),
}

/// A repeated set.
#[derive(Debug, Clone, Copy)]
pub(super) struct Run {
    pub(super) probe: Probe,
    pub(super) kind: Kind,
    pub(super) min: u32,
    pub(super) max: u32,
    /// What may come after it.
    pub(super) follow: Probe,
    /// The same, when it is one byte.
    pub(super) follow_byte: Option<u8>,
    /// Every character is in the set.
    pub(super) everything: bool,
}

/// A repeated expression that is counted.
#[derive(Debug, Clone, Copy)]
pub(super) struct Count {
    pub(super) register: u32,
    pub(super) min: u32,
    pub(super) max: u32,
    pub(super) greedy: bool,
    pub(super) body: Place,
}
