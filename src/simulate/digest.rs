//! Writes the digests of the trail: hourly, chained, signed.
//!
//! Format and signature: CloudTrail user guide, "digest file structure", and
//! aws-cli's `validation.py`: RSASSA-PKCS1-v1_5 with SHA-256 over end time,
//! place, hash and the signature before. The signature is metadata of the S3
//! object, which a file has none of; it stands in `signatures.json` under the
//! object's key, the public key beside it as `ListPublicKeys` would answer.
//!
//! The signing key ships with bricktrail and protects nothing: it signs
//! fiction. It is the same for every seed, for making one takes seconds.

use super::SimulateError;
use super::exports::file;
use super::org::{LAKE_EU, PLACES, START, place};
use super::text::{basic, day_folder, iso, put};
use super::write::{Written, gzip};
use crate::trail::hash::sha256;
use md5::{Digest as _, Md5};
use ring::rand::SystemRandom;
use ring::signature::{RSA_PKCS1_SHA256, RsaKeyPair};
use std::path::Path;

const KEY: &[u8] = include_bytes!("digest-key.der");
const BUCKET: &str = "northwind-cloudtrail";
const HOUR: i64 = 3600;
/// Digests are hourly, but not aligned to the clock.
const OFFSET: i64 = 91;
/// How long a key was valid in all public samples: 30 days.
const KEY_DAYS: i64 = 30;

struct Signing {
    key: RsaKeyPair,
    random: SystemRandom,
    fingerprint: String,
}

/// What the next digest says of the one before.
struct Previous {
    object: String,
    hash: String,
    signature: String,
}

/// Writes all digests below `trail`, and what is needed to check them below
/// `keys`; tells how many there are.
pub(super) fn write(written: &[Written], trail: &Path, keys: &Path) -> Result<u64, SimulateError> {
    let key = RsaKeyPair::from_der(KEY).map_err(|error| SimulateError::Sign(error.to_string()))?;
    let signing = Signing {
        fingerprint: hex(&Md5::digest(key.public().as_ref())),
        key,
        random: SystemRandom::new(),
    };
    let last = written.iter().map(|w| w.label).max().unwrap_or(START);
    let mut signatures = serde_json::Map::new();
    let mut count = 0;
    for number in 0..=PLACES.len() {
        let mut mine: Vec<&Written> = written.iter().filter(|w| w.trail == number).collect();
        mine.sort_by(|a, b| (a.label, &a.key).cmp(&(b.label, &b.key)));
        if mine.is_empty() {
            continue;
        }
        let mut previous: Option<Previous> = None;
        let mut from = START + OFFSET - HOUR;
        while from < last {
            let until = from + HOUR;
            let listed: Vec<&Written> = mine
                .iter()
                .copied()
                .filter(|w| from < w.label && w.label <= until)
                .collect();
            let object = key_of(number, until);
            let bytes = json(
                number,
                from..until,
                &object,
                &listed,
                &signing,
                previous.as_ref(),
            );
            let hash = hex(&sha256(bytes.as_bytes()));
            let before = previous.as_ref().map_or("null", |p| p.signature.as_str());
            let text = format!("{}\n{BUCKET}/{object}\n{hash}\n{before}", iso(until));
            let signature = sign(&signing, text.as_bytes())?;
            let path = trail.join(&object);
            let stored =
                gzip(bytes.as_bytes()).map_err(|source| SimulateError::write(&path, source))?;
            file(&path, &stored)?;
            signatures.insert(
                object.clone(),
                serde_json::json!({
                    "signature": signature,
                    "signature-algorithm": "SHA256withRSA",
                }),
            );
            previous = Some(Previous {
                object,
                hash,
                signature,
            });
            count += 1;
            from = until;
        }
    }
    let list = serde_json::json!({
        "PublicKeyList": [{
            "Value": base64(signing.key.public().as_ref()),
            "ValidityStartTime": START - 24 * HOUR,
            "ValidityEndTime": START - 24 * HOUR + (last - START).max(KEY_DAYS * 24 * HOUR),
            "Fingerprint": signing.fingerprint,
        }],
    });
    let pretty = |value: &serde_json::Value| format!("{value:#}\n");
    file(&keys.join("public-keys.json"), pretty(&list).as_bytes())?;
    let signatures = serde_json::Value::Object(signatures);
    file(
        &keys.join("signatures.json"),
        pretty(&signatures).as_bytes(),
    )?;
    Ok(count)
}

/// The trail of all places, and the second one.
fn trail_name(number: usize) -> (&'static str, &'static str) {
    if number == PLACES.len() {
        ("eu_data-events", "eu-west-1")
    } else {
        ("northwind", "us-west-2")
    }
}

fn key_of(number: usize, until: i64) -> String {
    let (trail, home) = trail_name(number);
    let at = place(if number == PLACES.len() {
        LAKE_EU
    } else {
        number
    });
    let (account, region) = (at.account, at.region);
    format!(
        "AWSLogs/{account}/CloudTrail-Digest/{region}/{}/{account}_CloudTrail-Digest_{region}_{trail}_{home}_{}.json.gz",
        day_folder(until),
        basic(until)
    )
}

fn json(
    number: usize,
    span: std::ops::Range<i64>,
    object: &str,
    listed: &[&Written],
    signing: &Signing,
    previous: Option<&Previous>,
) -> String {
    let at = place(if number == PLACES.len() {
        LAKE_EU
    } else {
        number
    });
    let text = |text: Option<String>| text.map_or("null".to_owned(), |t| format!("\"{t}\""));
    let newest = listed.iter().map(|w| w.newest).max().map(iso);
    let oldest = listed.iter().map(|w| w.oldest).min().map(iso);
    let mut out = String::new();
    put(
        &mut out,
        format_args!(
            r#"{{"awsAccountId":"{}","digestStartTime":"{}","digestEndTime":"{}","digestS3Bucket":"{BUCKET}","digestS3Object":"{object}","digestPublicKeyFingerprint":"{}","digestSignatureAlgorithm":"SHA256withRSA","newestEventTime":{},"oldestEventTime":{},"#,
            at.account,
            iso(span.start),
            iso(span.end),
            signing.fingerprint,
            text(newest),
            text(oldest),
        ),
    );
    let had = previous.is_some();
    put(
        &mut out,
        format_args!(
            r#""previousDigestS3Bucket":{},"previousDigestS3Object":{},"previousDigestHashValue":{},"previousDigestHashAlgorithm":{},"previousDigestSignature":{},"logFiles":["#,
            text(had.then(|| BUCKET.to_owned())),
            text(previous.map(|p| p.object.clone())),
            text(previous.map(|p| p.hash.clone())),
            text(had.then(|| "SHA-256".to_owned())),
            text(previous.map(|p| p.signature.clone())),
        ),
    );
    for (n, written) in listed.iter().enumerate() {
        if n > 0 {
            out.push(',');
        }
        put(
            &mut out,
            format_args!(
                r#"{{"s3Bucket":"{BUCKET}","s3Object":"{}","hashValue":"{}","hashAlgorithm":"SHA-256","newestEventTime":"{}","oldestEventTime":"{}"}}"#,
                written.key,
                hex(&written.sha256),
                iso(written.newest),
                iso(written.oldest)
            ),
        );
    }
    out.push_str("]}");
    out
}

fn sign(signing: &Signing, text: &[u8]) -> Result<String, SimulateError> {
    let mut signature = vec![0; signing.key.public().modulus_len()];
    signing
        .key
        .sign(&RSA_PKCS1_SHA256, &signing.random, text, &mut signature)
        .map_err(|error| SimulateError::Sign(error.to_string()))?;
    Ok(hex(&signature))
}

fn hex(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        put(&mut text, format_args!("{byte:02x}"));
    }
    text
}

fn base64(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let mut bits = [0_u8; 3];
        for (bit, byte) in bits.iter_mut().zip(chunk) {
            *bit = *byte;
        }
        let [a, b, c] = bits.map(usize::from);
        let letters = [
            a >> 2,
            (a & 3) << 4 | b >> 4,
            (b & 15) << 2 | c >> 6,
            c & 63,
        ];
        for (n, letter) in letters.into_iter().enumerate() {
            let letter = LETTERS.get(letter).filter(|_| n <= chunk.len());
            text.push(char::from(letter.copied().unwrap_or(b'=')));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_pads_as_rfc_4648_says() {
        let coded = [&b""[..], b"f", b"fo", b"foo", b"foob", b"fooba", b"foobar"].map(base64);
        assert_eq!(
            coded,
            [
                "", "Zg==", "Zm8=", "Zm9v", "Zm9vYg==", "Zm9vYmE=", "Zm9vYmFy"
            ]
        );
    }
}
