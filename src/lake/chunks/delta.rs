//! Whole numbers as Parquet's DELTA_BINARY_PACKED writes them: packed as differences.
//!
//! Format:
//! <https://parquet.apache.org/docs/file-format/data-pages/encodings/#delta-binary-packed-delta_binary_packed--5>.
//! Times, sizes and places of rows in a log take a few bits each, and no dictionary.
//! So do the lengths of texts (DELTA_LENGTH_BYTE_ARRAY), which stand apart from them:
//! ids are all of one length, six bytes for 128 of them, and without a length before
//! each of them zstd finds no repetition that is worth nothing: it takes a third to a
//! half of the time, and a tenth less room (measured on GUIDs and request ids).

use super::hybrid::varint;

/// Differences that share their least one.
const BLOCK: usize = 128;

/// Differences that share a width.
const MINI_BLOCK: usize = 32;

/// How differences wrap around.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wrap {
    /// Numbers of 32 bits.
    At32,
    At64,
}

impl Wrap {
    fn difference(self, of: i64, before: i64) -> i64 {
        let difference = of.wrapping_sub(before);
        match self {
            // The sign is that of the lower half.
            Wrap::At32 => (difference << 32) >> 32,
            Wrap::At64 => difference,
        }
    }
}

/// Appends the numbers.
pub fn encode(numbers: &[i64], wrap: Wrap, out: &mut Vec<u8>) {
    varint(BLOCK as u64, out);
    varint((BLOCK / MINI_BLOCK) as u64, out);
    varint(numbers.len() as u64, out);
    let Some((first, rest)) = numbers.split_first() else {
        varint(0, out);
        return;
    };
    varint(zigzag(*first), out);
    let mut before = *first;
    let mut deltas = [0; BLOCK];
    for block in rest.chunks(BLOCK) {
        for (delta, number) in deltas.iter_mut().zip(block) {
            *delta = wrap.difference(*number, before);
            before = *number;
        }
        let deltas = deltas.get(..block.len()).unwrap_or_default();
        let least = deltas.iter().copied().min().unwrap_or_default();
        varint(zigzag(least), out);
        let above = |delta: &i64| delta.wrapping_sub(least).cast_unsigned();
        let width = |mini: &[i64]| {
            let any = mini.iter().fold(0, |any, delta| any | above(delta));
            u64::BITS - any.leading_zeros()
        };
        // Widths stand there for all stretches, numbers only for those there are.
        let mut widths = [0; BLOCK / MINI_BLOCK];
        for (width_of, mini) in widths.iter_mut().zip(deltas.chunks(MINI_BLOCK)) {
            *width_of = width(mini);
        }
        out.extend(widths.iter().map(|width| width.to_le_bytes()[0]));
        for (width, mini) in widths.iter().zip(deltas.chunks(MINI_BLOCK)) {
            pack(mini.iter().map(above), *width, out);
        }
    }
}

/// Appends a stretch as a stream of bits, filled with zeros to its full length.
fn pack(numbers: impl Iterator<Item = u64>, width: u32, out: &mut Vec<u8>) {
    if width == 0 {
        return;
    }
    let end = out.len() + MINI_BLOCK * width as usize / 8;
    let (mut bits, mut held) = (0_u128, 0);
    for number in numbers {
        bits |= u128::from(number) << held;
        held += width;
        while held >= u32::BITS {
            let [a, b, c, d, ..] = bits.to_le_bytes();
            out.extend_from_slice(&[a, b, c, d]);
            bits >>= u32::BITS;
            held -= u32::BITS;
        }
    }
    let bytes = bits.to_le_bytes();
    out.extend(bytes.iter().take(held.div_ceil(8) as usize));
    out.resize(end, 0);
}

/// Small numbers of either sign as small ones.
fn zigzag(number: i64) -> u64 {
    ((number << 1) ^ (number >> 63)).cast_unsigned()
}
