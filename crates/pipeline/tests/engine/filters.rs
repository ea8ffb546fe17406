//! What a program does with a batch; no runtime is needed.

use crate::fake::{message_of, probe};
use crate::pipe::{messages, program, run};
use ferrostash_event::{Event, FieldRef, Origin};
use ferrostash_pipeline::{CONDITION_FAILURE_TAG, FailedConditions, Outcome};
use std::collections::HashSet;

const TAG: FailedConditions = FailedConditions::Tag;

fn routed(outcome: &Outcome) -> Vec<Vec<String>> {
    let event = |slot: usize| message_of(&outcome.events[slot]);
    outcome.routes.iter().map(|route| route.iter().map(event).collect()).collect()
}

#[test]
fn branches_keep_the_order_of_events() {
    let text = "filter {
        if [message] == 'a' { mark { with => 1 } }
        else if [message] == 'b' { mark { with => 2 } }
        else { if [message] == 'c' { mark { with => 3 } } else { mark { with => 4 } } }
        mark { with => '.' }
    }";
    for ordered in [false, true] {
        let mut program = program(text, ordered, TAG);
        assert_eq!(
            messages(&run(&mut program, &["b", "a", "d", "c", "a"])),
            ["b2.", "a1.", "d4.", "c3.", "a1."]
        );
    }
}

#[test]
fn new_events_go_on_behind_their_filter_and_stand_behind_the_one_they_came_from() {
    let text = "filter {
        mark { with => 'x' }
        if [message] == 'ax' { copy {} mark { with => 'y' } if [message] == 'ax-1y' { mark { with => 'z' } } }
        else { mark { with => 'n' } }
        mark { with => '.' }
    }";
    // One event at a time, those for which a condition holds come before those for which it does not.
    let orders =
        [(false, ["axy.", "ax-1yz.", "ax-2y.", "bxn."]), (true, ["ax-1yz.", "axy.", "ax-2y.", "bxn."])];
    for (ordered, expected) in orders {
        let mut program = program(text, ordered, TAG);
        let outcome = run(&mut program, &["a", "b"]);
        assert_eq!(messages(&outcome), expected);
        assert_eq!(outcome.created, 2);
    }
}

#[test]
fn new_events_have_origins_of_their_own_which_a_second_run_gives_again() {
    let origins = || {
        let mut program = program("filter { copy {} copy { with => '+' } }", false, TAG);
        let mut event = Event::from_message("a", ferrostash_event::Timestamp::now());
        event.set_origin(Some(Origin::new(1, 2, b"a")));
        let outcome = program.run(vec![event, Event::new()]);
        outcome.events.iter().map(Event::origin).collect::<Vec<_>>()
    };
    let first = origins();
    assert_eq!(first, origins());
    let known: HashSet<String> = first.iter().flatten().map(|origin| origin.id()).collect();
    assert_eq!((first.len(), known.len()), (18, 9), "those of an event without origin have none");
}

#[test]
fn copies_of_copies() {
    let mut program = program("filter { copy {} copy { with => '+' } }", false, TAG);
    let expected = [
        "a", "a+1", "a+2", "a-1", "a-1+1", "a-1+2", "a-2", "a-2+1", "a-2+2", "b", "b+1", "b+2", "b-1",
        "b-1+1", "b-1+2", "b-2", "b-2+1", "b-2+2",
    ];
    assert_eq!(messages(&run(&mut program, &["a", "b"])), expected);
}

#[test]
fn cancelled_events_are_seen_by_nobody() {
    let text = "filter { if [message] == 'a' { cancel {} boom { at => 'a' } } boom { at => 'a' } copy {} }";
    let mut program = program(text, false, TAG);
    assert_eq!(messages(&run(&mut program, &["a", "b"])), ["b", "b-1", "b-2"]);
}

#[test]
fn ordered_takes_one_event_through_all_filters_before_the_next() {
    for (ordered, expected) in [(true, ["a1", "a2", "b1", "b2"]), (false, ["a1", "b1", "a2", "b2"])] {
        let name = format!("ordered-{ordered}");
        let text = format!(
            "filter {{ look {{ name => '{name}' with => 1 }} look {{ name => '{name}' with => 2 }} }}"
        );
        run(&mut program(&text, ordered, TAG), &["a", "b"]);
        assert_eq!(probe(&name).written(), expected);
    }
}

#[test]
fn outputs_get_what_their_conditions_choose() {
    let text = "output {
        sink { name => all }
        if [message] =~ /a/ { sink { name => 'a' } } else if [message] == 'b' { sink { name => 'b' } } else { sink { name => rest } }
    }";
    let mut program = program(text, false, TAG);
    let outcome = run(&mut program, &["a", "b", "c", "xa"]);
    assert_eq!(routed(&outcome), [vec!["a", "b", "c", "xa"], vec!["a", "xa"], vec!["b"], vec!["c"]]);
}

#[test]
fn flushed_events_go_on_behind_their_filter_inside_its_branch() {
    let text = "filter {
        mark { with => '1' }
        if [message] == 'a1' { keep {} mark { with => '2' } } else { mark { with => 'n' } }
        mark { with => '3' }
    } output { if [message] =~ /!/ { sink { name => flushed } } }";
    let mut program = program(text, false, TAG);
    assert_eq!(messages(&run(&mut program, &["a", "b"])), ["a123", "b1n3"]);
    assert!(program.flush(false).events.is_empty(), "it is flushed at the end only");
    let outcome = program.flush(true);
    assert_eq!(messages(&outcome), ["a1!23"]);
    assert_eq!(routed(&outcome), [["a1!23"]]);
    assert!(program.flush(true).events.is_empty());
}

#[test]
fn what_a_filter_flushes_passes_the_next_one_before_that_is_flushed() {
    let mut program = program("filter { keep { often => true } keep { often => true } }", false, TAG);
    assert!(program.flushes_periodically());
    run(&mut program, &["a"]);
    assert_eq!(messages(&program.flush(false)), ["a~", "a~", "a~~"]);
}

#[test]
fn periodic_flush_is_an_option_of_every_filter() {
    let mut program = program("filter { keep { periodic_flush => true } }", false, TAG);
    assert!(program.flushes_periodically());
    run(&mut program, &["a"]);
    assert_eq!(messages(&program.flush(false)), ["a~"]);
}

fn tags(event: &Event) -> bool {
    event
        .get(&FieldRef::literal("tags"))
        .and_then(|tags| tags.as_array())
        .is_some_and(|tags| tags.iter().any(|tag| tag.as_str() == Some(CONDITION_FAILURE_TAG)))
}

#[test]
fn an_event_without_an_answer_is_tagged_and_goes_on() {
    let text =
        "filter { if [n] > 1 { mark { with => 'y' } } else { mark { with => 'n' } } mark { with => '.' } }";
    let mut program = program(text, false, TAG);
    let mut events = vec![crate::fake::event("a"), crate::fake::event("b")];
    events[1].set(&FieldRef::literal("n"), 2).unwrap();
    let outcome = program.run(events);
    assert_eq!(messages(&outcome), ["an.", "by."]);
    assert!(tags(&outcome.events[0]) && !tags(&outcome.events[1]));
}

#[test]
fn or_it_goes_to_the_dead_letter_queue() {
    let text = "filter { if [message] == 'b' { if [n] > 1 { mark { with => 'y' } } } mark { with => '.' } }
        output { if [m] < 1 { sink { name => 's' } } else { sink { name => 't' } } }";
    let mut program = program(text, false, FailedConditions::DeadLetter);
    let mut events = vec![crate::fake::event("a"), crate::fake::event("b"), crate::fake::event("c")];
    events[0].set(&FieldRef::literal("m"), 2).unwrap();
    let outcome = program.run(events);
    let dead: Vec<_> =
        outcome.dead.iter().map(|dead| (message_of(&dead.event), dead.reason.as_str())).collect();
    let reason = "condition evaluation error, Unexpected conditional input combination of \
        'class org.jruby.RubyNil:' (left) and 'class org.jruby.RubyFixnum:1' (right)";
    assert_eq!(dead, [("b".to_owned(), reason), ("c.".to_owned(), reason)]);
    assert_eq!(routed(&outcome), [vec![], vec!["a."]]);
}

#[test]
fn plugins_are_counted_once_per_batch() {
    let mut built =
        crate::pipe::built_on(&Default::default(), "main", "filter { copy {} cancel {} keep {} }");
    let stats = built.stats();
    let (mut program, _) = ferrostash_pipeline::Program::new(&mut built, false, TAG);
    run(&mut program, &["a", "b"]);
    let counts: Vec<_> =
        stats.filters.iter().map(|f| (f.metrics.events_in.get(), f.metrics.events_out.get())).collect();
    assert_eq!(counts, [(2, 6), (6, 0), (0, 0)]);
}
