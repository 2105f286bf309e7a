//! What identifies an event, and copies of one event.
//!
//! An event is identified by its eventID together with the account that
//! received the copy (CloudTrail user guide: copies in two accounts differ in
//! eventID). Where the eventID is missing, one is made from the record's
//! content; where it is no GUID (public samples hold placeholders such as
//! `...` in different events), the content decides what is a copy; a row keeps
//! the content's id beside the eventID, so that it tells its key ever after.

use super::hash::sha256;
use super::tape::Value;

/// Identifies copies of one event.
pub type CopyKey = [u8; 16];

/// The key of an event that stands in the lake: by its GUID, else by what the
/// row tells of its content.
pub fn copy_key_of_row(
    event_id: &str,
    content_id: Option<&str>,
    account_id: Option<&str>,
) -> Option<CopyKey> {
    let id = guid_bytes(event_id).or_else(|| content_id.and_then(read_content_id))?;
    Some(copy_key(Some(id), None, account_id))
}

/// The content that a key of [`copy_key`] was made of: mixing the account in a
/// second time takes it out.
pub fn content_of_key(key: CopyKey, account_id: Option<&str>) -> CopyKey {
    copy_key(Some(key), None, account_id)
}

/// The 16 bytes that [`content_id`] wrote.
pub fn read_content_id(text: &str) -> Option<CopyKey> {
    let digits = text.strip_prefix("sha256:")?;
    if digits.len() != 32 {
        return None;
    }
    u128::from_str_radix(digits, 16).ok().map(u128::to_be_bytes)
}

/// The record's eventID, or one made from its content.
pub fn event_id(event_id: Option<&str>, value: Value<'_, '_>) -> String {
    event_id.map_or_else(|| made_event_id(Some(&content_hash(value))), str::to_owned)
}

/// SHA-256 of the record's canonical JSON.
pub fn content_hash(value: Value<'_, '_>) -> [u8; 32] {
    let mut text = String::new();
    value.write_canonical(&mut text);
    sha256(text.as_bytes())
}

/// `sha256:` and the first 32 hex digits of the content's hash: stable, so that
/// the same record found twice is one event.
pub fn made_event_id(content: Option<&[u8; 32]>) -> String {
    content
        .and_then(|hash| hash.first_chunk())
        .map_or_else(|| "sha256:".to_owned(), content_id)
}

/// Names content by the first half of its hash.
pub fn content_id(content: &CopyKey) -> String {
    format!("sha256:{:032x}", u128::from_be_bytes(*content))
}

/// The 16 bytes of `xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx`.
pub fn guid_bytes(text: &str) -> Option<CopyKey> {
    let &[
        a0,
        a1,
        a2,
        a3,
        a4,
        a5,
        a6,
        a7,
        b'-',
        b0,
        b1,
        b2,
        b3,
        b'-',
        c0,
        c1,
        c2,
        c3,
        b'-',
        d0,
        d1,
        d2,
        d3,
        b'-',
        e0,
        e1,
        e2,
        e3,
        e4,
        e5,
        e6,
        e7,
        e8,
        e9,
        e10,
        e11,
    ] = text.as_bytes()
    else {
        return None;
    };
    let [a, b, c, d] = [
        [a0, a1, a2, a3, a4, a5, a6, a7],
        [b0, b1, b2, b3, c0, c1, c2, c3],
        [d0, d1, d2, d3, e0, e1, e2, e3],
        [e4, e5, e6, e7, e8, e9, e10, e11],
    ]
    .map(hex_digits);
    let ([a0, a1, a2, a3], [b0, b1, b2, b3]) = (a?, b?);
    let ([c0, c1, c2, c3], [d0, d1, d2, d3]) = (c?, d?);
    Some([
        a0, a1, a2, a3, b0, b1, b2, b3, c0, c1, c2, c3, d0, d1, d2, d3,
    ])
}

/// The bytes of eight hex digits, all at once: every event has 32 of them.
fn hex_digits(digits: [u8; 8]) -> Option<[u8; 4]> {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const HIGHS: u64 = 0x8080_8080_8080_8080;
    let word = u64::from_le_bytes(digits);
    // High bit of each byte that is a digit; of each that is a letter, by its
    // distance from the byte before `a`. No addition carries: all are ASCII.
    let digit = word ^ (ONES * u64::from(b'0'));
    let letter = (word | (ONES * 0x20)) ^ (ONES * 0x60);
    let is_digit = !digit.wrapping_add(ONES * (0x80 - 10));
    let is_letter =
        !letter.wrapping_add(ONES * (0x80 - 7)) & letter.wrapping_add(ONES * (0x80 - 1));
    let plain = !(word | digit | letter);
    if (is_digit | is_letter) & plain & HIGHS != HIGHS {
        return None;
    }
    let nibbles = (word & (ONES * 0x0f)) + ((word >> 6) & ONES) * 9;
    let pairs = (nibbles << 4) | (nibbles >> 8);
    let [a, _, b, _, c, _, d, _] = pairs.to_le_bytes();
    Some([a, b, c, d])
}

/// Joins the event's identity with the account that received this copy.
pub fn copy_key(
    guid: Option<CopyKey>,
    content: Option<&[u8; 32]>,
    account_id: Option<&str>,
) -> CopyKey {
    let mut key = guid
        .or_else(|| content.and_then(|hash| hash.first_chunk::<16>().copied()))
        .unwrap_or_default();
    // FNV-1a of the account, spread over half of the key: a GUID is random
    // already, the account only has to move it.
    let mut mix = 0xcbf2_9ce4_8422_2325_u64;
    for byte in account_id.unwrap_or_default().bytes() {
        mix = (mix ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
    }
    for (byte, mixed) in key.iter_mut().zip(mix.to_le_bytes()) {
        *byte ^= mixed;
    }
    key
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Digit by digit, as one would write it.
    fn slow(text: &str) -> Option<CopyKey> {
        let dashes: Vec<usize> = text.match_indices('-').map(|(at, _)| at).collect();
        let digits: String = text.chars().filter(|c| *c != '-').collect();
        let sound = text.len() == 36
            && dashes == [8, 13, 18, 23]
            && digits.chars().all(|c| c.is_ascii_hexdigit());
        let number = sound.then(|| u128::from_str_radix(&digits, 16).ok())??;
        Some(number.to_be_bytes())
    }

    #[test]
    fn every_byte_but_a_hex_digit_spoils_a_guid() {
        let guid = "01234567-89ab-cdef-ABCD-EF0123456789";
        for at in 0..guid.len() {
            for byte in 0..128_u8 {
                let mut text = guid.as_bytes().to_vec();
                text[at] = byte;
                let text = String::from_utf8(text).unwrap();
                assert_eq!(guid_bytes(&text), slow(&text), "{text:?}");
            }
        }
        assert_eq!(guid_bytes("01234567-89ab-cdef-ABCD-EF01234567\u{e9}"), None);
    }

    proptest! {
        #[test]
        fn guids_are_read_as_numbers(
            text in "[0-9a-fA-F]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9A-F]{4}-[0-9a-fg]{12}"
        ) {
            prop_assert_eq!(guid_bytes(&text), slow(&text));
        }
    }

    #[test]
    fn a_row_tells_the_key_of_its_event() {
        let account = Some("111122223333");
        let guid = "2ad4cbf1-2b0e-4f3b-9b5e-0a1b2c3d4e5f";
        let by_guid = copy_key(guid_bytes(guid), None, account);
        assert_eq!(copy_key_of_row(guid, None, account), Some(by_guid));
        let content = sha256(b"{}");
        let by_content = copy_key(None, Some(&content), account);
        let id = content_id(&content_of_key(by_content, account));
        assert_eq!(id, made_event_id(Some(&content)));
        assert_eq!(copy_key_of_row("...", Some(&id), account), Some(by_content));
        assert_eq!(copy_key_of_row("...", None, account), None);
    }
}
