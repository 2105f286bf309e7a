//! Random numbers that are the same on every machine, and text made of them.
//!
//! SplitMix64: Steele, Lea, Flood, "Fast splittable pseudorandom number
//! generators", 2014. A stream belongs to a purpose and some numbers, never to
//! the order in which things are made: that is what lets objects be made side
//! by side.

use super::text::put;

const BASE64: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
/// Of access key ids and unique ids of roles: 32 of the 36 letters.
const BASE32: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
const BASE16: &[u8; 64] = b"0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
/// Of S3 request ids.
const UPPER: &[u8; 64] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ0123456789ABCDEFGHJKMNPQRSTVWXYZ";
/// Of the unique part of a log object's name.
const ALNUM: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789Zz";

/// A stream of random numbers.
#[derive(Clone)]
pub(super) struct Random(u64);

impl Random {
    /// The stream that belongs to this purpose and these numbers.
    pub(super) fn of(seed: u64, purpose: &str, numbers: &[u64]) -> Random {
        let mut state = Random(seed ^ 0x6272_6963_6b74_7261);
        for byte in purpose.bytes() {
            state.0 = (state.0 ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
        for number in numbers {
            state.0 ^= number.wrapping_mul(0xff51_afd7_ed55_8ccd);
            state.0 = state.next();
        }
        state
    }

    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `end`; 0 where there is none.
    pub(super) fn below(&mut self, end: u64) -> u64 {
        let product = u128::from(self.next()) * u128::from(end.max(1));
        u64::try_from(product >> 64).unwrap_or_default()
    }

    /// A number from `from` to below `to`; `from` where there is none.
    pub(super) fn between(&mut self, from: i64, to: i64) -> i64 {
        let width = u64::try_from(to.saturating_sub(from)).unwrap_or_default();
        from.saturating_add_unsigned(self.below(width))
    }

    pub(super) fn chance(&mut self, per_mille: u64) -> bool {
        self.below(1000) < per_mille
    }

    pub(super) fn pick<'t, T>(&mut self, from: &'t [T]) -> Option<&'t T> {
        let at = self.below(from.len() as u64);
        from.get(usize::try_from(at).ok()?)
    }

    /// One of the texts, or an empty one where there are none.
    pub(super) fn text(&mut self, from: &[&'static str]) -> &'static str {
        self.pick(from).copied().unwrap_or_default()
    }

    pub(super) fn uuid(&mut self) -> String {
        let (a, b) = (self.next(), self.next());
        format!(
            "{:08x}-{:04x}-4{:03x}-{:04x}-{:012x}",
            a >> 32,
            (a >> 16) & 0xffff,
            a & 0xfff,
            ((b >> 48) & 0x3fff) | 0x8000,
            b & 0xffff_ffff_ffff
        )
    }

    pub(super) fn base64(&mut self, len: usize, out: &mut String) {
        self.letters(len, BASE64, out);
    }

    pub(super) fn request_id(&mut self, out: &mut String) {
        self.letters(16, UPPER, out);
    }

    pub(super) fn alphanumeric(&mut self, len: usize) -> String {
        let mut text = String::new();
        self.letters(len, ALNUM, &mut text);
        text
    }

    pub(super) fn hex(&mut self, len: usize) -> String {
        let mut text = String::new();
        self.letters(len, BASE16, &mut text);
        text
    }

    /// An AWS unique id or access key id: a prefix and random letters.
    pub(super) fn aws_id(&mut self, prefix: &str, len: usize) -> String {
        let mut id = prefix.to_owned();
        self.letters(len, BASE32, &mut id);
        id
    }

    /// The id of an instance or another EC2 resource.
    pub(super) fn ec2_id(&mut self, prefix: &str) -> String {
        let mut id = String::new();
        put(&mut id, format_args!("{prefix}-0{:016x}", self.next()));
        id
    }

    /// Ten letters of each number: six bits each.
    fn letters(&mut self, len: usize, alphabet: &[u8; 64], out: &mut String) {
        let mut left = len;
        while left > 0 {
            let mut bits = self.next();
            for _ in 0..left.min(10) {
                // The mask keeps it inside the alphabet.
                let at = usize::try_from(bits & 63).unwrap_or_default();
                out.push(char::from(alphabet.get(at).copied().unwrap_or(b'0')));
                bits >>= 6;
            }
            left -= left.min(10);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Random;

    #[test]
    fn a_stream_belongs_to_its_seed_purpose_and_numbers() {
        let first = |seed, purpose, numbers: &[u64]| Random::of(seed, purpose, numbers).next();
        assert_eq!(first(1, "a", &[2, 3]), first(1, "a", &[2, 3]));
        assert_ne!(first(1, "a", &[2, 3]), first(2, "a", &[2, 3]));
        assert_ne!(first(1, "a", &[2, 3]), first(1, "b", &[2, 3]));
        assert_ne!(first(1, "a", &[2, 3]), first(1, "a", &[3, 2]));
        assert_ne!(first(1, "a", &[2, 3]), first(1, "a", &[2, 3, 0]));
    }

    #[test]
    fn numbers_stay_in_their_bounds() {
        let mut random = Random::of(7, "bounds", &[]);
        for _ in 0..10_000 {
            assert!(random.below(10) < 10);
            assert!((-5..5).contains(&random.between(-5, 5)));
        }
        assert_eq!(random.below(0), 0);
        assert_eq!(random.between(5, 5), 5);
        assert_eq!(random.pick::<u8>(&[]), None);
        assert_eq!(random.aws_id("ASIA", 16).len(), 20);
        assert_eq!(random.uuid().len(), 36);
        assert_eq!(random.ec2_id("i").len(), 19);
    }
}
