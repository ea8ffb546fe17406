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
    next: u16,
    /// Where to note the position behind it.
    pub(super) save: Slot,
}

/// Where to note a position.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Slot(u16);

impl Slot {
    /// Nowhere.
    pub(super) const NONE: Self = Self(u16::MAX);
    const CERTAIN: u16 = 1 << 15;

    /// The slot of that number. It is certain to be written on every way to a match if `certain`, so that nobody asks
    /// for what was in it before.
    pub(super) fn new(number: usize, certain: bool) -> Option<Self> {
        let number = u16::try_from(number).ok().filter(|number| *number < Self::CERTAIN - 1)?;
        Some(Self(if certain { number | Self::CERTAIN } else { number }))
    }

    #[inline]
    pub(super) fn number(self) -> usize {
        usize::from(self.0 & !Self::CERTAIN)
    }

    #[inline]
    pub(super) fn is_certain(self) -> bool {
        self.0 & Self::CERTAIN != 0
    }
}

/// The most instructions of a program.
pub(super) const INSTRUCTIONS_MAX: usize = u16::MAX as usize;

impl Instruction {
    /// A step that goes on at `next`. Places beyond [`INSTRUCTIONS_MAX`] are cut off: the program is refused then.
    pub(super) fn new(op: Op, next: Place) -> Self {
        Self { op, next: next as u16, save: Slot::NONE }
    }

    /// Where it goes on.
    #[inline]
    pub(super) fn next(&self) -> Place {
        Place::from(self.next)
    }

    /// Makes it go on elsewhere.
    pub(super) fn set_next(&mut self, next: Place) {
        self.next = next as u16;
    }
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
    /// The same of ASCII characters, a few.
    Few {
        probe: Probe,
        min: u8,
        max: u8,
    },
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
    /// The same, but of the first way the next byte is all that its first step asks: it begins behind the byte.
    ForkTake {
        first: Place,
        table: u16,
        first_mask: u8,
        next_mask: u8,
    },
    /// An ASCII character of a set, if one comes.
    Optional(Probe),
    /// Two ways: `first`, then `next`.
    Try {
        first: Place,
    },
    /// One way for each byte.
    Dispatch(u32),
    /// Notes the position in a slot.
    Save(Slot),
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

impl Op {
    /// Whether it has no other way than to go on at the next instruction, or to fail.
    pub(super) fn only_goes_on(self) -> bool {
        matches!(
            self,
            Op::Byte(_)
                | Op::Text { .. }
                | Op::Ascii(_)
                | Op::Optional(_)
                | Op::Wide(_)
                | Op::Mixed(_)
                | Op::Star(_)
                | Op::Plus(_)
                | Op::Until { .. }
                | Op::Rest { .. }
                | Op::Span(_)
                | Op::Few { .. }
                | Op::Peek { .. }
                | Op::Assert(_)
                | Op::BehindAscii { .. }
                | Op::Behind { .. }
        )
    }
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
