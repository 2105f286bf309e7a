//! Lengths of texts as Parquet's DELTA_LENGTH_BYTE_ARRAY writes them: apart from
//! the texts, packed as differences.
//!
//! Format:
//! <https://parquet.apache.org/docs/file-format/data-pages/encodings/#delta-binary-packed-delta_binary_packed--5>.
//! Ids are all of one length, which takes six bytes for 128 of them; and without a
//! length before each text, zstd finds no repetition in them that is worth nothing:
//! it compresses two to three times as fast, and to a tenth less (measured on GUIDs
//! and request ids).

use super::hybrid::{pack, varint};

/// Differences that share their least one.
const BLOCK: usize = 128;

/// Differences that share a width.
const MINI_BLOCK: usize = 32;

/// Appends the lengths, each below 2^31.
pub fn encode(lengths: &[u32], out: &mut Vec<u8>) {
    varint(BLOCK as u64, out);
    varint((BLOCK / MINI_BLOCK) as u64, out);
    varint(lengths.len() as u64, out);
    let Some((first, rest)) = lengths.split_first() else {
        varint(0, out);
        return;
    };
    varint(zigzag(i64::from(*first)), out);
    let mut before = *first;
    let mut deltas = [0; BLOCK];
    let mut packed = [0; MINI_BLOCK];
    for block in rest.chunks(BLOCK) {
        for (delta, length) in deltas.iter_mut().zip(block) {
            *delta = i64::from(*length) - i64::from(before);
            before = *length;
        }
        let deltas = deltas.get(..block.len()).unwrap_or_default();
        let least = deltas.iter().copied().min().unwrap_or_default();
        varint(zigzag(least), out);
        // What is above the least is below 2^32, for so are the lengths.
        let above = |delta: &i64| u32::try_from(delta - least).unwrap_or(u32::MAX);
        let width = |mini: &[i64]| {
            let greatest = mini.iter().map(above).max().unwrap_or_default();
            u32::BITS - greatest.leading_zeros()
        };
        let mut widths = [0; BLOCK / MINI_BLOCK];
        for (width_of, mini) in widths.iter_mut().zip(deltas.chunks(MINI_BLOCK)) {
            *width_of = width(mini);
        }
        out.extend(widths.iter().map(|width| width.to_le_bytes()[0]));
        for (width, mini) in widths.iter().zip(deltas.chunks(MINI_BLOCK)) {
            // A stretch is written whole, the last filled with zeros.
            packed.fill(0);
            for (number, delta) in packed.iter_mut().zip(mini) {
                *number = above(delta);
            }
            pack(&packed, *width, out);
        }
    }
}

/// Small numbers of either sign as small ones.
fn zigzag(number: i64) -> u64 {
    ((number << 1) ^ (number >> 63)).cast_unsigned()
}
