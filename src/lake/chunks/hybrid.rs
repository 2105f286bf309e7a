//! Small numbers as Parquet's hybrid of runs and packed bits writes them: levels
//! and dictionary indexes.
//!
//! Format: <https://parquet.apache.org/docs/file-format/data-pages/encodings/#RLE>.
//! A stretch of equal numbers is a run, everything else goes in groups of eight.

/// Bits that hold every number up to `greatest`. One at least: some readers
/// stumble over numbers of no bits.
pub fn width_of(greatest: u32) -> u32 {
    (u32::BITS - greatest.leading_zeros()).max(1)
}

/// Appends the numbers, each below `2^width`.
pub fn encode(numbers: &[u32], width: u32, out: &mut Vec<u8>) {
    let (mut rest, mut pending, mut packed) = (numbers, numbers, 0);
    while let Some((group, tail)) = rest.split_first_chunk::<8>() {
        let [first, others @ ..] = group;
        if others.iter().any(|number| number != first) {
            packed += group.len();
            rest = tail;
            continue;
        }
        let more = tail.iter().take_while(|number| *number == first).count();
        pack_groups(head(pending, packed), width, out);
        run(*first, group.len() + more, width, out);
        rest = tail.get(more..).unwrap_or_default();
        (pending, packed) = (rest, 0);
    }
    match rest.split_first() {
        Some((first, others)) if others.iter().all(|number| number == first) => {
            pack_groups(head(pending, packed), width, out);
            run(*first, rest.len(), width, out);
        }
        _ => pack_groups(pending, width, out),
    }
}

/// Appends one number that stands `count` times.
pub fn run(number: u32, count: usize, width: u32, out: &mut Vec<u8>) {
    if count == 0 {
        return;
    }
    varint((count as u64) << 1, out);
    let bytes = number.to_le_bytes();
    out.extend(bytes.iter().take(width.div_ceil(8) as usize));
}

/// Appends the numbers as a plain stream of bits, the last byte filled with
/// zeros.
pub fn pack(numbers: &[u32], width: u32, out: &mut Vec<u8>) {
    let (mut bits, mut held) = (0_u64, 0);
    for number in numbers {
        bits |= u64::from(*number) << held;
        held += width;
        if held >= u32::BITS {
            let [a, b, c, d, ..] = bits.to_le_bytes();
            out.extend_from_slice(&[a, b, c, d]);
            bits >>= u32::BITS;
            held -= u32::BITS;
        }
    }
    let bytes = bits.to_le_bytes();
    out.extend(bytes.iter().take(held.div_ceil(8) as usize));
}

/// Whole groups of eight; what lacks in the last is zero.
fn pack_groups(numbers: &[u32], width: u32, out: &mut Vec<u8>) {
    if numbers.is_empty() {
        return;
    }
    let groups = numbers.len().div_ceil(8);
    varint(((groups as u64) << 1) | 1, out);
    let end = out.len() + groups * width as usize;
    pack(numbers, width, out);
    out.resize(end, 0);
}

fn head(numbers: &[u32], count: usize) -> &[u32] {
    numbers.get(..count).unwrap_or(numbers)
}

/// Seven bits a byte, the lowest first.
pub fn varint(mut number: u64, out: &mut Vec<u8>) {
    loop {
        let [low, ..] = number.to_le_bytes();
        number >>= 7;
        if number == 0 {
            out.push(low);
            return;
        }
        out.push(low | 0x80);
    }
}
