//! Limits in bytes hold only if events weigh what they take. In a process of its own: it empties the store of used arenas.

use ferrostash_event::{Event, Timestamp};

#[test]
fn events_weigh_what_they_take() {
    // More than the store of used arenas holds.
    const COUNT: usize = 10_000;
    let mut events = Vec::with_capacity(COUNT);
    let texts: Vec<String> = (0..COUNT).map(|n| "x".repeat(n % 1000)).collect();
    let taken = allocation_counter::measure(|| {
        events.extend(texts.iter().map(|text| Event::from_message(text, Timestamp::EPOCH)));
    });
    let taken = taken.bytes_current as usize + COUNT * size_of::<Event>();
    let weight: usize = events.iter().map(Event::byte_size).sum();
    assert!((weight..weight * 13 / 10).contains(&taken), "{taken} bytes, weighed as {weight}");
}
