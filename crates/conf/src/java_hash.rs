//! The order of hashes.
//!
//! Logstash copies every hash of an option into a Java `HashMap` while it replaces variables, and plugins such as
//! `mutate { rename => … }` then work in that map's order. The order is a function of the keys, so it is computed.

use crate::conf_value::Pair;

/// Entries a bucket may hold while the table is small; one more makes the table grow.
const BUCKET_MAX: usize = 8;
const SMALL_TABLE_MAX: usize = 64;

/// Brings the entries into the order of a `HashMap` that they were put into one after the other.
pub(crate) fn reorder(pairs: &mut Vec<Pair>) {
    let hashes: Vec<u32> = pairs.iter().map(|pair| spread_hash(&pair.key)).collect();
    let buckets = bucket_count(&hashes);
    let mut order: Vec<usize> = (0..pairs.len()).collect();
    // Within a bucket entries stand in the order they came, and splitting a bucket keeps it.
    order.sort_by_key(|&at| hashes.get(at).map_or(0, |hash| *hash as usize & (buckets - 1)));
    let mut slots: Vec<Option<Pair>> = pairs.drain(..).map(Some).collect();
    pairs.extend(order.into_iter().filter_map(|at| slots.get_mut(at).and_then(Option::take)));
}

/// `String.hashCode`, spread as `HashMap` does.
fn spread_hash(key: &str) -> u32 {
    let hash =
        key.encode_utf16().fold(0u32, |hash, unit| hash.wrapping_mul(31).wrapping_add(u32::from(unit)));
    hash ^ (hash >> 16)
}

/// Size of the table after all keys are in.
fn bucket_count(hashes: &[u32]) -> usize {
    let mut buckets = 16;
    for (count, hash) in hashes.iter().enumerate() {
        let index = |hash: &u32| *hash as usize & (buckets - 1);
        let before = hashes.iter().take(count);
        let crowded = buckets < SMALL_TABLE_MAX
            && before.filter(|other| index(other) == index(hash)).count() >= BUCKET_MAX;
        if crowded {
            buckets *= 2;
        }
        if (count + 1) * 4 > buckets * 3 {
            buckets *= 2;
        }
    }
    buckets
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conf_value::ConfValue;
    use crate::source::Span;

    fn ordered(keys: &[&str]) -> Vec<String> {
        let pair = |key: &&str| Pair {
            key: (*key).to_owned(),
            key_span: Span::nowhere(),
            value: ConfValue::text(""),
        };
        let mut pairs: Vec<Pair> = keys.iter().map(pair).collect();
        reorder(&mut pairs);
        pairs.into_iter().map(|pair| pair.key).collect()
    }

    #[test]
    fn is_javas_order() {
        assert_eq!(ordered(&["b", "a"]), ["a", "b"]);
        // "AaAa" and "BBBB" have the same hash.
        assert_eq!(ordered(&["BBBB", "AaAa"]), ["BBBB", "AaAa"]);
        // 13 entries make the table grow to 32: "q" (113) moves from bucket 1 to 17.
        let letters = ["q", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l", "a"];
        assert_eq!(ordered(&letters[..12]).first().map(String::as_str), Some("q"));
        assert_eq!(ordered(&letters).last().map(String::as_str), Some("q"));
    }
}
