//! What identifies an event, and copies of one event.
//!
//! An event is identified by its eventID together with the account that
//! received the copy (CloudTrail user guide: copies in two accounts differ in
//! eventID). Where the eventID is missing, one is made from the record's
//! content; where it is no GUID (public samples hold placeholders such as
//! `...` in different events), the content decides what is a copy; a row keeps
//! the content's id beside the eventID, so that it tells its key ever after.

use super::inflate::sha256;
use super::record::Fields;
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

#[cfg(test)]
mod tests {
    use super::*;

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
