//! A section as a flat list of steps.
//!
//! Every block of a section has a register that holds the slots of the events that are in it. A branch fills the
//! registers of its two sides from the one it stands in; a plugin works on the register of its block. What a plugin adds
//! or cancels is added to, or taken from, that register and the ones of all blocks around it.

use crate::condition::{CONDITION_FAILURE_TAG, Predicate};
use crate::parts::{Arm, If, Node};
use crate::program::{DeadEvent, FailedConditions};
use ferrostash_event::{Batch, Event, Selection};
use std::sync::Arc;

/// The register of all events.
const ALL: usize = 0;

/// One step of a section.
#[derive(Clone, Debug)]
pub(crate) enum Step {
    /// A plugin, by its number.
    Plugin { plugin: usize, scope: Scope },
    /// A condition.
    Branch { predicate: Arc<Predicate>, scope: Scope, then: usize, otherwise: usize },
}

/// The registers of a block and of those around it, innermost first.
#[derive(Clone, Debug)]
pub(crate) struct Scope(Arc<[usize]>);

/// A section's steps, and its plugins by number.
pub(crate) struct Section<P> {
    pub(crate) steps: Vec<Step>,
    pub(crate) plugins: Vec<P>,
    pub(crate) registers: usize,
}

/// The slots in each register.
#[derive(Debug, Default)]
pub(crate) struct Registers(Vec<Selection>);

impl<P> Section<P> {
    pub(crate) fn new(nodes: Vec<Node<P>>) -> Section<P> {
        let mut section = Section { steps: Vec::new(), plugins: Vec::new(), registers: ALL + 1 };
        section.block(nodes, &Scope([ALL].into()));
        section
    }

    fn block(&mut self, nodes: Vec<Node<P>>, scope: &Scope) {
        for node in nodes {
            match node {
                Node::Plugin(plugin) => {
                    self.steps.push(Step::Plugin { plugin: self.plugins.len(), scope: scope.clone() });
                    self.plugins.push(plugin);
                }
                Node::If(branch) => self.branch(branch, scope),
            }
        }
    }

    fn branch(&mut self, branch: If<P>, scope: &Scope) {
        let mut undecided = scope.clone();
        for Arm { predicate, body } in branch.arms {
            let (then, otherwise) = (self.register(), self.register());
            self.steps.push(Step::Branch { predicate, scope: undecided, then, otherwise });
            self.block(body, &scope.within(then));
            undecided = scope.within(otherwise);
        }
        self.block(branch.otherwise, &undecided);
    }

    fn register(&mut self) -> usize {
        self.registers += 1;
        self.registers - 1
    }
}

impl Scope {
    fn within(&self, register: usize) -> Scope {
        Scope([register].iter().chain(self.0.iter()).copied().collect())
    }

    fn innermost(&self) -> usize {
        self.0.first().copied().unwrap_or(ALL)
    }
}

impl Registers {
    /// All empty but the first, which holds `all`.
    pub(crate) fn reset(&mut self, registers: usize, all: Selection) {
        self.0.clear();
        self.0.resize_with(registers.max(1), Selection::none);
        if let Some(register) = self.0.get_mut(ALL) {
            *register = all;
        }
    }

    /// The slots that a step in `scope` works on, taken out until they are put back.
    pub(crate) fn take(&mut self, scope: &Scope) -> Selection {
        self.0.get_mut(scope.innermost()).map(std::mem::take).unwrap_or_default()
    }

    /// Puts back what [`Registers::take`] gave.
    pub(crate) fn put_back(&mut self, scope: &Scope, selection: Selection) {
        self.set(scope.innermost(), selection);
    }

    fn set(&mut self, register: usize, selection: Selection) {
        if let Some(slots) = self.0.get_mut(register) {
            *slots = selection;
        }
    }

    /// The slots of the first side of a branch, and all that it was asked about.
    pub(crate) fn sides(&self, scope: &Scope, then: usize) -> Option<(&Selection, &Selection)> {
        self.0.get(then).zip(self.0.get(scope.innermost()))
    }

    /// Adds a new event to the block and those around it.
    pub(crate) fn insert(&mut self, scope: &Scope, slot: usize) {
        self.each(scope, |register| register.insert(slot));
    }

    /// Takes a cancelled event out of the block and those around it.
    pub(crate) fn remove(&mut self, scope: &Scope, slot: usize) {
        self.each(scope, |register| register.remove(slot));
    }

    fn each(&mut self, scope: &Scope, mut change: impl FnMut(&mut Selection)) {
        for register in scope.0.iter() {
            if let Some(register) = self.0.get_mut(*register) {
                change(register);
            }
        }
    }

    /// Fills the registers of both sides. Events without an answer take the second side, or leave as dead ones.
    pub(crate) fn branch(&mut self, step: &Branching<'_>, events: &mut impl Slots, failed: &mut Failed<'_>) {
        let asked = self.take(step.scope);
        let (mut then, mut otherwise) = (Selection::none(), Selection::none());
        let mut gone = Vec::new();
        for slot in asked.iter() {
            let Some(event) = events.slot(slot) else { continue };
            match step.predicate.ask(event, failed.scratch) {
                Ok(true) => then.insert(slot),
                Ok(false) => otherwise.insert(slot),
                Err(reason) => {
                    step.predicate.warn(&reason);
                    match failed.policy {
                        FailedConditions::Tag => {
                            event.tag(CONDITION_FAILURE_TAG);
                            otherwise.insert(slot);
                        }
                        FailedConditions::DeadLetter => {
                            failed.dead.push(DeadEvent::of_condition(event.clone(), &reason));
                            event.cancel();
                            gone.push(slot);
                        }
                    }
                }
            }
        }
        self.put_back(step.scope, asked);
        gone.into_iter().for_each(|slot| self.remove(step.scope, slot));
        self.set(step.then, then);
        self.set(step.otherwise, otherwise);
    }
}

/// The fields of [`Step::Branch`].
pub(crate) struct Branching<'a> {
    pub(crate) predicate: &'a Predicate,
    pub(crate) scope: &'a Scope,
    pub(crate) then: usize,
    pub(crate) otherwise: usize,
}

/// What happens to events about which a condition has no answer.
pub(crate) struct Failed<'a> {
    pub(crate) policy: FailedConditions,
    pub(crate) dead: &'a mut Vec<DeadEvent>,
    pub(crate) scratch: &'a mut String,
}

/// Events by slot.
pub(crate) trait Slots {
    fn slot(&mut self, slot: usize) -> Option<&mut Event>;
}

impl Slots for Batch {
    fn slot(&mut self, slot: usize) -> Option<&mut Event> {
        self.get_mut(slot)
    }
}

impl Slots for Vec<Event> {
    fn slot(&mut self, slot: usize) -> Option<&mut Event> {
        self.get_mut(slot)
    }
}
