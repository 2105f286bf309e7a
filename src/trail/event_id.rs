//! What identifies an event, and copies of one event.
//!
//! An event is identified by its eventID together with the account that
//! received the copy (CloudTrail user guide: copies in two accounts differ in
//! eventID). Where the eventID is missing, one is made from the record's
//! content; where it is no GUID (public samples hold placeholders such as
//! `...` in different events), the content decides what is a copy.

use super::inflate::sha256;
use super::record::Fields;
use super::tape::Value;

/// Identifies copies of one event.
pub type CopyKey = [u8; 16];

/// The key of an event that stands in the lake, as far as the row still tells
/// it: not for an eventID that is neither a GUID nor made here.
pub fn copy_key_of_row(event_id: &str, account_id: Option<&str>) -> Option<CopyKey> {
    let id = guid_bytes(event_id).or_else(|| made_bytes(event_id))?;
    Some(copy_key(Some(id), None, account_id))
}

/// The 16 bytes of an id that [`made_event_id`] made.
fn made_bytes(event_id: &str) -> Option<CopyKey> {
    let digits = event_id.strip_prefix("sha256:")?;
    if digits.len() != 32 {
        return None;
    }
    u128::from_str_radix(digits, 16).ok().map(u128::to_be_bytes)
}

/// The record's eventID, or one made from its content.
pub fn event_id(fields: &Fields<'_, '_>, value: Value<'_, '_>) -> String {
    fields
        .event_id
        .map_or_else(|| made_event_id(Some(&content_hash(value))), str::to_owned)
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
    let mut id = String::from("sha256:");
    for byte in content.iter().flat_map(|hash| hash.iter().take(16)) {
        id.push_str(&format!("{byte:02x}"));
    }
    id
}

/// The 16 bytes of `xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx`.
pub fn guid_bytes(text: &str) -> Option<CopyKey> {
    let text: &[u8; 36] = text.as_bytes().try_into().ok()?;
    let mut guid = [0_u8; 16];
    let mut digits = 0_usize;
    for (i, &byte) in text.iter().enumerate() {
        if matches!(i, 8 | 13 | 18 | 23) {
            if byte != b'-' {
                return None;
            }
            continue;
        }
        let digit = match byte {
            b'0'..=b'9' => byte - b'0',
            b'a'..=b'f' => byte - b'a' + 10,
            b'A'..=b'F' => byte - b'A' + 10,
            _ => return None,
        };
        let place = guid.get_mut(digits / 2)?;
        *place = (*place << 4) | digit;
        digits += 1;
    }
    Some(guid)
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
