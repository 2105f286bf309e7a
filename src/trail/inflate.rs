//! Turns the stored bytes of a log object into the bytes AWS signed.
//!
//! A digest covers the *inflated* bytes, so they are kept whole: what is hashed
//! is what is parsed. One call inflates a whole object into one buffer of the
//! size that the gzip trailer promises (ISIZE): more than twice as fast as
//! reading through a decoder. The promise may lie; but then the object is not
//! sound, and the rest is inflated only to say why, without being kept.
//!
//! INVARIANT (one member): a log object is exactly one gzip member, complete
//! and with the right checksum. Bytes after it are a finding, never data.
//!
//! INVARIANT (bounded): the buffer never grows beyond [`raw_bytes_promised`] and
//! a few bytes, so that its memory can be set aside before an object is read.
//!
//! Deliberately absent: any look at the name or at `Content-Encoding`. Some
//! clients inflate on the way, so only the magic bytes tell.

use flate2::{Crc, Decompress, FlushDecompress, Status};

/// The first bytes of every gzip member.
const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];

/// The most that deflate can make of one byte: 258 bytes from two bits.
///
/// Source: zlib's technical notes, <https://zlib.net/zlib_tech.html>.
const DEFLATE_RATIO_MAX: u64 = 1032;

/// Output up to which the ratio does not matter: small objects of one repeated
/// record compress better than any honest large one.
const RATIO_FREE_BYTES: u64 = 1024 * 1024;

/// Room beyond the inflated bytes: the end of the stream is seen only while
/// there is some, and a parser that pads its input need not move it.
const ROOM_AFTER: usize = 64;

/// Least buffer: where the promise is small or impossible, what is inflated all
/// the same goes through this much.
const PASSING_BYTES: usize = 64 * 1024;

/// What one object may become.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InflateLimits {
    /// Largest output, in bytes.
    pub raw_bytes_max: u64,
    /// Largest output for each stored byte, above the first 1 MiB of output.
    pub ratio_max: u32,
}

/// How the bytes were stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Inflated {
    Gzip,
    /// Not gzip by its magic bytes: copied as it stands.
    Plain,
}

/// Why an object has no bytes that could have been signed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InflateError {
    #[error("object is empty")]
    Empty,
    /// Also a cut trailer after complete data: AWS's own validator overlooks it.
    #[error("gzip member is cut off")]
    TruncatedGzip,
    #[error("`{bytes}` bytes after the gzip member")]
    TrailingData { bytes: u64 },
    #[error("crc32 of the inflated bytes differs from the gzip trailer")]
    CrcMismatch,
    #[error("size of the inflated bytes differs from the gzip trailer")]
    LengthMismatch,
    #[error("inflates to more than `{raw_bytes_max}` bytes")]
    TooLarge { raw_bytes_max: u64 },
    #[error("inflates to more than `{ratio_max}` times its size")]
    RatioTooHigh { ratio_max: u32 },
    #[error("corrupt gzip: {0}")]
    Corrupt(&'static str),
}

impl InflateError {
    /// The stable name under which the object is quarantined.
    pub fn reason(&self) -> &'static str {
        match self {
            InflateError::Empty => "empty_object",
            InflateError::TruncatedGzip => "truncated_gzip",
            InflateError::TrailingData { .. } => "trailing_data",
            InflateError::CrcMismatch => "crc_mismatch",
            InflateError::LengthMismatch => "length_mismatch",
            InflateError::TooLarge { .. } => "too_large",
            InflateError::RatioTooHigh { .. } => "ratio_too_high",
            InflateError::Corrupt(_) => "corrupt_gzip",
        }
    }
}

/// Inflates object after object with one decompressor state.
#[derive(Debug)]
pub struct Inflater {
    deflate: Decompress,
}

impl Default for Inflater {
    fn default() -> Self {
        Inflater::new()
    }
}

impl Inflater {
    pub fn new() -> Self {
        Inflater {
            deflate: Decompress::new(false),
        }
    }

    /// Fills `out`, cleared first, with the bytes AWS signed. Allocates only
    /// where the capacity of `out` does not suffice.
    ///
    /// # Errors
    ///
    /// When `stored` is not exactly one sound gzip member within the limits, or
    /// plain bytes within them; `out` is then empty.
    pub fn inflate(
        &mut self,
        stored: &[u8],
        limits: &InflateLimits,
        out: &mut Vec<u8>,
    ) -> Result<Inflated, InflateError> {
        out.clear();
        let result = self.fill(stored, limits, out);
        if result.is_err() {
            out.clear();
        }
        result
    }

    fn fill(
        &mut self,
        stored: &[u8],
        limits: &InflateLimits,
        out: &mut Vec<u8>,
    ) -> Result<Inflated, InflateError> {
        if stored.is_empty() {
            return Err(InflateError::Empty);
        }
        if !stored.starts_with(&GZIP_MAGIC) && stored != [GZIP_MAGIC[0]] {
            if stored.len() as u64 > limits.raw_bytes_max {
                return Err(limits.exceeded(stored.len() as u64));
            }
            out.reserve_exact(stored.len() + ROOM_AFTER);
            out.extend_from_slice(stored);
            return Ok(Inflated::Plain);
        }
        let body = skip_header(stored)?;
        let Passed { end, crc, len } = self.inflate_body(body, stored.len() as u64, limits, out)?;
        let trailer = body.get(end..).unwrap_or_default();
        let Some((&[c0, c1, c2, c3, l0, l1, l2, l3], after)) = trailer.split_first_chunk() else {
            return Err(InflateError::TruncatedGzip);
        };
        if crc != u32::from_le_bytes([c0, c1, c2, c3]) {
            return Err(InflateError::CrcMismatch);
        }
        // ISIZE is the length modulo 2^32 (RFC 1952, section 2.3.1).
        if len as u64 & 0xffff_ffff != u64::from(u32::from_le_bytes([l0, l1, l2, l3])) {
            return Err(InflateError::LengthMismatch);
        }
        if !after.is_empty() {
            return Err(InflateError::TrailingData {
                bytes: after.len() as u64,
            });
        }
        // Only an object of 4 GiB or more keeps its promise and did not fit.
        if len != out.len() {
            return Err(limits.exceeded(stored.len() as u64));
        }
        Ok(Inflated::Gzip)
    }

    /// Inflates the deflate stream at the start of `body`. `out` then holds all of
    /// it, unless it was longer than promised.
    fn inflate_body(
        &mut self,
        body: &[u8],
        stored_bytes: u64,
        limits: &InflateLimits,
        out: &mut Vec<u8>,
    ) -> Result<Passed, InflateError> {
        let promised = body
            .last_chunk()
            .map_or(0, |isize| promise(stored_bytes, *isize, limits));
        let promised = usize::try_from(promised).unwrap_or(usize::MAX);
        out.reserve_exact(promised.max(PASSING_BYTES) + ROOM_AFTER);
        self.deflate.reset(false);
        let (mut crc, mut passed) = (Crc::new(), 0_usize);
        loop {
            if out.len() == out.capacity() {
                crc.update(out);
                passed += out.len();
                out.clear();
            }
            let used = usize::try_from(self.deflate.total_in()).unwrap_or(usize::MAX);
            let input = body.get(used..).unwrap_or_default();
            let status = self
                .deflate
                .decompress_vec(input, out, FlushDecompress::Finish);
            // First of all, so that the finding does not depend on how large a
            // buffer an earlier object left behind.
            if (passed + out.len()) as u64 > limits.output_max(stored_bytes) {
                return Err(limits.exceeded(stored_bytes));
            }
            match status {
                Ok(Status::StreamEnd) => {
                    crc.update(out);
                    return Ok(Passed {
                        end: usize::try_from(self.deflate.total_in()).unwrap_or(usize::MAX),
                        crc: crc.sum(),
                        len: passed + out.len(),
                    });
                }
                // Room left and still no end: the input is what ran out.
                Ok(Status::Ok | Status::BufError) if out.len() < out.capacity() => {
                    return Err(InflateError::TruncatedGzip);
                }
                Ok(Status::Ok | Status::BufError) => {}
                Err(_) => return Err(InflateError::Corrupt("invalid deflate data")),
            }
        }
    }
}

/// A deflate stream that was inflated to its end.
struct Passed {
    /// Where it ends.
    end: usize,
    crc: u32,
    /// Inflated bytes.
    len: usize,
}

impl InflateLimits {
    /// Output above which an object of this stored size is refused, in bytes.
    pub fn output_max(&self, stored_bytes: u64) -> u64 {
        self.raw_bytes_max.min(self.ratio_output_max(stored_bytes))
    }

    fn ratio_output_max(&self, stored_bytes: u64) -> u64 {
        u64::from(self.ratio_max)
            .saturating_mul(stored_bytes)
            .max(RATIO_FREE_BYTES)
    }

    /// The limit that was hit first.
    fn exceeded(&self, stored_bytes: u64) -> InflateError {
        if self.ratio_output_max(stored_bytes) < self.raw_bytes_max {
            InflateError::RatioTooHigh {
                ratio_max: self.ratio_max,
            }
        } else {
            InflateError::TooLarge {
                raw_bytes_max: self.raw_bytes_max,
            }
        }
    }
}

/// Bytes that an object can take once it is inflated, told by its stored size
/// and its first two and last four bytes. 0 where no sound object is possible.
pub fn raw_bytes_promised(
    stored_bytes: u64,
    first: [u8; 2],
    last: [u8; 4],
    limits: &InflateLimits,
) -> u64 {
    if first != GZIP_MAGIC {
        return stored_bytes.min(limits.raw_bytes_max);
    }
    promise(stored_bytes, last, limits)
}

/// ISIZE, where it can be true: deflate can make that much of the stored bytes,
/// and it is within the limits; else 0.
fn promise(stored_bytes: u64, isize: [u8; 4], limits: &InflateLimits) -> u64 {
    let promised = u64::from(u32::from_le_bytes(isize));
    let possible = stored_bytes.saturating_mul(DEFLATE_RATIO_MAX);
    if promised <= possible.min(limits.output_max(stored_bytes)) {
        promised
    } else {
        0
    }
}

/// What follows the gzip header (RFC 1952, section 2.3).
fn skip_header(stored: &[u8]) -> Result<&[u8], InflateError> {
    const FHCRC: u8 = 2;
    const FEXTRA: u8 = 4;
    const FNAME: u8 = 8;
    const FCOMMENT: u8 = 16;
    const RESERVED: u8 = 0xe0;

    let cut = InflateError::TruncatedGzip;
    let (&[_, _, method, flags, ..], mut rest) =
        stored.split_first_chunk::<10>().ok_or(cut.clone())?;
    if method != 8 {
        return Err(InflateError::Corrupt("unknown compression method"));
    }
    if flags & RESERVED != 0 {
        return Err(InflateError::Corrupt("reserved flags are set"));
    }
    if flags & FEXTRA != 0 {
        let (len, after) = rest.split_first_chunk().ok_or(cut.clone())?;
        let len = usize::from(u16::from_le_bytes(*len));
        rest = after.get(len..).ok_or(cut.clone())?;
    }
    for text in [FNAME, FCOMMENT] {
        if flags & text != 0 {
            let end = memchr::memchr(0, rest).ok_or(cut.clone())?;
            rest = rest.get(end + 1..).unwrap_or_default();
        }
    }
    if flags & FHCRC != 0 {
        let header = stored.get(..stored.len() - rest.len()).unwrap_or_default();
        let (sum, after) = rest.split_first_chunk().ok_or(cut)?;
        if crc32(header) & 0xffff != u32::from(u16::from_le_bytes(*sum)) {
            return Err(InflateError::Corrupt("checksum of the header differs"));
        }
        rest = after;
    }
    Ok(rest)
}

fn crc32(bytes: &[u8]) -> u32 {
    let mut crc = Crc::new();
    crc.update(bytes);
    crc.sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::{Compression, GzBuilder};
    use proptest::prelude::*;
    use std::io::Write;

    const LIMITS: InflateLimits = InflateLimits {
        raw_bytes_max: 8 * 1024 * 1024,
        ratio_max: 200,
    };

    fn gzip(raw: &[u8]) -> Vec<u8> {
        build(GzBuilder::new(), raw)
    }

    fn build(builder: GzBuilder, raw: &[u8]) -> Vec<u8> {
        let mut encoder = builder.write(Vec::new(), Compression::default());
        encoder.write_all(raw).unwrap();
        encoder.finish().unwrap()
    }

    fn inflate_within(stored: &[u8], limits: &InflateLimits) -> Result<Vec<u8>, InflateError> {
        let mut inflater = Inflater::new();
        // A fresh buffer and a large used one must give the same answer.
        let mut fresh = Vec::new();
        let first = inflater.inflate(stored, limits, &mut fresh);
        let mut used = vec![7; 3 * 1024 * 1024];
        let second = inflater.inflate(stored, limits, &mut used);
        assert_eq!(first, second);
        assert_eq!(fresh, used);
        assert!(first.is_ok() || fresh.is_empty());
        first.map(|_| fresh)
    }

    fn inflate(stored: &[u8]) -> Result<Vec<u8>, InflateError> {
        inflate_within(stored, &LIMITS)
    }

    fn text(len: usize) -> Vec<u8> {
        (0_u64..)
            .flat_map(|i| {
                format!("{{\"n\":{}}},", i.wrapping_mul(0x9e37_79b9_7f4a_7c15)).into_bytes()
            })
            .take(len)
            .collect()
    }

    #[test]
    fn one_member_comes_back_whole() {
        for len in [0, 1, 2, 300, 65_537, 3_000_000] {
            assert_eq!(inflate(&gzip(&text(len))), Ok(text(len)), "{len}");
        }
    }

    #[test]
    fn a_header_with_every_optional_field_is_skipped() {
        let builder = GzBuilder::new()
            .extra(vec![0, 1, 2, 0])
            .filename("a.json")
            .comment("no comment")
            .mtime(1);
        let stored = build(builder, b"{}");
        assert_eq!(inflate(&stored), Ok(b"{}".to_vec()));
        for len in 0..stored.len() {
            let expected = if len == 0 {
                InflateError::Empty
            } else {
                InflateError::TruncatedGzip
            };
            assert_eq!(inflate(&stored[..len]), Err(expected), "{len}");
        }
    }

    #[test]
    fn the_checksum_of_a_header_counts() {
        let plain = gzip(b"{}");
        let mut stored = plain[..10].to_vec();
        stored[3] = 2;
        let sum = crc32(&stored).to_le_bytes();
        stored.extend_from_slice(&sum[..2]);
        stored.extend_from_slice(&plain[10..]);
        assert_eq!(inflate(&stored), Ok(b"{}".to_vec()));
        stored[10] ^= 1;
        assert_eq!(inflate(&stored).unwrap_err().reason(), "corrupt_gzip");
    }

    #[test]
    fn a_cut_member_is_truncated_even_if_its_data_is_complete() {
        let stored = gzip(&text(5000));
        for cut in 1..stored.len() {
            let len = stored.len() - cut;
            assert_eq!(
                inflate(&stored[..len]),
                Err(InflateError::TruncatedGzip),
                "{len}"
            );
        }
    }

    #[test]
    fn bytes_after_the_member_are_trailing_data() {
        let first = gzip(&text(40_000));
        for after in [
            vec![0],
            vec![0; 600],
            gzip(b""),
            gzip(&text(90)),
            gzip(&text(200_000)),
        ] {
            let bytes = after.len() as u64;
            let stored = [first.clone(), after].concat();
            assert_eq!(inflate(&stored), Err(InflateError::TrailingData { bytes }));
        }
    }

    #[test]
    fn a_changed_trailer_is_told_apart() {
        let good = gzip(&text(5000));
        let mut stored = good.clone();
        let at = stored.len() - 8;
        stored[at] ^= 1;
        assert_eq!(inflate(&stored), Err(InflateError::CrcMismatch));
        for byte in at + 4..at + 8 {
            for bit in 0..8 {
                let mut stored = good.clone();
                stored[byte] ^= 1 << bit;
                assert_eq!(inflate(&stored), Err(InflateError::LengthMismatch));
            }
        }
    }

    #[test]
    fn limits_hold_to_the_byte() {
        let exact = |raw_bytes_max| InflateLimits {
            raw_bytes_max,
            ratio_max: 200,
        };
        let stored = gzip(&text(50_000));
        assert!(inflate_within(&stored, &exact(50_000)).is_ok());
        for max in [0, 1, 49_999] {
            let too_large = InflateError::TooLarge { raw_bytes_max: max };
            assert_eq!(inflate_within(&stored, &exact(max)), Err(too_large.clone()));
            assert_eq!(inflate_within(&text(50_000), &exact(max)), Err(too_large));
        }
        assert!(inflate_within(&text(50_000), &exact(50_000)).is_ok());
    }

    #[test]
    fn a_bomb_is_refused_and_costs_no_more_than_its_limit() {
        let stored = gzip(&vec![b' '; 4 * 1024 * 1024]);
        assert!(stored.len() < 8192);
        let too_high = InflateError::RatioTooHigh { ratio_max: 200 };
        let mut out = Vec::new();
        assert_eq!(
            Inflater::new().inflate(&stored, &LIMITS, &mut out),
            Err(too_high)
        );
        assert!(out.capacity() <= PASSING_BYTES + ROOM_AFTER);
        // The first MiB is free.
        assert!(inflate(&gzip(&vec![b' '; 1024 * 1024])).is_ok());
        assert_eq!(
            inflate(&gzip(&vec![b' '; 1024 * 1024 + 1]))
                .unwrap_err()
                .reason(),
            "ratio_too_high"
        );
    }

    #[test]
    fn a_lying_size_takes_no_more_memory_than_it_promises() {
        let limits = InflateLimits {
            raw_bytes_max: 8 * 1024 * 1024,
            ratio_max: 2000,
        };
        let sound = gzip(&vec![b' '; 4 * 1024 * 1024]);
        let first = [sound[0], sound[1]];
        for promise in [0_u32, 1, 70_000, 4_194_303, 4_194_305, u32::MAX] {
            let mut stored = sound.clone();
            let at = stored.len() - 4;
            stored[at..].copy_from_slice(&promise.to_le_bytes());
            let mut out = Vec::new();
            let result = Inflater::new().inflate(&stored, &limits, &mut out);
            assert_eq!(result, Err(InflateError::LengthMismatch), "{promise}");
            let last = promise.to_le_bytes();
            let promised = raw_bytes_promised(stored.len() as u64, first, last, &limits);
            let most = usize::try_from(promised).unwrap().max(PASSING_BYTES);
            assert!(out.capacity() <= most + ROOM_AFTER, "{promise}");
        }
        let last = *sound.last_chunk().unwrap();
        let promised = raw_bytes_promised(sound.len() as u64, first, last, &limits);
        assert_eq!(promised, 4 * 1024 * 1024);
    }

    #[test]
    fn a_sound_object_is_not_moved_to_be_padded() {
        for stored in [gzip(&text(100_000)), text(100_000)] {
            let mut out = Vec::new();
            assert!(Inflater::new().inflate(&stored, &LIMITS, &mut out).is_ok());
            assert_eq!(out.capacity(), 100_000 + ROOM_AFTER);
        }
    }

    #[test]
    fn anything_without_the_magic_bytes_is_plain() {
        let mut out = Vec::new();
        for plain in [&b"{}"[..], b"\xef\xbb\xbf{}", b"[1]", b"\x1f ", b"x"] {
            assert_eq!(
                Inflater::new().inflate(plain, &LIMITS, &mut out),
                Ok(Inflated::Plain)
            );
            assert_eq!(out, plain);
        }
        assert_eq!(inflate(b""), Err(InflateError::Empty));
        assert_eq!(inflate(b"\x1f"), Err(InflateError::TruncatedGzip));
        assert_eq!(
            inflate(b"\x1f\x8b\x07\0\0\0\0\0\0\0").unwrap_err().reason(),
            "corrupt_gzip"
        );
        assert_eq!(
            inflate(b"\x1f\x8b\x08\x80\0\0\0\0\0\0")
                .unwrap_err()
                .reason(),
            "corrupt_gzip"
        );
        assert_eq!(
            inflate(b"\x1f\x8b\x08\0\0\0\0\0\0\0\xff\xff\xff")
                .unwrap_err()
                .reason(),
            "corrupt_gzip"
        );
    }

    proptest! {
        #[test]
        fn no_single_change_of_the_data_gives_other_bytes(
            raw in prop::collection::vec(any::<u8>(), 0..2000), at in 0_usize..4000, bit in 0_u8..8
        ) {
            let mut stored = gzip(&raw);
            // Time and operating system in the header are nobody's business.
            let at = 10 + at % (stored.len() - 10);
            stored[at] ^= 1 << bit;
            // A change in the padding bits of the last deflate byte changes nothing.
            let inflated = inflate(&stored);
            prop_assert!(inflated.is_err() || inflated == Ok(raw));
        }

        #[test]
        fn nothing_panics_on_any_bytes(tail in prop::collection::vec(any::<u8>(), 0..300), flags in 0_u8..32) {
            let _plain = inflate(&tail);
            let _gzip = inflate(&[&[0x1f, 0x8b, 8, flags][..], &tail].concat());
        }
    }
}
