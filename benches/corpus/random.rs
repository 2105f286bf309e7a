//! Random numbers that are the same on every machine, and text made of them.
//!
//! SplitMix64: Steele, Lea, Flood, "Fast splittable pseudorandom number
//! generators", 2014. Good enough for logs, and one line long.

use std::fmt::Write as _;

const SEED: u64 = 0x6272_6963_6b74_7261;

const BASE64: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
/// Of access key ids and unique ids of roles.
const BASE32: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
const BASE36: &[u8; 36] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ";

/// A stream of random numbers.
#[derive(Clone)]
pub struct Random(u64);

impl Random {
    /// The stream that belongs to these numbers.
    pub fn of(name: &[u64]) -> Random {
        let mut state = Random(SEED);
        for part in name {
            state.0 ^= part.wrapping_mul(0xff51_afd7_ed55_8ccd);
            state.0 = state.next();
        }
        state
    }

    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `end`.
    pub fn below(&mut self, end: u64) -> u64 {
        ((u128::from(self.next()) * u128::from(end.max(1))) >> 64) as u64
    }

    /// A number below `end` that is small more often than not.
    pub fn skewed(&mut self, end: u64) -> u64 {
        let once = self.below(end);
        once.min(self.below(end)).min(self.below(end))
    }

    pub fn chance(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }

    pub fn pick<'t, T>(&mut self, from: &'t [T]) -> &'t T {
        &from[self.below(from.len() as u64) as usize]
    }

    pub fn uuid(&mut self, out: &mut String) {
        let (a, b) = (self.next(), self.next());
        write!(
            out,
            "{:08x}-{:04x}-4{:03x}-{:04x}-{:012x}",
            a >> 32,
            a >> 16 & 0xffff,
            a & 0xfff,
            b >> 48 & 0x3fff | 0x8000,
            b & 0xffff_ffff_ffff
        )
        .expect("write to a string");
    }

    pub fn uuid_text(&mut self) -> String {
        let mut text = String::new();
        self.uuid(&mut text);
        text
    }

    pub fn base64(&mut self, len: usize, out: &mut String) {
        self.letters(len, BASE64, out);
    }

    pub fn base36(&mut self, len: usize, out: &mut String) {
        self.letters(len, BASE36, out);
    }

    /// An AWS unique id or access key id: a prefix and random letters.
    pub fn aws_id(&mut self, prefix: &str, len: usize) -> String {
        let mut id = prefix.to_owned();
        self.letters(len, BASE32, &mut id);
        id
    }

    fn letters(&mut self, len: usize, alphabet: &[u8], out: &mut String) {
        for _ in 0..len {
            out.push(char::from(*self.pick(alphabet)));
        }
    }
}
