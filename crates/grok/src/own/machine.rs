//! Runs a program at one place of a text.
//!
//! Where the compiler left a choice, the machine notes the way not taken on a stack, and comes back to it when the other
//! one fails; with it everything that was noted since (captures, counts) is undone. The stack is bounded, and every so
//! often a step back looks at the clock.

#![expect(
    clippy::indexing_slicing,
    reason = "places and numbers come from the compiler; positions never pass the end of the text"
)]

use std::ops::Range;

use ferroni::encodings::ONIG_ENCODING_UTF8;
use ferroni::oniguruma::ONIGENC_CTYPE_WORD;
use ferroni::regenc::Encoding;
use memchr::{memchr, memchr2, memchr3, memrchr};

use super::budget::{Budget, Halt};
use super::bytes::END;
use super::program::{Count, Kind, Op, Place, Probe, Program, Run, Slot};
use super::tree::{Assert, INFINITE};
use super::tried::Tried;
use crate::matcher::{Captures, MatchError, NOWHERE};

/// Entries (16 bytes each) of the stack that a search may use.
const STACK_ENTRIES_MAX: usize = 8_000_000;
/// Entries that the scratch keeps for the next search.
const STACK_ENTRIES_KEPT: usize = 1 << 16;
/// So many characters in a run count as one step.
const RUN_BYTES_PER_STEP: usize = 1 << 7;

/// What a search writes to, kept for the next one.
#[derive(Debug, Default)]
pub(super) struct Scratch {
    stack: Vec<Frame>,
    /// Two positions for each group, its beginning and end.
    slots: Vec<u32>,
    registers: Vec<u32>,
}

impl Scratch {
    pub(super) const fn new() -> Self {
        Self { stack: Vec::new(), slots: Vec::new(), registers: Vec::new() }
    }

    /// Gives the groups of a match to `captures`.
    pub(super) fn hand_over(&mut self, whole: &Range<usize>, captures: &mut Captures) {
        if let Some([start, end]) = self.slots.get_mut(..2) {
            (*start, *end) = (whole.start as u32, whole.end as u32);
        }
        captures.swap(&mut self.slots);
    }

    /// Gives back what an unusual search took.
    pub(super) fn trim(&mut self) {
        if self.stack.capacity() > STACK_ENTRIES_KEPT {
            self.stack.clear();
            self.stack.shrink_to(STACK_ENTRIES_KEPT);
        }
    }
}

/// What to come back to, or to undo on the way.
#[derive(Debug, Clone, Copy)]
enum Frame {
    /// Another way.
    Way { place: Place, position: u32 },
    /// A run that may give back characters behind `low`.
    Greedy { place: Place, low: u32, position: u32 },
    /// A run that may take more.
    Lazy { place: Place, position: u32, count: u32 },
    /// A slot's position before.
    Slot { slot: u32, before: u32 },
    /// A register's content before.
    Register { register: u32, before: u32 },
}

/// A program on a text.
pub(super) struct Machine<'a> {
    pub(super) program: &'a Program,
    pub(super) subject: &'a str,
    /// Where the search began.
    pub(super) origin: usize,
    pub(super) scratch: &'a mut Scratch,
    pub(super) budget: Budget,
    /// What ways have been tried, once the search takes long.
    pub(super) tried: Option<Tried>,
}

impl Machine<'_> {
    /// Makes room for the program's groups.
    pub(super) fn prepare(&mut self, groups: usize) {
        self.scratch.slots.resize(groups * 2, NOWHERE);
        self.scratch.registers.resize(self.program.registers, 0);
    }

    /// Matches at `start`, and gives the end of the match. Slots are written if `SAVE`.
    pub(super) fn run<const SAVE: bool>(&mut self, start: usize) -> Result<Option<usize>, Halt> {
        let text = self.subject.as_bytes();
        let program = self.program;
        let (code, tables) = (program.code.as_slice(), program.tables.as_slice());
        let mut position = start;
        let mut place = program.entry;
        self.scratch.stack.clear();
        if SAVE {
            self.scratch.slots.fill(NOWHERE);
        }
        'steps: loop {
            let instruction = &code[place as usize];
            // Leaving the block early means that this way failed.
            'way: {
                match instruction.op {
                    Op::Match => return Ok(Some(position)),
                    Op::Fail => break 'way,
                    Op::Byte(byte) => {
                        if text.get(position) != Some(&byte) {
                            break 'way;
                        }
                        position += 1;
                    }
                    Op::Text { at, length } => {
                        let wanted = &program.texts[at as usize..(at + length) as usize];
                        if !text[position..].starts_with(wanted) {
                            break 'way;
                        }
                        position += wanted.len();
                    }
                    Op::Ascii(probe) => {
                        if position >= text.len()
                            || tables[usize::from(probe.table)][usize::from(text[position])] & probe.mask == 0
                        {
                            break 'way;
                        }
                        position += 1;
                    }
                    Op::Optional(probe) => {
                        if position < text.len()
                            && tables[usize::from(probe.table)][usize::from(text[position])] & probe.mask != 0
                        {
                            position += 1;
                        }
                    }
                    Op::Wide(probe) => {
                        if position >= text.len()
                            || tables[usize::from(probe.table)][usize::from(text[position])] & probe.mask == 0
                        {
                            break 'way;
                        }
                        position += width(text[position]);
                    }
                    Op::Mixed(set) => match self.char_at(position) {
                        Some(c) if program.sets[usize::from(set)].contains(c) => position += c.len_utf8(),
                        _ => break 'way,
                    },
                    Op::Star(probe) => position = self.star(probe, position)?,
                    Op::Plus(probe) => {
                        let end = self.star(probe, position)?;
                        if end == position {
                            break 'way;
                        }
                        position = end;
                    }
                    Op::Until { bytes, count, min } => {
                        let rest = &text[position..];
                        let found = match count {
                            1 => memchr(bytes[0], rest),
                            2 => memchr2(bytes[0], bytes[1], rest),
                            _ => memchr3(bytes[0], bytes[1], bytes[2], rest),
                        };
                        let length = found.unwrap_or(rest.len());
                        if length < usize::from(min) {
                            break 'way;
                        }
                        position += length;
                        self.ran(length)?;
                    }
                    Op::Rest { min } => {
                        if text.len() - position < usize::from(min) {
                            break 'way;
                        }
                        position = text.len();
                    }
                    Op::Span(run) => {
                        let run = &program.runs[run as usize];
                        let Some((_, end)) = self.span(run, position)? else { break 'way };
                        position = end;
                    }
                    Op::Few { probe, min, max } => {
                        let table = &tables[usize::from(probe.table)];
                        let rest = &text[position..];
                        let most = rest.len().min(usize::from(max));
                        let mut length = 0;
                        while length < most && table[usize::from(rest[length])] & probe.mask != 0 {
                            length += 1;
                        }
                        if length < usize::from(min) {
                            break 'way;
                        }
                        position += length;
                    }
                    Op::Greedy(run) => {
                        let run = &program.runs[run as usize];
                        let Some((low, end)) = self.span(run, position)? else { break 'way };
                        match self.give_back(run, low, end) {
                            Some(end) => position = end,
                            None => break 'way,
                        }
                        if position > low {
                            let (low, position) = (low as u32, position as u32);
                            self.push(Frame::Greedy { place, low, position })?;
                        }
                    }
                    Op::Lazy(run) => {
                        let run = &program.runs[run as usize];
                        let Some(low) = self.least(run, position) else { break 'way };
                        let Some((end, count)) = self.take_more(run, low, run.min)? else { break 'way };
                        position = end;
                        self.push(Frame::Lazy { place, position: end as u32, count })?;
                    }
                    Op::Fork { first, table, first_mask, next_mask } => {
                        let bits = tables[usize::from(table)][symbol(text, position)];
                        if bits & first_mask != 0 {
                            if bits & next_mask != 0 {
                                self.push(Frame::Way {
                                    place: instruction.next(),
                                    position: position as u32,
                                })?;
                            }
                            place = first;
                            continue 'steps;
                        }
                        if bits & next_mask == 0 {
                            break 'way;
                        }
                    }
                    Op::ForkTake { first, table, first_mask, next_mask } => {
                        let bits = tables[usize::from(table)][symbol(text, position)];
                        if bits & first_mask != 0 {
                            if bits & next_mask != 0 {
                                self.push(Frame::Way {
                                    place: instruction.next(),
                                    position: position as u32,
                                })?;
                            }
                            position += 1;
                            place = first;
                            continue 'steps;
                        }
                        if bits & next_mask == 0 {
                            break 'way;
                        }
                    }
                    Op::Try { first } => {
                        self.push(Frame::Way { place: instruction.next(), position: position as u32 })?;
                        place = first;
                        continue 'steps;
                    }
                    Op::Dispatch(table) => {
                        let target = program.dispatches[table as usize][symbol(text, position)];
                        place = Place::from(target);
                        continue 'steps;
                    }
                    Op::Save(slot) => {
                        if SAVE {
                            self.save(slot, position)?;
                        }
                    }
                    Op::Assert(assert) => {
                        if !self.holds(assert, position) {
                            break 'way;
                        }
                    }
                    Op::Peek { probe, negate } => {
                        let table = &tables[usize::from(probe.table)];
                        let inside = table[symbol(text, position)] & probe.mask != 0;
                        if inside == negate {
                            break 'way;
                        }
                    }
                    Op::BehindAscii { probe, negate } => {
                        let inside = position > 0 && self.has(probe, text[position - 1]);
                        if inside == negate {
                            break 'way;
                        }
                    }
                    Op::Behind { set, negate } => {
                        let before = self.char_before(position);
                        let inside = before.is_some_and(|c| program.sets[usize::from(set)].contains(c));
                        if inside == negate {
                            break 'way;
                        }
                    }
                    Op::Back(count) => match self.back(position, count) {
                        Some(before) => position = before,
                        None => break 'way,
                    },
                    Op::Enter { register } => {
                        self.scratch.registers[register as usize] = self.scratch.stack.len() as u32;
                    }
                    Op::Leave { register, captures } => self.forget_ways(register, captures),
                    Op::EnterLook { register } => {
                        self.scratch.registers[register as usize] = self.scratch.stack.len() as u32;
                        self.scratch.registers[register as usize + 1] = position as u32;
                    }
                    Op::LeaveLook { register, captures } => {
                        self.forget_ways(register, captures);
                        position = self.scratch.registers[register as usize + 1] as usize;
                    }
                    Op::EnterNot { register, after } => {
                        self.scratch.registers[register as usize] = self.scratch.stack.len() as u32;
                        self.push(Frame::Way { place: after, position: position as u32 })?;
                    }
                    Op::LeaveNot { register } => {
                        let height = self.scratch.registers[register as usize] as usize;
                        self.undo(height);
                        break 'way;
                    }
                    Op::CountFrom { register } => self.set_register(register, 0)?,
                    Op::Count(count) => {
                        let count = &program.counts[count as usize];
                        place = self.count(count, instruction.next(), position)?;
                        continue 'steps;
                    }
                    Op::Mark { register } => self.set_register(register, position as u32)?,
                    Op::Check { register, exit } => {
                        if self.scratch.registers[register as usize] == position as u32 {
                            place = exit;
                            continue 'steps;
                        }
                    }
                }
                if SAVE && instruction.save != Slot::NONE {
                    self.save(instruction.save, position)?;
                }
                place = instruction.next();
                continue 'steps;
            }
            match self.come_back()? {
                Some((way, at)) => (place, position) = (way, at),
                None => return Ok(None),
            }
        }
    }

    // ---- the stack

    #[inline]
    fn push(&mut self, frame: Frame) -> Result<(), Halt> {
        if self.scratch.stack.len() == self.scratch.stack.capacity() {
            self.grow()?;
        }
        self.scratch.stack.push(frame);
        Ok(())
    }

    #[cold]
    fn grow(&mut self) -> Result<(), Halt> {
        if self.scratch.stack.len() >= STACK_ENTRIES_MAX {
            return Err(Halt::Error(MatchError::TooComplex));
        }
        self.scratch.stack.reserve(64.max(self.scratch.stack.len()));
        Ok(())
    }

    /// The latest way not taken, with everything undone since.
    fn come_back(&mut self) -> Result<Option<(Place, usize)>, Halt> {
        self.budget.spend(1)?;
        while let Some(frame) = self.scratch.stack.pop() {
            match frame {
                Frame::Slot { slot, before } => self.scratch.slots[slot as usize] = before,
                Frame::Register { register, before } => {
                    self.scratch.registers[register as usize] = before;
                }
                Frame::Way { place, position } => {
                    if self.is_new(place, position as usize) {
                        return Ok(Some((place, position as usize)));
                    }
                }
                Frame::Greedy { place, low, position } => {
                    let (Op::Greedy(run), next) = self.step(place) else { continue };
                    let run = &self.program.runs[run as usize];
                    let Some(end) = self.give_back(run, low as usize, position as usize - 1) else {
                        continue;
                    };
                    if end > low as usize {
                        self.push(Frame::Greedy { place, low, position: end as u32 })?;
                    }
                    if self.is_new(next, end) {
                        return Ok(Some((next, end)));
                    }
                }
                Frame::Lazy { place, position, count } => {
                    let (Op::Lazy(run), next) = self.step(place) else { continue };
                    let run = &self.program.runs[run as usize];
                    if count == run.max {
                        continue;
                    }
                    let Some(more) = self.character(run, position as usize) else { continue };
                    let count = if run.max == INFINITE { count } else { count + 1 };
                    let Some((end, count)) = self.take_more(run, more, count)? else { continue };
                    self.push(Frame::Lazy { place, position: end as u32, count })?;
                    if self.is_new(next, end) {
                        return Ok(Some((next, end)));
                    }
                }
            }
        }
        Ok(None)
    }

    /// Whether a way has not been tried before; one that has been failed, and would again.
    #[inline]
    fn is_new(&mut self, place: Place, position: usize) -> bool {
        match &mut self.tried {
            Some(tried) if !self.program.depends[place as usize] => tried.insert(place, position),
            _ => true,
        }
    }

    fn step(&self, place: Place) -> (Op, Place) {
        let instruction = &self.program.code[place as usize];
        (instruction.op, instruction.next())
    }

    /// Takes back what was noted above a height.
    fn undo(&mut self, height: usize) {
        while self.scratch.stack.len() > height {
            match self.scratch.stack.pop() {
                Some(Frame::Slot { slot, before }) => self.scratch.slots[slot as usize] = before,
                Some(Frame::Register { register, before }) => {
                    self.scratch.registers[register as usize] = before;
                }
                _ => {}
            }
        }
    }

    /// Forgets the ways noted since a register was set, not what is to be undone below them.
    fn forget_ways(&mut self, register: u32, captures: bool) {
        let height = self.scratch.registers[register as usize] as usize;
        if !captures {
            // Registers set inside are set anew whenever they are needed.
            self.scratch.stack.truncate(height);
            return;
        }
        let mut kept = height;
        for at in height..self.scratch.stack.len() {
            let frame = self.scratch.stack[at];
            if matches!(frame, Frame::Slot { .. }) {
                self.scratch.stack[kept] = frame;
                kept += 1;
            }
        }
        self.scratch.stack.truncate(kept);
    }

    #[inline]
    fn save(&mut self, slot: Slot, position: usize) -> Result<(), Halt> {
        let before = std::mem::replace(&mut self.scratch.slots[slot.number()], position as u32);
        // Without a way to come back to, nobody will want to know either.
        if slot.is_certain() || self.scratch.stack.is_empty() {
            return Ok(());
        }
        self.push(Frame::Slot { slot: slot.number() as u32, before })
    }

    fn set_register(&mut self, register: u32, value: u32) -> Result<(), Halt> {
        let before = std::mem::replace(&mut self.scratch.registers[register as usize], value);
        self.push(Frame::Register { register, before })
    }

    /// Where a counted repeat goes on.
    fn count(&mut self, count: &Count, exit: Place, position: usize) -> Result<Place, Halt> {
        let rounds = self.scratch.registers[count.register as usize];
        let position = position as u32;
        if rounds >= count.max {
            return Ok(exit);
        }
        if rounds >= count.min {
            if !count.greedy {
                return self.count_lazily(count, exit, position);
            }
            self.push(Frame::Way { place: exit, position })?;
        }
        self.set_register(count.register, rounds.saturating_add(1))?;
        Ok(count.body)
    }

    /// One more round only if what comes after fails. The round's number is noted below the way to it.
    fn count_lazily(&mut self, count: &Count, exit: Place, position: u32) -> Result<Place, Halt> {
        let rounds = self.scratch.registers[count.register as usize];
        self.set_register(count.register, rounds.saturating_add(1))?;
        self.push(Frame::Way { place: count.body, position })?;
        Ok(exit)
    }

    // ---- characters

    #[inline]
    fn has(&self, probe: Probe, byte: u8) -> bool {
        self.program.tables[usize::from(probe.table)][usize::from(byte)] & probe.mask != 0
    }

    fn char_at(&self, position: usize) -> Option<char> {
        self.subject.get(position..)?.chars().next()
    }

    fn char_before(&self, position: usize) -> Option<char> {
        self.subject.get(..position)?.chars().next_back()
    }

    fn back(&self, position: usize, count: u32) -> Option<usize> {
        let before = self.subject.get(..position)?;
        match count {
            0 => Some(position),
            _ => before.char_indices().rev().nth(count as usize - 1).map(|(at, _)| at),
        }
    }

    /// Counts long runs as steps.
    #[inline]
    fn ran(&mut self, length: usize) -> Result<(), Halt> {
        if length < RUN_BYTES_PER_STEP {
            return Ok(());
        }
        self.budget.spend(u32::try_from(length / RUN_BYTES_PER_STEP).unwrap_or(u32::MAX))
    }

    /// The end of the bytes of a set from a position on.
    #[inline]
    fn star(&mut self, probe: Probe, position: usize) -> Result<usize, Halt> {
        let table = &self.program.tables[usize::from(probe.table)];
        let rest = &self.subject.as_bytes()[position..];
        let length = rest.iter().position(|byte| table[usize::from(*byte)] & probe.mask == 0);
        let length = length.unwrap_or(rest.len());
        self.ran(length)?;
        Ok(position + length)
    }

    /// The position behind one character of a run.
    #[inline]
    fn character(&self, run: &Run, position: usize) -> Option<usize> {
        let byte = *self.subject.as_bytes().get(position)?;
        match run.kind {
            Kind::Mixed(set) => {
                let c = self.char_at(position)?;
                self.program.sets[usize::from(set)].contains(c).then(|| position + c.len_utf8())
            }
            _ if !self.has(run.probe, byte) => None,
            Kind::Ascii => Some(position + 1),
            Kind::Wide => Some(position + width(byte)),
        }
    }

    /// Where a run has its least number of characters.
    fn least(&self, run: &Run, position: usize) -> Option<usize> {
        (0..run.min).try_fold(position, |position, _| self.character(run, position))
    }

    /// Where a run has its least number of characters, and where it ends at the latest.
    #[inline]
    fn span(&mut self, run: &Run, position: usize) -> Result<Option<(usize, usize)>, Halt> {
        let text = self.subject.as_bytes();
        if run.kind == Kind::Ascii {
            let table = &self.program.tables[usize::from(run.probe.table)];
            let rest = &text[position..];
            let most = rest.len().min(run.max as usize);
            let length = rest[..most].iter().position(|byte| table[usize::from(*byte)] & run.probe.mask == 0);
            let length = length.unwrap_or(most);
            if length < run.min as usize {
                return Ok(None);
            }
            self.ran(length)?;
            return Ok(Some((position + run.min as usize, position + length)));
        }
        let Some(low) = self.least(run, position) else { return Ok(None) };
        if run.max == INFINITE && run.everything {
            return Ok(Some((low, text.len())));
        }
        if run.max == INFINITE && run.kind == Kind::Wide {
            return Ok(Some((low, self.star(run.probe, low)?)));
        }
        let mut end = low;
        for _ in run.min..run.max {
            match self.character(run, end) {
                Some(behind) => end = behind,
                None => break,
            }
        }
        self.ran(end - position)?;
        Ok(Some((low, end)))
    }

    /// The last place between `low` and `high` where a run may end for what follows it.
    #[inline]
    fn give_back(&self, run: &Run, low: usize, high: usize) -> Option<usize> {
        let text = self.subject.as_bytes();
        if let Some(byte) = run.follow_byte {
            let end = text.len().min(high + 1);
            return memrchr(byte, text.get(low..end)?).map(|at| low + at);
        }
        let table = &self.program.tables[usize::from(run.follow.table)];
        let may_end = |at: &usize| {
            table[symbol(text, *at)] & run.follow.mask != 0
                && text.get(*at).is_none_or(|byte| byte & 0xC0 != 0x80)
        };
        (low..=high).rev().find(may_end)
    }

    /// The first place at or after `position` where a run may end for what follows it, and the characters up to there.
    fn take_more(&mut self, run: &Run, position: usize, count: u32) -> Result<Option<(usize, u32)>, Halt> {
        let text = self.subject.as_bytes();
        if let (Some(byte), true, INFINITE) = (run.follow_byte, run.everything, run.max) {
            let found = memchr(byte, &text[position..]);
            self.ran(found.unwrap_or(text.len() - position))?;
            return Ok(found.map(|length| (position + length, count)));
        }
        let table = &self.program.tables[usize::from(run.follow.table)];
        let (mut end, mut count) = (position, count);
        while table[symbol(text, end)] & run.follow.mask == 0 {
            if count == run.max {
                return Ok(None);
            }
            let Some(behind) = self.character(run, end) else { return Ok(None) };
            end = behind;
            count = if run.max == INFINITE { count } else { count + 1 };
        }
        self.ran(end - position)?;
        Ok(Some((end, count)))
    }

    // ---- conditions

    fn holds(&self, assert: Assert, position: usize) -> bool {
        let text = self.subject.as_bytes();
        let before = || position.checked_sub(1).map(|at| text[at]);
        match assert {
            Assert::TextStart => position == 0,
            Assert::TextEnd => position == text.len(),
            Assert::SearchStart => position == self.origin,
            // At the very end no line begins.
            Assert::LineStart => match before() {
                None => true,
                Some(byte) => byte == b'\n' && position < text.len(),
            },
            Assert::LineEnd => text.get(position).is_none_or(|byte| *byte == b'\n'),
            Assert::TextEndOrNewline => {
                position == text.len() || (text[position] == b'\n' && position + 1 == text.len())
            }
            Assert::WordBoundary | Assert::AfterWord | Assert::AfterOther => self.at_word_boundary(position),
            Assert::NoWordBoundary => !self.at_word_boundary(position),
        }
    }

    fn at_word_boundary(&self, position: usize) -> bool {
        let text = self.subject.as_bytes();
        let before = match position.checked_sub(1).map(|at| text[at]) {
            None => false,
            Some(byte) if byte < 0x80 => is_ascii_word(byte),
            Some(_) => self.char_before(position).is_some_and(is_word),
        };
        let after = match text.get(position) {
            None => false,
            Some(&byte) if byte < 0x80 => is_ascii_word(byte),
            Some(_) => self.char_at(position).is_some_and(is_word),
        };
        before != after
    }
}

fn is_ascii_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

fn is_word(c: char) -> bool {
    ONIG_ENCODING_UTF8.is_code_ctype(u32::from(c), ONIGENC_CTYPE_WORD)
}

/// The bytes of a character by its first one.
#[inline]
pub(super) fn width(first: u8) -> usize {
    match first {
        0..0x80 => 1,
        0x80..0xE0 => 2,
        0xE0..0xF0 => 3,
        _ => 4,
    }
}

/// The byte at a position as a place in a table.
#[inline]
fn symbol(text: &[u8], position: usize) -> usize {
    text.get(position).map_or(END, |byte| usize::from(*byte))
}
