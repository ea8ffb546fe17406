//! Which slots of a batch a step works on.

/// A set of batch slots, as a bitset.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selection {
    words: Vec<u64>,
}

impl Selection {
    /// No slot.
    pub fn none() -> Selection {
        Selection::default()
    }

    /// The slots `0..len`.
    pub fn all(len: usize) -> Selection {
        let mut words = vec![u64::MAX; len / 64];
        if !len.is_multiple_of(64) {
            words.push((1 << (len % 64)) - 1);
        }
        Selection { words }
    }

    /// Only `slot`.
    pub fn only(slot: usize) -> Selection {
        let mut selection = Selection::none();
        selection.insert(slot);
        selection
    }

    /// Adds `slot`.
    pub fn insert(&mut self, slot: usize) {
        let word = slot / 64;
        if self.words.len() <= word {
            self.words.resize(word + 1, 0);
        }
        if let Some(word) = self.words.get_mut(word) {
            *word |= 1 << (slot % 64);
        }
    }

    /// Takes `slot` out.
    pub fn remove(&mut self, slot: usize) {
        if let Some(word) = self.words.get_mut(slot / 64) {
            *word &= !(1 << (slot % 64));
        }
    }

    /// Whether `slot` is in.
    pub fn contains(&self, slot: usize) -> bool {
        self.words.get(slot / 64).is_some_and(|word| word >> (slot % 64) & 1 == 1)
    }

    /// Whether no slot is in.
    pub fn is_empty(&self) -> bool {
        self.words.iter().all(|word| *word == 0)
    }

    /// Number of slots.
    pub fn len(&self) -> usize {
        self.words.iter().map(|word| word.count_ones() as usize).sum()
    }

    /// Adds the slots of `other`.
    pub fn union(&mut self, other: &Selection) {
        if self.words.len() < other.words.len() {
            self.words.resize(other.words.len(), 0);
        }
        self.words.iter_mut().zip(&other.words).for_each(|(a, b)| *a |= b);
    }

    /// Adds the slots of `other`, each moved up by `offset`, which lies behind all slots so far.
    pub fn append(&mut self, other: &Selection, offset: usize) {
        let (word, shift) = (offset / 64, offset % 64);
        self.words.resize(word + usize::from(shift > 0), 0);
        for bits in &other.words {
            if shift == 0 {
                self.words.push(*bits);
                continue;
            }
            if let Some(last) = self.words.last_mut() {
                *last |= bits << shift;
            }
            self.words.push(bits >> (64 - shift));
        }
    }

    /// Takes the slots of `other` out.
    pub fn subtract(&mut self, other: &Selection) {
        self.words.iter_mut().zip(&other.words).for_each(|(a, b)| *a &= !b);
    }

    /// The slots, ascending.
    pub fn iter(&self) -> impl Iterator<Item = usize> {
        let mut words = self.words.iter();
        let (mut word, mut next) = (0, 0);
        std::iter::from_fn(move || {
            while word == 0 {
                word = *words.next()?;
                next += 64;
            }
            let bit = word.trailing_zeros() as usize;
            word &= word - 1;
            Some(next - 64 + bit)
        })
    }
}

impl FromIterator<usize> for Selection {
    fn from_iter<I: IntoIterator<Item = usize>>(slots: I) -> Self {
        let mut selection = Selection::none();
        slots.into_iter().for_each(|slot| selection.insert(slot));
        selection
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sets() {
        let mut all = Selection::all(130);
        assert_eq!((all.len(), all.contains(129), all.contains(130)), (130, true, false));
        all.subtract(&Selection::from_iter([0, 64, 129]));
        all.remove(1);
        assert_eq!(all.iter().take(2).collect::<Vec<_>>(), [2, 3]);
        let mut few = Selection::only(200);
        few.union(&Selection::only(3));
        assert_eq!(few.iter().collect::<Vec<_>>(), [3, 200]);
        assert!(Selection::all(0).is_empty());
    }

    #[test]
    fn selections_behind_each_other() {
        for offset in [0, 1, 63, 64, 70, 128, 200] {
            let mut both = Selection::from_iter([0].into_iter().filter(|_| offset > 0));
            both.append(&Selection::from_iter([0, 5, 64, 130]), offset);
            let first = (offset > 0).then_some(0);
            let expected: Vec<usize> =
                first.into_iter().chain([0, 5, 64, 130].map(|slot| slot + offset)).collect();
            assert_eq!(both.iter().collect::<Vec<_>>(), expected, "{offset}");
            assert_eq!(both.len(), expected.len());
        }
    }
}
