use std::fmt::Write as _;

/// A point in a tree of seeds: every object's randomness comes from the names on its path, never from the order in
/// which objects are made, so that any one of them can be made alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Seed(u64);

impl Seed {
    /// The root.
    pub(crate) const fn new(seed: u64) -> Self {
        Self(mix(seed ^ 0x9e37_79b9_7f4a_7c15))
    }

    /// The seed of a named child.
    pub(crate) fn child(self, label: &str) -> Self {
        let hash = label.bytes().fold(self.0 ^ 0xcbf2_9ce4_8422_2325, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
        });
        Self(mix(hash))
    }

    /// The seed of a numbered child.
    pub(crate) const fn nth(self, index: u64) -> Self {
        Self(mix(self.0 ^ index.wrapping_mul(0xd1b5_4a32_d192_ed03)))
    }

    /// A number below `bound`; zero when the bound is.
    pub(crate) const fn below(self, bound: u64) -> u64 {
        if bound == 0 { 0 } else { self.0 % bound }
    }

    /// True in `percent` of one hundred cases.
    pub(crate) const fn chance(self, percent: u64) -> bool {
        self.below(100) < percent
    }

    /// A number in `[0, 1)`.
    pub(crate) fn unit(self) -> f64 {
        (self.0 >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// One of `items`, which is not empty.
    pub(crate) fn pick<T>(self, items: &[T]) -> &T {
        &items[self.below(items.len() as u64) as usize]
    }

    /// `digits` lower-case hexadecimal digits.
    pub(crate) fn hex(self, digits: usize) -> String {
        let mut text = String::with_capacity(digits + 16);
        let mut part = self;
        while text.len() < digits {
            let _ = write!(text, "{:016x}", part.0);
            part = part.nth(1);
        }
        text.truncate(digits);
        text
    }

    /// Letters and digits as Kubernetes appends them to generated names.
    pub(crate) fn suffix(self, length: usize) -> String {
        const LETTERS: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";
        (0..length as u64).map(|i| char::from(*self.nth(i).pick(LETTERS))).collect()
    }

    /// Upper-case letters and digits as AWS uses them in ids.
    pub(crate) fn upper(self, length: usize) -> String {
        const LETTERS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
        (0..length as u64).map(|i| char::from(*self.nth(i).pick(LETTERS))).collect()
    }

    /// A version-4 shaped UUID.
    pub(crate) fn uuid(self) -> String {
        let hex = self.hex(32);
        format!("{}-{}-4{}-a{}-{}", &hex[..8], &hex[8..12], &hex[13..16], &hex[17..20], &hex[20..32])
    }
}

/// The finaliser of splitmix64.
const fn mix(value: u64) -> u64 {
    let value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_path_decides_and_nothing_else() {
        let root = Seed::new(7);
        assert_eq!(root.child("a").nth(3), root.child("a").nth(3));
        assert_ne!(root.child("a"), root.child("b"));
        assert_ne!(root.nth(1), root.nth(2));
        assert_ne!(Seed::new(1).child("a"), Seed::new(2).child("a"));
    }

    #[test]
    fn numbers_spread_evenly() {
        let root = Seed::new(1);
        let hits = (0..10_000).filter(|i| root.nth(*i).chance(30)).count();
        assert!((2_700..3_300).contains(&hits), "{hits} of 10000 at 30 percent");
        assert!((0..1_000).all(|i| (0.0..1.0).contains(&root.nth(i).unit())));
        assert_eq!(root.uuid().len(), 36);
    }
}
