//! From tree to program.
//!
//! The compiler works from the end to the beginning: each node is told where the program goes on after it and what may
//! come there. Knowing this it can often see that a choice is none: a run of characters that may not be followed by one
//! of its own has one end, and of two ways with different first bytes one is open. Such steps leave nothing to come
//! back to, and most expressions for log lines then hardly ever go back.

use std::collections::BTreeMap;

use super::bytes::{Bytes, Next};
use super::class::CharSet;
use super::first::{asserted, first, follow_of, with_inner};
use super::parse::Unsupported;
use super::program::{Count, INSTRUCTIONS_MAX, Instruction, Kind, Op, Place, Probe, Program, Run, Slot};
use super::simplify::one_character;
use super::tree::{Assert, INFINITE, Node, Repeat};

/// A repeat is written out when its copies are not larger than this together.
const WRITTEN_OUT_MAX: usize = 200;

/// The largest atomic group that is compiled twice.
const DECIDED_MAX: usize = 40;

/// Compiles an expression.
pub(super) fn compile(node: &Node) -> Result<Program, Unsupported> {
    let mut compiler = Compiler::default();
    let entry = compiler.whole(node)?;
    let mut program = compiler.program;
    if program.code.len() > INSTRUCTIONS_MAX {
        return Err(Unsupported("a very large expression"));
    }
    program.entry = entry.place;
    program.first = entry.next.any();
    Ok(program)
}

/// What comes after a node.
#[derive(Clone, Copy)]
struct Rest {
    place: Place,
    next: Next,
}

/// An alternation or repeat that has been compiled.
struct Known<'n> {
    node: &'n Node,
    next: Next,
    strict: bool,
    inside: usize,
    /// What came of it, and the choices in it.
    way: Rest,
    choices: usize,
    /// Instructions once it was compiled.
    code: usize,
}

#[derive(Default)]
struct Compiler<'n> {
    program: Program,
    /// Sets in tables, pairs of them in the same one.
    probes: BTreeMap<(Bytes, Option<Bytes>), (Probe, u8)>,
    /// Bits used in the last table.
    bits: u32,
    /// Instructions that leave something to come back to.
    choices: usize,
    /// Whether an atomic group is compiled as if it were none, see [`Compiler::atomic`].
    strict: bool,
    /// How many nodes are around inside of which registers matter.
    inside: usize,
    /// How many nodes are around that may match without this one, or match it several times.
    maybe: usize,
    /// By the place that comes after it, for what is written several times to be compiled once.
    known: BTreeMap<Place, Vec<Known<'n>>>,
}

impl<'n> Compiler<'n> {
    fn whole(&mut self, node: &'n Node) -> Result<Rest, Unsupported> {
        let end = self.emit(Op::Match, 0);
        self.node(node, Rest { place: end, next: Next::SURE })
    }

    fn emit(&mut self, op: Op, next: Place) -> Place {
        let place = self.program.code.len() as Place;
        let mut instruction = Instruction::new(op, next);
        // What only goes on can note the position too.
        if let Some(after) = self.program.code.get(next as usize)
            && let (Op::Save(slot), Slot::NONE) = (after.op, after.save)
            && op.only_goes_on()
        {
            instruction.set_next(after.next());
            instruction.save = slot;
        }
        self.program.code.push(instruction);
        self.program.depends.push(self.inside > 0);
        place
    }

    fn set_op(&mut self, place: Place, op: Op) {
        if let Some(instruction) = self.program.code.get_mut(place as usize) {
            instruction.op = op;
        }
    }

    fn register(&mut self) -> u32 {
        self.program.registers += 1;
        self.program.registers as u32 - 1
    }

    fn node(&mut self, node: &'n Node, rest: Rest) -> Result<Rest, Unsupported> {
        if self.program.code.len() > INSTRUCTIONS_MAX - 600 {
            return Err(Unsupported("a very large expression"));
        }
        Ok(match node {
            Node::Empty => rest,
            Node::Literal(text) => self.literal(text, rest),
            Node::Set(set) => self.one(set, rest),
            Node::Concat(nodes) => {
                let mut rest = rest;
                for node in nodes.iter().rev() {
                    rest = self.node(node, rest)?;
                }
                rest
            }
            Node::Alt(nodes) => self.once(node, rest, |this| this.alternatives(nodes, rest))?,
            Node::Repeat(repeat) => match one_character(&repeat.node) {
                Some(set) => self.run(&set, repeat, rest),
                None => self.once(node, rest, |this| this.repeat(repeat, rest))?,
            },
            Node::Capture(number, node) => {
                let slot =
                    |number| Slot::new(number, self.maybe == 0).ok_or(Unsupported("thousands of groups"));
                let (begin, end) = (slot(number * 2)?, slot(number * 2 + 1)?);
                let end = self.emit(Op::Save(end), rest.place);
                let body = self.node(node, Rest { place: end, ..rest })?;
                Rest { place: self.emit(Op::Save(begin), body.place), next: body.next }
            }
            Node::Group(node, _) => self.node(node, rest)?,
            Node::Atomic(node) => self.atomic(node, rest)?,
            Node::Ahead { negate, node } => self.perhaps(|this| this.ahead(*negate, node, rest))?,
            Node::Behind { negate, alternatives } => self.behind(*negate, alternatives, rest)?,
            Node::Assert(assert) => self.assert(*assert, rest),
        })
    }

    /// Compiles what a match may do without.
    fn perhaps(
        &mut self,
        build: impl FnOnce(&mut Self) -> Result<Rest, Unsupported>,
    ) -> Result<Rest, Unsupported> {
        self.maybe += 1;
        let way = build(self);
        self.maybe -= 1;
        way
    }

    /// Compiles a node, unless the same one was compiled before for the same that comes after it.
    fn once(
        &mut self,
        node: &'n Node,
        rest: Rest,
        build: impl FnOnce(&mut Self) -> Result<Rest, Unsupported>,
    ) -> Result<Rest, Unsupported> {
        let (strict, inside, next) = (self.strict, self.inside, rest.next);
        let same = |known: &&Known<'_>| {
            (known.strict, known.inside) == (strict, inside) && known.next == next && known.node == node
        };
        if let Some(known) = self.known.get(&rest.place).and_then(|known| known.iter().find(same)) {
            self.choices += known.choices;
            return Ok(known.way);
        }
        let choices = self.choices;
        let way = self.perhaps(build)?;
        let (choices, code) = (self.choices - choices, self.program.code.len());
        let known = Known { node, next, strict, inside, way, choices, code };
        self.known.entry(rest.place).or_default().push(known);
        Ok(way)
    }

    // ---- characters

    fn literal(&mut self, text: &[u8], rest: Rest) -> Rest {
        let op = match text {
            [] => return rest,
            [byte] => Op::Byte(*byte),
            _ => {
                let at = self.program.texts.len() as u32;
                self.program.texts.extend_from_slice(text);
                Op::Text { at, length: text.len() as u32 }
            }
        };
        let place = self.emit(op, rest.place);
        Rest { place, next: Next::from(text.first().map_or(Bytes::ALL, |byte| Bytes::of(*byte))) }
    }

    fn one(&mut self, set: &CharSet, rest: Rest) -> Rest {
        let leading = Bytes::leading(set);
        let op = match self.kind(set) {
            Kind::Ascii => Op::Ascii(self.probe(leading)),
            Kind::Wide => Op::Wide(self.probe(leading)),
            Kind::Mixed(set) => Op::Mixed(set),
        };
        Rest { place: self.emit(op, rest.place), next: Next::from(leading) }
    }

    fn kind(&mut self, set: &CharSet) -> Kind {
        if set.is_ascii() {
            return Kind::Ascii;
        }
        if set.has_all_high() {
            return Kind::Wide;
        }
        Kind::Mixed(self.mixed(set))
    }

    fn mixed(&mut self, set: &CharSet) -> u16 {
        let sets = &mut self.program.sets;
        let at = sets.iter().position(|known| known == set).unwrap_or_else(|| {
            sets.push(set.clone());
            sets.len() - 1
        });
        at as u16
    }

    fn probe(&mut self, set: Bytes) -> Probe {
        self.entry(set, None).0
    }

    /// Two sets in the same table: the first one's place, and the mask of the second.
    fn pair(&mut self, first: Bytes, second: Bytes) -> (Probe, u8) {
        self.entry(first, Some(second))
    }

    fn entry(&mut self, first: Bytes, second: Option<Bytes>) -> (Probe, u8) {
        if let Some(known) = self.probes.get(&(first, second)) {
            return *known;
        }
        let needed = 1 + u32::from(second.is_some());
        if self.program.tables.is_empty() || self.bits + needed > 8 {
            self.program.tables.push([0; 257]);
            self.bits = 0;
        }
        let (bit, other) = (1_u8 << self.bits, if second.is_some() { 2_u8 << self.bits } else { 0 });
        self.bits += needed;
        if let Some(table) = self.program.tables.last_mut() {
            first.mark(table, bit);
            second.inspect(|set| set.mark(table, other));
        }
        let entry = (Probe { table: self.program.tables.len() as u16 - 1, mask: bit }, other);
        self.probes.insert((first, second), entry);
        entry
    }

    // ---- ways

    /// `first`, else `second`.
    fn fork(&mut self, first: Rest, second: Rest) -> Rest {
        if first.next.sure {
            return first;
        }
        let (one, two) = (first.next.any(), second.next.any());
        let (probe, next_mask) = self.pair(one, two);
        let op = self.fork_op(&first, probe, next_mask);
        self.choices += usize::from(one.meets(&two) || self.is_taken_early(&first));
        Rest { place: self.emit(op, second.place), next: first.next.or(second.next) }
    }

    /// The step for a choice. The first way begins behind its first character where the choice has seen all of it.
    fn fork_op(&self, first: &Rest, probe: Probe, next_mask: u8) -> Op {
        let (table, first_mask) = (probe.table, probe.mask);
        let taken =
            |step: &&Instruction| step.save == Slot::NONE && self.takes_one_of(step.op, &first.next.any());
        match self.program.code.get(first.place as usize).filter(taken) {
            Some(step) => Op::ForkTake { first: step.next(), table, first_mask, next_mask },
            None => Op::Fork { first: first.place, table, first_mask, next_mask },
        }
    }

    /// Whether a step takes each of these bytes, and no more than that.
    fn takes_one_of(&self, op: Op, bytes: &Bytes) -> bool {
        match op {
            Op::Byte(byte) => *bytes == Bytes::of(byte),
            Op::Ascii(probe) => {
                let table = self.program.tables.get(usize::from(probe.table));
                table.is_some_and(|table| bytes.is_marked(table, probe.mask))
            }
            _ => false,
        }
    }

    /// Whether an atomic group might take this way to its end where what follows wants another one.
    fn is_taken_early(&self, way: &Rest) -> bool {
        self.strict && way.next.through
    }

    fn alternatives(&mut self, nodes: &'n [Node], rest: Rest) -> Result<Rest, Unsupported> {
        let mut ways = Vec::with_capacity(nodes.len());
        for node in nodes {
            let way = self.node(node, rest)?;
            ways.push(way);
            // Nothing after it is ever tried.
            if way.next.sure {
                break;
            }
        }
        match ways.as_slice() {
            [] => Ok(rest),
            [one] => Ok(*one),
            [one, two] => Ok(self.fork(*one, *two)),
            _ => self.dispatch(&ways),
        }
    }

    fn dispatch(&mut self, ways: &[Rest]) -> Result<Rest, Unsupported> {
        let fail = self.emit(Op::Fail, 0);
        let early = ways.iter().rev().skip(1).any(|way| self.is_taken_early(way));
        self.choices += usize::from(early);
        let mut places = Vec::new();
        for (bytes, open) in open_ways(ways) {
            let place = if open.is_empty() { fail } else { self.chain(&open) };
            places.push((bytes, u16::try_from(place).map_err(|_| Unsupported("a very large expression"))?));
        }
        // Most bytes belong to one set, usually those that fail.
        let most = places.iter().max_by_key(|(bytes, _)| bytes.count()).map_or(0, |(_, place)| *place);
        let mut table = [most; 257];
        for (bytes, place) in places.into_iter().filter(|(_, place)| *place != most) {
            bytes.fill(&mut table, place);
        }
        self.program.dispatches.push(table);
        let place = self.emit(Op::Dispatch(self.program.dispatches.len() as u32 - 1), fail);
        let next = ways.iter().fold(Next::never(), |all, way| all.or(way.next));
        Ok(Rest { place, next })
    }

    /// Ways one after the other.
    fn chain(&mut self, places: &[Place]) -> Place {
        let Some((last, before)) = places.split_last() else { return 0 };
        self.choices += before.len();
        before.iter().rev().fold(*last, |next, &first| self.emit(Op::Try { first }, next))
    }

    // ---- repeats

    fn repeat(&mut self, repeat: &'n Repeat, rest: Rest) -> Result<Rest, Unsupported> {
        let Repeat { node, min, max, greedy } = repeat;
        let copies = if *max == INFINITE { *min } else { *max };
        let size = node.size().saturating_mul(copies as usize);
        if copies > 1 && size > WRITTEN_OUT_MAX {
            return self.counted(repeat, rest);
        }
        let mut after = if *max == INFINITE { self.endless(node, *greedy, rest)? } else { rest };
        if *max != INFINITE {
            for _ in *min..*max {
                let body = self.node(node, after)?;
                after = self.choose(body, rest, *greedy);
            }
        }
        for _ in 0..*min {
            after = self.node(node, after)?;
        }
        Ok(after)
    }

    /// One more, or what comes after.
    fn choose(&mut self, body: Rest, rest: Rest, greedy: bool) -> Rest {
        if greedy { self.fork(body, rest) } else { self.fork(rest, body) }
    }

    /// `(?:...)*`
    fn endless(&mut self, node: &'n Node, greedy: bool, rest: Rest) -> Result<Rest, Unsupported> {
        if !greedy && rest.next.sure {
            return Ok(rest);
        }
        // What stands before the second round is not known.
        let inside = first(node, Next::never()).or(rest.next).blurred();
        let head = self.emit(Op::Fail, rest.place);
        let nullable = node.is_nullable();
        self.inside += usize::from(nullable);
        let (end, register) = if nullable {
            let register = self.register();
            (self.emit(Op::Check { register, exit: rest.place }, head), register)
        } else {
            (head, 0)
        };
        let after = Rest { place: end, next: inside };
        let mut body = self.node(node, after)?;
        self.inside -= usize::from(nullable);
        if nullable {
            body.place = self.emit(Op::Mark { register }, body.place);
        }
        let (one, two) = if greedy { (body, rest) } else { (rest, body) };
        let (probe, next_mask) = self.pair(one.next.any(), two.next.any());
        let meet = one.next.any().meets(&two.next.any());
        self.choices += usize::from(meet || self.is_taken_early(&one));
        let fork = self.fork_op(&one, probe, next_mask);
        if let Some(instruction) = self.program.code.get_mut(head as usize) {
            *instruction = Instruction::new(fork, two.place);
        }
        Ok(Rest { place: head, next: body.next.or(rest.next) })
    }

    /// A repeat whose rounds are counted while matching.
    fn counted(&mut self, repeat: &'n Repeat, rest: Rest) -> Result<Rest, Unsupported> {
        let register = self.register();
        let inside = first(&repeat.node, Next::never()).or(rest.next).blurred().unsure();
        self.inside += 1;
        let head = self.emit(Op::Fail, rest.place);
        let body = self.node(&repeat.node, Rest { place: head, next: inside })?;
        self.inside -= 1;
        let Repeat { min, max, greedy, .. } = *repeat;
        self.program.counts.push(Count { register, min, max, greedy, body: body.place });
        self.set_op(head, Op::Count(self.program.counts.len() as u32 - 1));
        self.choices += 1;
        let next = if min == 0 { body.next.or(rest.next) } else { body.next };
        Ok(Rest { place: self.emit(Op::CountFrom { register }, head), next: next.unsure() })
    }

    /// Characters of one set.
    fn run(&mut self, set: &CharSet, repeat: &Repeat, rest: Rest) -> Rest {
        let Repeat { min, max, greedy, .. } = *repeat;
        let leading = Bytes::leading(set);
        let follow = follow_of(&leading, min, &rest.next);
        let next = if min == 0 { Next::from(leading).or(rest.next) } else { Next::from(leading) };
        let one_end = min == max || !leading.meets(&follow);
        if !greedy && min != max {
            self.choices += usize::from(self.is_taken_early(&rest));
        }
        if (min, max) == (0, 1) {
            if one_end && set.is_ascii() && !rest.next.sure {
                let op = Op::Optional(self.probe(leading));
                return Rest { place: self.emit(op, rest.place), next };
            }
            let one = self.one(set, rest);
            return self.choose(one, rest, greedy);
        }
        let place = if one_end || (greedy && rest.next.sure) {
            let op = self.span(set, leading, min, max);
            self.emit(op, rest.place)
        } else if rest.next.sure {
            // As few as possible is the least number.
            if min == 0 {
                return rest;
            }
            let op = self.span(set, leading, min, min);
            self.emit(op, rest.place)
        } else {
            self.choices += 1;
            let run = self.push_run(set, leading, min, max, follow);
            let op = if greedy { Op::Greedy(run) } else { Op::Lazy(run) };
            self.emit(op, rest.place)
        };
        Rest { place, next }
    }

    /// The step for as many characters as allowed.
    fn span(&mut self, set: &CharSet, leading: Bytes, min: u32, max: u32) -> Op {
        let kind = self.kind(set);
        if max == INFINITE && min <= 1 && kind == Kind::Wide {
            if *set == CharSet::all() {
                return Op::Rest { min: min as u8 };
            }
            let outside = Bytes::ALL.without(&with_inner(leading, kind)).without(&Bytes::AT_END);
            if let Some(few) = outside.few() {
                let byte = |at: usize| few.get(at).or(few.first()).copied().unwrap_or_default();
                let bytes = [byte(0), byte(1), byte(2)];
                return Op::Until { bytes, count: few.len() as u8, min: min as u8 };
            }
        }
        if max == INFINITE && min <= 1 && !matches!(kind, Kind::Mixed(_)) {
            // Bytes within a character are in the table too, so that a run need not know characters.
            let probe = self.probe(with_inner(leading, kind));
            return if min == 0 { Op::Star(probe) } else { Op::Plus(probe) };
        }
        match (kind, u8::try_from(min), u8::try_from(max)) {
            (Kind::Ascii, Ok(min), Ok(max)) => Op::Few { probe: self.probe(leading), min, max },
            _ => Op::Span(self.push_run(set, leading, min, max, Bytes::ALL)),
        }
    }

    fn push_run(&mut self, set: &CharSet, leading: Bytes, min: u32, max: u32, follow: Bytes) -> u32 {
        let kind = self.kind(set);
        let run = Run {
            probe: self.probe(with_inner(leading, kind)),
            kind,
            min,
            max,
            follow: self.probe(follow),
            follow_byte: follow.few().filter(|few| few.len() == 1).and_then(|few| few.first().copied()),
            everything: *set == CharSet::all(),
        };
        self.program.runs.push(run);
        self.program.runs.len() as u32 - 1
    }

    // ---- conditions

    fn assert(&mut self, assert: Assert, rest: Rest) -> Rest {
        let next = asserted(assert, rest.next);
        let (word, beyond) = (Bytes::WORD, Bytes::BEYOND);
        let op = match assert {
            // Beyond ASCII the bytes do not tell.
            Assert::AfterWord if next.after_word.meets(&beyond) => Op::Assert(Assert::WordBoundary),
            Assert::AfterOther if next.after_other.meets(&beyond) => Op::Assert(Assert::WordBoundary),
            Assert::AfterWord if !rest.next.after_word.meets(&word) => return Rest { next, ..rest },
            Assert::AfterOther if rest.next.after_other.is_within(&word) => return Rest { next, ..rest },
            Assert::AfterWord => Op::Peek { probe: self.probe(word), negate: true },
            Assert::AfterOther => Op::Peek { probe: self.probe(word), negate: false },
            _ => Op::Assert(assert),
        };
        Rest { place: self.emit(op, rest.place), next }
    }

    fn atomic(&mut self, node: &'n Node, rest: Rest) -> Result<Rest, Unsupported> {
        let next = first(node, rest.next);
        // Where what follows decides every choice, there is nothing to forget.
        if let Some(place) = self.decided(node, rest)? {
            return Ok(Rest { place, next });
        }
        let register = self.register();
        let strict = std::mem::replace(&mut self.strict, false);
        self.inside += 1;
        let leave = self.emit(Op::Leave { register, captures: node.has_captures() }, rest.place);
        let (choices, dispatches) = (self.choices, self.program.dispatches.len());
        let body = self.node(node, Rest { place: leave, next: Next::SURE })?;
        self.strict = strict;
        self.inside -= 1;
        if self.choices == choices {
            self.retarget(leave, rest.place, dispatches);
            let place = if body.place == leave { rest.place } else { body.place };
            return Ok(Rest { place, next });
        }
        self.choices = choices;
        Ok(Rest { place: self.emit(Op::Enter { register }, body.place), next })
    }

    /// Compiles an atomic group as if it were none, if no choice is left then.
    fn decided(&mut self, node: &'n Node, rest: Rest) -> Result<Option<Place>, Unsupported> {
        if node.size() > DECIDED_MAX {
            return Ok(None);
        }
        let strict = std::mem::replace(&mut self.strict, true);
        let (choices, code) = (self.choices, self.program.code.len());
        let next = Next { through: true, ..rest.next };
        let body = self.node(node, Rest { next, ..rest })?;
        self.strict = strict;
        if self.choices == choices {
            return Ok(Some(body.place));
        }
        self.choices = choices;
        self.program.code.truncate(code);
        self.program.depends.truncate(code);
        self.known.values_mut().for_each(|known| known.retain(|known| known.code <= code));
        Ok(None)
    }

    /// Makes what was emitted behind `old` and goes on there go on at `new`.
    fn retarget(&mut self, old: Place, new: Place, dispatches: usize) {
        let change = |place: &mut Place| {
            if *place == old {
                *place = new;
            }
        };
        for instruction in self.program.code.iter_mut().skip(old as usize + 1) {
            let mut next = instruction.next();
            change(&mut next);
            instruction.set_next(next);
            match &mut instruction.op {
                Op::Fork { first, .. } | Op::ForkTake { first, .. } | Op::Try { first } => change(first),
                Op::EnterNot { after, .. } => change(after),
                Op::Check { exit, .. } => change(exit),
                _ => {}
            }
        }
        for table in self.program.dispatches.iter_mut().skip(dispatches) {
            for target in table {
                if u32::from(*target) == old {
                    *target = new as u16;
                }
            }
        }
    }

    fn ahead(&mut self, negate: bool, node: &'n Node, rest: Rest) -> Result<Rest, Unsupported> {
        let place = rest.place;
        if let Some(set) = one_character(node).filter(|set| set.is_ascii() || set.has_all_high()) {
            let leading = Bytes::leading(&set);
            let probe = self.probe(leading);
            let allowed = if negate { Bytes::ALL.without(&leading) } else { leading };
            let place = self.emit(Op::Peek { probe, negate }, place);
            return Ok(Rest { place, next: rest.next.only(&allowed) });
        }
        let choices = self.choices;
        let rest = self.look(negate, node.has_captures(), rest, |this, leave| {
            this.node(node, Rest { place: leave, next: Next::SURE })
        })?;
        self.choices = choices;
        Ok(rest)
    }

    /// The frame of a look-around; `body` compiles what is in it, going on at a place.
    fn look(
        &mut self,
        negate: bool,
        captures: bool,
        rest: Rest,
        body: impl FnOnce(&mut Self, Place) -> Result<Rest, Unsupported>,
    ) -> Result<Rest, Unsupported> {
        let register = self.register();
        let strict = std::mem::replace(&mut self.strict, false);
        let looked = self.look_inside(register, negate, captures, rest, body);
        self.strict = strict;
        looked
    }

    fn look_inside(
        &mut self,
        register: u32,
        negate: bool,
        captures: bool,
        rest: Rest,
        body: impl FnOnce(&mut Self, Place) -> Result<Rest, Unsupported>,
    ) -> Result<Rest, Unsupported> {
        if negate {
            self.inside += 1;
            let leave = self.emit(Op::LeaveNot { register }, 0);
            let body = body(self, leave)?;
            self.inside -= 1;
            let mut place = self.emit(Op::EnterNot { register, after: rest.place }, body.place);
            let (one, two) = (body.next.any(), Bytes::ALL.without(&body.next.any()));
            if !two.is_empty() {
                let (probe, next_mask) = self.pair(one, two);
                let op = Op::Fork { first: place, table: probe.table, first_mask: probe.mask, next_mask };
                place = self.emit(op, rest.place);
            }
            return Ok(Rest { place, next: rest.next.unsure() });
        }
        // The second register holds the position.
        self.register();
        self.inside += 1;
        let leave = self.emit(Op::LeaveLook { register, captures }, rest.place);
        let body = body(self, leave)?;
        self.inside -= 1;
        let place = self.emit(Op::EnterLook { register }, body.place);
        let next = Next {
            after_word: rest.next.after_word & body.next.after_word,
            after_other: rest.next.after_other & body.next.after_other,
            ..rest.next.unsure()
        };
        Ok(Rest { place, next })
    }

    fn behind(
        &mut self,
        negate: bool,
        alternatives: &'n [(usize, Node)],
        rest: Rest,
    ) -> Result<Rest, Unsupported> {
        let sets: Option<Vec<CharSet>> = alternatives.iter().map(|(_, node)| one_character(node)).collect();
        if let Some(sets) = sets {
            let mut set = CharSet::default();
            sets.iter().for_each(|more| set.union(more));
            let op = if set.is_ascii() {
                Op::BehindAscii { probe: self.probe(Bytes::leading(&set)), negate }
            } else {
                Op::Behind { set: self.mixed(&set), negate }
            };
            return Ok(Rest { place: self.emit(op, rest.place), next: rest.next.unsure() });
        }
        let choices = self.choices;
        let looked = self.look(negate, false, rest, |this, leave| {
            let mut places = Vec::with_capacity(alternatives.len());
            for (length, node) in alternatives {
                let body = this.node(node, Rest { place: leave, next: Next::SURE })?;
                places.push(this.emit(Op::Back(*length as u32), body.place));
            }
            Ok(Rest { place: this.chain(&places), next: Next::from(Bytes::ALL) })
        })?;
        self.choices = choices;
        Ok(Rest { place: looked.place, next: rest.next.unsure() })
    }
}

/// Which ways are open for which bytes: sets without a byte in common, all of them together everything.
fn open_ways(ways: &[Rest]) -> Vec<(Bytes, Vec<Place>)> {
    let mut parts = vec![(Bytes::ALL, Vec::new())];
    for way in ways {
        let first = way.next.any();
        let mut closed = Vec::new();
        for (bytes, open) in &mut parts {
            let (inside, outside) = (*bytes & first, bytes.without(&first));
            if inside.is_empty() {
                continue;
            }
            if !outside.is_empty() {
                closed.push((outside, open.clone()));
            }
            *bytes = inside;
            open.push(way.place);
        }
        parts.append(&mut closed);
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::own::parse::parse;
    use crate::own::simplify::simplify;

    /// The steps on the way through a program that leave something to come back to.
    fn choices(text: &str) -> usize {
        let node = simplify(parse(text, false, true).unwrap().node);
        let mut compiler = Compiler::default();
        compiler.whole(&node).unwrap();
        compiler.choices
    }

    #[test]
    fn what_the_next_byte_decides_is_no_choice() {
        for text in [
            "[a-z]+ [0-9]+x",
            r"\b[a-z]+\b x",
            "a.*",
            "(?:GET|POST|HEAD) x",
            "-?[0-9]+(?:[.][0-9]+)? ",
            "(?>[+-]?(?:[0-9]+(?:[.][0-9]+)?|[.][0-9]+)) ",
            "(?:[a-z]+ )*[0-9]",
            "\"[^\"]*?\"",
        ] {
            assert_eq!(choices(text), 0, "{text}");
        }
    }

    #[test]
    fn what_is_open_stays_a_choice() {
        for text in ["[a-z]+a", ".*x", "a?a", "(?:a|ab)b", "(?:ab)*a", "[0-9]*?1", r"[a-z]*\b"] {
            assert!(choices(text) > 0, "{text}");
        }
    }

    #[test]
    fn what_is_written_twice_is_compiled_once() {
        let size =
            |text: &str| compile(&simplify(parse(text, false, true).unwrap().node)).unwrap().code.len();
        let (part, copies) = ("(?:bc|de|fg)", 3);
        let all: Vec<String> = (0..copies).map(|digit| format!("{digit}{part}")).collect();
        // A digit each, and what chooses between them.
        assert_eq!(size(&all.join("|")), size(part) + copies + 2);
    }

    #[test]
    fn too_many_instructions_are_refused() {
        let node = simplify(parse(&"(?:[ab]c?[bc]d?){20}".repeat(1_000), false, false).unwrap().node);
        assert_eq!(compile(&node).err(), Some(Unsupported("a very large expression")));
    }
}
