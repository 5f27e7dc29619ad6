/// A set of check ordinals: bit `o % 8` (least significant first) of byte `o / 8`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Bitmap(Vec<u8>);

impl Bitmap {
    /// The set stored as `bytes`.
    pub fn from_bytes(bytes: Vec<u8>) -> Self {
        let mut set = Self(bytes);
        set.trim();
        set
    }

    /// The bytes to store; no trailing zero bytes, so that equal sets are equal bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Adds an ordinal.
    ///
    /// # Panics
    /// When the ordinal is negative, which no stored one is.
    pub fn insert(&mut self, ordinal: i32) {
        let ordinal = usize::try_from(ordinal).expect("ordinals start at zero");
        if self.0.len() <= ordinal / 8 {
            self.0.resize(ordinal / 8 + 1, 0);
        }
        self.0[ordinal / 8] |= 1 << (ordinal % 8);
    }

    /// Whether an ordinal is in the set.
    pub fn contains(&self, ordinal: i32) -> bool {
        usize::try_from(ordinal)
            .is_ok_and(|ordinal| self.0.get(ordinal / 8).is_some_and(|byte| byte & (1 << (ordinal % 8)) != 0))
    }

    /// The ordinals in ascending order.
    pub fn iter(&self) -> impl Iterator<Item = i32> + '_ {
        self.0.iter().enumerate().flat_map(|(index, byte)| {
            (0..8).filter(move |bit| byte & (1 << bit) != 0).map(move |bit| index as i32 * 8 + bit)
        })
    }

    fn trim(&mut self) {
        while self.0.last() == Some(&0) {
            self.0.pop();
        }
    }
}

impl FromIterator<i32> for Bitmap {
    fn from_iter<I: IntoIterator<Item = i32>>(ordinals: I) -> Self {
        let mut set = Self::default();
        ordinals.into_iter().for_each(|ordinal| set.insert(ordinal));
        set
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::Bitmap;

    proptest! {
        #[test]
        fn holds_exactly_what_was_put_in(mut ordinals in proptest::collection::vec(0..500i32, 0..60)) {
            let set: Bitmap = ordinals.iter().copied().collect();
            ordinals.sort_unstable();
            ordinals.dedup();
            prop_assert_eq!(set.iter().collect::<Vec<_>>(), ordinals.clone());
            prop_assert!(ordinals.iter().all(|o| set.contains(*o)));
            prop_assert_eq!(Bitmap::from_bytes(set.as_bytes().to_vec()), set);
        }
    }
}
