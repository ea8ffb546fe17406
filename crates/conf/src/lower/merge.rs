//! What becomes of an option that is given more than once.

use crate::conf_value::{ConfKind, ConfValue, Pair};
use crate::diagnostics::Diagnostic;
use crate::plugin_block::Attr;

/// Adds an option to those before it: lists are joined, hashes merged, other values become a list.
///
/// # Errors
/// A hash meets something that is none.
pub(super) fn add(options: &mut Vec<Attr>, attr: Attr) -> Result<(), Box<Diagnostic>> {
    let Some(existing) = options.iter_mut().find(|existing| existing.name == attr.name) else {
        options.push(attr);
        return Ok(());
    };
    let is_scalar = !matches!(existing.value.kind, ConfKind::Hash(_) | ConfKind::Array(_));
    if is_scalar && existing.value.same(&attr.value) {
        return Ok(());
    }
    match &mut existing.value.kind {
        ConfKind::Hash(pairs) => match attr.value.kind {
            ConfKind::Hash(more) => more.into_iter().for_each(|pair| merge_pair(pairs, pair, true)),
            _ => {
                let message = format!("`{}` is given as a hash and as something else", attr.name);
                return Err(Box::new(
                    Diagnostic::error(message)
                        .at(attr.name_span, "no hash")
                        .also(existing.name_span, "a hash"),
                ));
            }
        },
        ConfKind::Array(values) => values.extend(attr.value.into_list()),
        _ => {
            let span = existing.value.span;
            let first =
                std::mem::replace(&mut existing.value, ConfValue::new(span, ConfKind::Array(Vec::new())));
            existing.value.kind = ConfKind::Array(vec![first, attr.value]);
        }
    }
    Ok(())
}

/// Ruby's `hash_merge_with_dups`, and below the first level `hash_merge`, which leaves out repeated elements.
fn merge_pair(pairs: &mut Vec<Pair>, pair: Pair, keep_duplicates: bool) {
    let Some(existing) = pairs.iter_mut().find(|existing| existing.key == pair.key) else {
        pairs.push(pair);
        return;
    };
    let old = &mut existing.value;
    match (&mut old.kind, pair.value.kind) {
        (ConfKind::Hash(inner), ConfKind::Hash(more)) => {
            more.into_iter().for_each(|pair| merge_pair(inner, pair, false));
        }
        (ConfKind::Array(values), ConfKind::Array(more)) => extend(values, more, keep_duplicates),
        (_, ConfKind::Array(more)) => {
            wrap(old);
            if let ConfKind::Array(values) = &mut old.kind {
                extend(values, more, keep_duplicates);
            }
        }
        (ConfKind::Array(values), kind) => {
            extend(values, vec![ConfValue { kind, ..pair.value }], false);
        }
        (_, kind) => {
            let value = ConfValue { kind, ..pair.value };
            if !old.same(&value) {
                wrap(old);
                if let ConfKind::Array(values) = &mut old.kind {
                    values.push(value);
                }
            }
        }
    }
}

fn extend(values: &mut Vec<ConfValue>, more: Vec<ConfValue>, keep_duplicates: bool) {
    for value in more {
        if keep_duplicates || !values.iter().any(|old| old.same(&value)) {
            values.push(value);
        }
    }
}

/// Makes a value the only element of a list.
fn wrap(value: &mut ConfValue) {
    let inner = std::mem::replace(value, ConfValue::new(value.span, ConfKind::Array(Vec::new())));
    value.kind = ConfKind::Array(vec![inner]);
}
