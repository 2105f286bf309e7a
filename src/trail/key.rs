//! Says what an object of a log bucket claims to be, by its key alone.
//!
//! The grammar is that of the CloudTrail user guide:
//! `[<prefix>/]AWSLogs/[<org id>/]<account>/<kind>/<region>/<YYYY>/<MM>/<DD>/<file name>`.
//! It is read from the end, because only the end is fixed: a prefix may hold
//! slashes, blanks and even the word `AWSLogs`. Two things are wider than in the
//! guide, because published archives are redacted: an account may have any
//! length up to 32 digits, and a region may hold `_`.
//!
//! INVARIANT (a claim, not a fact): a key is never proof. The content decides
//! what an object is; the minute in a name is a label, never a bound.
//!
//! Deliberately absent: decoding of `%XX` and `+` (a matter of the
//! notification), and any trail name for logs, which their keys do not hold.

use crate::model::UtcMicros;
use chrono::{Datelike, NaiveDate};

/// Longest account number accepted; real ones have 12 digits, redacted ones vary.
const ACCOUNT_DIGITS_MAX: usize = 32;

/// The kinds of objects below `AWSLogs/`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LogKind {
    /// Management and data events.
    Log,
    Digest,
    Insight,
    /// Events of VPC endpoints.
    NetworkActivity,
    /// Five-minute summaries of data events: never counted as accesses.
    Aggregated,
    /// Config, vpcflowlogs, elasticloadbalancing and so on.
    OtherService,
    Other,
}

/// A CloudTrail object key, known to follow AWS's grammar.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogKey {
    pub kind: LogKind,
    /// What stands before `/AWSLogs`, as it stands there.
    pub prefix: Option<String>,
    /// `o-…`; Control Tower before 3.0 writes none even for an organisation.
    pub organization_id: Option<String>,
    /// The member account, not the owner of the trail.
    pub account_id: String,
    /// Region of the folder.
    pub region: String,
    /// Year, month and day of the folder: the day of delivery, UTC.
    pub date: (u16, u8, u8),
    /// The time in the file name: a label only.
    pub file_time: Option<UtcMicros>,
    /// What the name of a digest tells beyond that.
    pub digest: Option<DigestName>,
    pub warnings: Vec<KeyWarning>,
}

/// The part of a digest's name that no log name has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DigestName {
    pub trail: String,
    /// Where the trail was made; `LogKey::region` is what the digest covers.
    pub home_region: String,
    pub backfill: bool,
    /// End of the hour that the digest covers.
    pub ended_at: UtcMicros,
}

/// A disagreement between folder and name that is worth a note, no more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyWarning {
    /// AWS's own sample of a notification has such a key.
    RegionDiffers,
    DayDiffers,
}

/// What a key says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeyClass {
    Cloudtrail(LogKey),
    OtherService {
        service: String,
    },
    /// A folder marker: the key ends in `/`.
    Marker,
    /// Folder and name contradict each other: quarantine.
    Mismatch {
        reason: String,
    },
    Unknown,
}

/// What a file name says by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileName<'a> {
    pub kind: LogKind,
    pub account_id: &'a str,
    pub region: &'a str,
    pub file_time: UtcMicros,
    pub digest: Option<DigestName>,
}

/// Reads a key, decoded, as AWS writes it.
pub fn classify(key: &str) -> KeyClass {
    if key.ends_with('/') {
        return KeyClass::Marker;
    }
    read_dated(key)
        .or_else(|| other_service(key))
        .unwrap_or(KeyClass::Unknown)
}

/// Recognises a CloudTrail file by its name alone: for copies whose folders
/// are lost. An unpacked `.json` counts too.
pub fn classify_file_name(name: &str) -> Option<LogKind> {
    FileName::parse(name, None).map(|name| name.kind)
}

/// Reads the delivery minute of a file name as the number `YYYYMMDDHHMM`, for
/// putting listed files in order of delivery.
pub fn delivery_label(file_name: &str) -> Option<u64> {
    let digits = |bytes: &[u8]| {
        bytes.iter().try_fold(0_u64, |sum, byte| {
            byte.is_ascii_digit()
                .then(|| sum * 10 + u64::from(byte - b'0'))
        })
    };
    file_name.as_bytes().windows(15).rev().find_map(|window| {
        let (b'_', stamp) = window.split_first()? else {
            return None;
        };
        let (day, time) = stamp.split_at_checked(8)?;
        let (b'T', minute) = time.split_first()? else {
            return None;
        };
        // The fifth byte is `Z` in a log's name, a digit of the seconds in a digest's.
        let (minute, [b'Z' | b'0'..=b'9']) = minute.split_at_checked(4)? else {
            return None;
        };
        Some(digits(day)? * 10_000 + digits(minute)?)
    })
}

impl LogKind {
    /// The kind that a folder or the second part of a file name spells.
    fn of_segment(segment: &str) -> Option<LogKind> {
        match segment {
            "CloudTrail" => Some(LogKind::Log),
            "CloudTrail-Digest" => Some(LogKind::Digest),
            "CloudTrail-Insight" => Some(LogKind::Insight),
            "CloudTrail-NetworkActivity" => Some(LogKind::NetworkActivity),
            "CloudTrail-Aggregated" => Some(LogKind::Aggregated),
            _ => segment
                .strip_prefix("CloudTrail-")
                .is_some_and(|rest| !rest.is_empty())
                .then_some(LogKind::Other),
        }
    }

    pub fn as_str(self) -> &'static str {
        match self {
            LogKind::Log => "log",
            LogKind::Digest => "digest",
            LogKind::Insight => "insight",
            LogKind::NetworkActivity => "network_activity",
            LogKind::Aggregated => "aggregated",
            LogKind::OtherService => "other_service",
            LogKind::Other => "other",
        }
    }
}

impl KeyClass {
    /// The kind under which the object is counted.
    pub fn kind(&self) -> LogKind {
        match self {
            KeyClass::Cloudtrail(key) => key.kind,
            KeyClass::OtherService { .. } => LogKind::OtherService,
            KeyClass::Marker | KeyClass::Mismatch { .. } | KeyClass::Unknown => LogKind::Other,
        }
    }
}

impl<'a> FileName<'a> {
    /// Reads `<account>_<kind>_<region>_<time>…`. The region of the folder,
    /// where there is one, settles where a region with `_` ends.
    pub fn parse(name: &'a str, folder_region: Option<&str>) -> Option<FileName<'a>> {
        let stem = name
            .strip_suffix(".json.gz")
            .or_else(|| name.strip_suffix(".json"))?;
        let (account_id, rest) = stem.split_once('_')?;
        let (kind, rest) = rest.split_once('_')?;
        let kind = LogKind::of_segment(kind)?;
        if !is_account(account_id) {
            return None;
        }
        let (region, file_time, digest) = if kind == LogKind::Digest {
            let (region, digest) = parse_digest(rest, folder_region)?;
            (region, digest.ended_at, Some(digest))
        } else {
            let (region, file_time) = parse_log(rest)?;
            (region, file_time, None)
        };
        is_region(region).then_some(FileName {
            kind,
            account_id,
            region,
            file_time,
            digest,
        })
    }
}

/// `<region>_<YYYYMMDD>T<HHmm>Z_<unique>`; older names lack the last `_`.
fn parse_log(rest: &str) -> Option<(&str, UtcMicros)> {
    let (head, tail) = rest.rsplit_once('_')?;
    let unique = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric());
    if let Some((region, stamp)) = head.rsplit_once('_')
        && unique(tail)
        && let Some(at) = parse_stamp(stamp)
    {
        return Some((region, at));
    }
    let (stamp, tail) = tail.split_at_checked("YYYYMMDDTHHMMZ".len())?;
    unique(tail).then_some((head, parse_stamp(stamp)?))
}

/// `<region>_<trail>_<home region>_<YYYYMMDD>T<HHmmss>Z[_backfill]`.
///
/// A trail name may hold `_`, so the ends are cut off first: the home region
/// has no `_`, and the region in front is that of the folder.
fn parse_digest<'a>(rest: &'a str, folder_region: Option<&str>) -> Option<(&'a str, DigestName)> {
    let (rest, backfill) = match rest.strip_suffix("_backfill") {
        Some(rest) => (rest, true),
        None => (rest, false),
    };
    let (rest, stamp) = rest.rsplit_once('_')?;
    let (rest, home_region) = rest.rsplit_once('_')?;
    let (region, trail) = folder_region
        .and_then(|region| {
            let (head, tail) = rest.split_at_checked(region.len())?;
            (head == region).then_some((head, tail.strip_prefix('_')?))
        })
        .or_else(|| rest.split_once('_'))?;
    let in_trail = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
    if trail.is_empty() || !trail.bytes().all(in_trail) || !is_region(home_region) {
        return None;
    }
    let digest = DigestName {
        trail: trail.to_owned(),
        home_region: home_region.to_owned(),
        backfill,
        ended_at: (stamp.len() == "YYYYMMDDTHHMMSSZ".len())
            .then(|| parse_stamp(stamp))
            .flatten()?,
    };
    Some((region, digest))
}

/// Reads a key that has all the folders down to the day; `None` when it has not.
fn read_dated(key: &str) -> Option<KeyClass> {
    let (rest, name) = key.rsplit_once('/')?;
    let (rest, day) = rest.rsplit_once('/')?;
    let (rest, month) = rest.rsplit_once('/')?;
    let (rest, year) = rest.rsplit_once('/')?;
    let (rest, region) = rest.rsplit_once('/')?;
    let (rest, kind_text) = rest.rsplit_once('/')?;
    let (rest, account_id) = rest.rsplit_once('/')?;
    let (rest, organization_id) = match rest.rsplit_once('/') {
        Some((rest, id)) if is_organization(id) => (rest, Some(id)),
        _ => (rest, None),
    };
    let prefix = match rest.strip_suffix("AWSLogs")? {
        "" => None,
        before => Some(before.strip_suffix('/')?),
    };
    let kind = LogKind::of_segment(kind_text)?;
    if !is_account(account_id) || !is_region(region) || !name.ends_with(".json.gz") {
        return None;
    }
    let date = parse_day(year, month, day)?;

    let mut warnings = Vec::new();
    let (file_time, digest) = match FileName::parse(name, Some(region)) {
        Some(file) => {
            if file.account_id != account_id {
                return Some(mismatch("account", account_id, file.account_id));
            }
            if file.kind != kind {
                return Some(mismatch("kind", kind.as_str(), file.kind.as_str()));
            }
            if file.region != region {
                warnings.push(KeyWarning::RegionDiffers);
            }
            if file.file_time.date() != UtcMicros::from_datetime(midnight(date)).date() {
                warnings.push(KeyWarning::DayDiffers);
            }
            (Some(file.file_time), file.digest)
        }
        // The names of these kinds are documented; whoever breaks them is not CloudTrail.
        None if matches!(kind, LogKind::Log | LogKind::Digest) => return None,
        // Those of the others are inferred: a name unlike them is still counted as its folder says.
        None => (None, None),
    };
    Some(KeyClass::Cloudtrail(LogKey {
        kind,
        prefix: prefix.map(str::to_owned),
        organization_id: organization_id.map(str::to_owned),
        account_id: account_id.to_owned(),
        region: region.to_owned(),
        date: (
            u16::try_from(date.year()).ok()?,
            u8::try_from(date.month()).ok()?,
            u8::try_from(date.day()).ok()?,
        ),
        file_time,
        digest,
        warnings,
    }))
}

/// `…AWSLogs/[<org id>/]<account>/<service>/…` for a service that is not CloudTrail.
fn other_service(key: &str) -> Option<KeyClass> {
    let mut segments = key.rsplit('/').skip(1).peekable();
    let mut service = segments.next()?;
    while let Some(account_id) = segments.next() {
        let below_logs = match segments.peek() {
            Some(&"AWSLogs") => true,
            Some(id) if is_organization(id) => segments.clone().nth(1) == Some("AWSLogs"),
            _ => false,
        };
        if below_logs && is_account(account_id) {
            let cloudtrail = LogKind::of_segment(service).is_some();
            return (!cloudtrail && !service.is_empty()).then(|| KeyClass::OtherService {
                service: service.to_owned(),
            });
        }
        service = account_id;
    }
    None
}

fn mismatch(what: &str, folder: &str, name: &str) -> KeyClass {
    KeyClass::Mismatch {
        reason: format!("{what} `{folder}` in the folder, `{name}` in the file name"),
    }
}

fn is_account(text: &str) -> bool {
    (1..=ACCOUNT_DIGITS_MAX).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit())
}

fn is_region(text: &str) -> bool {
    let in_region = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-');
    !text.is_empty() && text.bytes().all(in_region)
}

fn is_organization(text: &str) -> bool {
    text.strip_prefix("o-").is_some_and(|id| {
        !id.is_empty()
            && id
                .bytes()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit())
    })
}

/// A number of exactly this many digits.
fn number(text: &str, digits: usize) -> Option<u32> {
    (text.len() == digits && text.bytes().all(|b| b.is_ascii_digit()))
        .then(|| text.parse().ok())
        .flatten()
}

fn parse_day(year: &str, month: &str, day: &str) -> Option<NaiveDate> {
    let year = i32::try_from(number(year, 4)?).ok()?;
    let date = NaiveDate::from_ymd_opt(year, number(month, 2)?, number(day, 2)?)?;
    (year >= 1970).then_some(date)
}

fn midnight(date: NaiveDate) -> chrono::DateTime<chrono::Utc> {
    date.and_time(chrono::NaiveTime::MIN).and_utc()
}

/// `YYYYMMDDTHHMMZ` or `YYYYMMDDTHHMMSSZ`.
fn parse_stamp(text: &str) -> Option<UtcMicros> {
    let (day, time) = text.strip_suffix('Z')?.split_once('T')?;
    let date = parse_day(day.get(..4)?, day.get(4..6)?, day.get(6..)?)?;
    let seconds = match time.len() {
        4 => 0,
        6 => number(time.get(4..)?, 2)?,
        _ => return None,
    };
    let (hour, minute) = (number(time.get(..2)?, 2)?, number(time.get(2..4)?, 2)?);
    let at = date.and_hms_opt(hour, minute, seconds)?.and_utc();
    Some(UtcMicros::from_datetime(at))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// One line for each key: what a reader wants to see of it.
    fn render(key: &str) -> String {
        let class = classify(key);
        let key = match &class {
            KeyClass::Cloudtrail(key) => key,
            KeyClass::OtherService { service } => return format!("other_service {service}"),
            KeyClass::Marker => return "marker".into(),
            KeyClass::Mismatch { reason } => return format!("mismatch: {reason}"),
            KeyClass::Unknown => return "unknown".into(),
        };
        let mut line = format!("{} {} {}", key.kind.as_str(), key.account_id, key.region);
        let (year, month, day) = key.date;
        line += &format!(" {year}-{month:02}-{day:02}");
        if let Some(at) = key.file_time {
            line += &format!(" at {at}");
        }
        if let Some(prefix) = &key.prefix {
            line += &format!(" prefix `{prefix}`");
        }
        if let Some(id) = &key.organization_id {
            line += &format!(" org {id}");
        }
        if let Some(digest) = &key.digest {
            assert_eq!(Some(digest.ended_at), key.file_time);
            line += &format!(" trail {} home {}", digest.trail, digest.home_region);
            line += if digest.backfill { " backfill" } else { "" };
        }
        for warning in &key.warnings {
            line += &format!(" {warning:?}");
        }
        line
    }

    #[track_caller]
    fn check(cases: &[(&str, &str)]) {
        for (key, expected) in cases {
            assert_eq!(&render(key), expected, "{key}");
        }
    }

    const NAME: &str = "111122223333_CloudTrail_us-east-2_20150801T0210Z_Mu0KsOhtH1ar15ZZ.json.gz";
    const FOLDER: &str = "111122223333/CloudTrail/us-east-2/2015/08/01";
    const LOG: &str = "log 111122223333 us-east-2 2015-08-01 at 2015-08-01T02:10:00Z";

    #[test]
    fn a_log_key_is_read_with_its_prefix_and_organisation() {
        for (before, after) in [
            ("AWSLogs/", ""),
            ("p/q/AWSLogs/", " prefix `p/q`"),
            ("AWSLogs/AWSLogs/", " prefix `AWSLogs`"),
            ("x/AWSLogs/y/AWSLogs/", " prefix `x/AWSLogs/y`"),
            ("/AWSLogs/", " prefix ``"),
            ("a b+c%20d/ä é/AWSLogs/", " prefix `a b+c%20d/ä é`"),
            ("AWSLogs/o-12345/", " org o-12345"),
            ("p/AWSLogs/o-abc1234567/", " prefix `p` org o-abc1234567"),
        ] {
            let key = format!("{before}{FOLDER}/{NAME}");
            assert_eq!(render(&key), format!("{LOG}{after}"), "{key}");
        }
    }

    #[test]
    fn every_partition_and_redacted_archives_are_read() {
        for (account, region) in [
            ("111122223333", "us-gov-west-1"),
            ("111122223333", "cn-north-1"),
            ("111122223333", "us-iso-east-1"),
            ("12345", "us-north-2r"),
            ("1234567890123456", "___"),
        ] {
            let name =
                format!("{account}_CloudTrail_{region}_20260102T0005Z_AAAAAAAAAAAAAAAA.json.gz");
            let key = format!("AWSLogs/{account}/CloudTrail/{region}/2026/01/02/{name}");
            assert_eq!(
                render(&key),
                format!("log {account} {region} 2026-01-02 at 2026-01-02T00:05:00Z")
            );
            assert_eq!(classify_file_name(&name), Some(LogKind::Log), "{name}");
        }
    }

    #[test]
    fn an_old_name_lacks_the_underscore_before_its_unique_string() {
        check(&[(
            "AWSLogs/123456789012/CloudTrail/us-west-1/2014/06/20/123456789012_CloudTrail_us-west-1_20140620T1255ZHdkvFTXOA3Vnhbc.json.gz",
            "log 123456789012 us-west-1 2014-06-20 at 2014-06-20T12:55:00Z",
        )]);
    }

    #[test]
    fn a_digest_name_is_cut_from_both_ends() {
        let at = "digest 111122223333 us-east-2 2015-08-17 at 2015-08-17T15:01:31Z";
        for (tail, expected) in [
            (
                "my_trail-1.x_us-west-2_20150817T150131Z",
                " trail my_trail-1.x home us-west-2",
            ),
            (
                "my_trail-1.x_us-west-2_20150817T150131Z_backfill",
                " trail my_trail-1.x home us-west-2 backfill",
            ),
            (
                "us-east-2_us-east-2_20150817T150131Z",
                " trail us-east-2 home us-east-2",
            ),
            (
                "t_backfill_us-east-2_20150817T150131Z",
                " trail t_backfill home us-east-2",
            ),
            (
                "t_20150817T150131Z_us-gov-east-1_20150817T150131Z",
                " trail t_20150817T150131Z home us-gov-east-1",
            ),
        ] {
            let name = format!("111122223333_CloudTrail-Digest_us-east-2_{tail}.json.gz");
            let key = format!("AWSLogs/111122223333/CloudTrail-Digest/us-east-2/2015/08/17/{name}");
            assert_eq!(render(&key), format!("{at}{expected}"));
            assert_eq!(classify_file_name(&name), Some(LogKind::Digest), "{name}");
        }
    }

    #[test]
    fn other_kinds_are_recognised_by_folder_whatever_their_name() {
        check(&[
            (
                "AWSLogs/111122223333/CloudTrail-Insight/us-east-1/2026/01/02/111122223333_CloudTrail-Insight_us-east-1_20260102T0005Z_abc.json.gz",
                "insight 111122223333 us-east-1 2026-01-02 at 2026-01-02T00:05:00Z",
            ),
            (
                "AWSLogs/111122223333/CloudTrail-NetworkActivity/us-east-1/2026/01/02/111122223333_CloudTrail-NetworkActivity_us-east-1_20260102T0005Z_abc.json.gz",
                "network_activity 111122223333 us-east-1 2026-01-02 at 2026-01-02T00:05:00Z",
            ),
            (
                "AWSLogs/111122223333/CloudTrail-Aggregated/us-east-1/2026/01/02/something-else.json.gz",
                "aggregated 111122223333 us-east-1 2026-01-02",
            ),
            (
                "AWSLogs/111122223333/CloudTrail-Brand-New/us-east-1/2026/01/02/x.json.gz",
                "other 111122223333 us-east-1 2026-01-02",
            ),
        ]);
    }

    #[test]
    fn what_is_not_cloudtrails_is_named_or_unknown() {
        check(&[
            ("AWSLogs/111122223333/CloudTrail-Digest/", "marker"),
            ("AWSLogs/", "marker"),
            (
                "AWSLogs/111122223333/Config/ConfigWritabilityCheckFile",
                "other_service Config",
            ),
            (
                "p/AWSLogs/o-abc/111122223333/vpcflowlogs/us-east-1/2026/01/02/x.log.gz",
                "other_service vpcflowlogs",
            ),
            (
                "AWSLogs/111122223333/WAFLogs/us-east-1/acl/2026/01/02/03/04/x.gz",
                "other_service WAFLogs",
            ),
            (
                "AWSLogs/111122223333/CloudTrail/us-east-2/2015/08/01/readme.json.gz",
                "unknown",
            ),
            (
                "AWSLogs/111122223333/CloudTrail/us-east-2/2015/13/01/x.json.gz",
                "unknown",
            ),
            ("AWSLogs/111122223333", "unknown"),
            ("reports/2026/01/02/x.csv", "unknown"),
            (NAME, "unknown"),
            ("", "unknown"),
        ]);
        assert_eq!(render(&format!("NotAWSLogs/{FOLDER}/{NAME}")), "unknown");
        assert_eq!(
            render(&format!("AWSLogs/{FOLDER}/{}", NAME.replace(".gz", ""))),
            "unknown"
        );
    }

    #[test]
    fn a_name_that_contradicts_its_folder_is_a_mismatch() {
        check(&[
            (
                "AWSLogs/444455556666/CloudTrail/us-east-2/2015/08/01/111122223333_CloudTrail_us-east-2_20150801T0210Z_M.json.gz",
                "mismatch: account `444455556666` in the folder, `111122223333` in the file name",
            ),
            (
                "AWSLogs/111122223333/CloudTrail-Digest/us-east-2/2015/08/01/111122223333_CloudTrail_us-east-2_20150801T0210Z_M.json.gz",
                "mismatch: kind `digest` in the folder, `log` in the file name",
            ),
            (
                "AWSLogs/111122223333/CloudTrail/us-east-2/2015/08/02/111122223333_CloudTrail_us-west-2_20150801T0210Z_M.json.gz",
                "log 111122223333 us-east-2 2015-08-02 at 2015-08-01T02:10:00Z RegionDiffers DayDiffers",
            ),
        ]);
    }

    #[test]
    fn a_bare_name_is_recognised_with_or_without_gz() {
        assert_eq!(classify_file_name(NAME), Some(LogKind::Log));
        assert_eq!(
            classify_file_name(&NAME.replace(".gz", "")),
            Some(LogKind::Log)
        );
        for name in [
            "111122223333_CloudTrail_us-east-2_20150801T0210Z_.json.gz",
            "111122223333_CloudTrail_us-east-2_20150801T0210Z.json.gz",
            "111122223333_CloudTrail_us-east-2_20151801T0210Z_M.json.gz",
            "111122223333_CloudTrail_20150801T0210Z_M.json.gz",
            "a_CloudTrail_us-east-2_20150801T0210Z_M.json.gz",
            "CloudTrail_us-east-2_20150801T0210Z_M.json.gz",
            "111122223333_Config_us-east-2_20150801T0210Z_M.json.gz",
            "x.json",
        ] {
            assert_eq!(classify_file_name(name), None, "{name}");
        }
    }

    #[test]
    fn the_delivery_label_orders_files_by_minute() {
        assert_eq!(delivery_label(NAME), Some(201_508_010_210));
        assert_eq!(
            delivery_label("1_CloudTrail_r_20140620T1255ZHdkv.json.gz"),
            Some(201_406_201_255)
        );
        assert_eq!(
            delivery_label("1_CloudTrail-Digest_r_t_20140101T0000Z_r_20150817T150131Z.json.gz"),
            Some(201_508_171_501)
        );
        assert_eq!(delivery_label("readme.txt"), None);
    }

    proptest! {
        #[test]
        fn nothing_panics_on_any_key(key in "(\\PC|[/_0-9oTZ-]|AWSLogs/|1/|CloudTrail|\\.json\\.gz){0,40}") {
            let _class = classify(&key);
            let _kind = classify_file_name(&key);
            let _label = delivery_label(&key);
        }
    }
}
