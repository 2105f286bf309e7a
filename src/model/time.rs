//! UTC instants in microseconds, the unit of every timestamp in the lake.
//!
//! CloudTrail writes whole seconds, Databricks milliseconds; both fit. The
//! calendar arithmetic is chrono's except for the one form that occurs in
//! every record (`2026-01-02T03:04:05Z`), which is decoded by hand.

use chrono::{DateTime, Datelike, NaiveDate, NaiveDateTime, TimeZone, Timelike, Utc};
use std::fmt::{self, Write as _};

/// An instant: microseconds since 1970-01-01T00:00:00Z, leap seconds ignored.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct UtcMicros(pub i64);

pub const MICROS_PER_SECOND: i64 = 1_000_000;
pub const MICROS_PER_DAY: i64 = 86_400 * MICROS_PER_SECOND;

impl UtcMicros {
    pub const MIN: UtcMicros = UtcMicros(i64::MIN);
    pub const MAX: UtcMicros = UtcMicros(i64::MAX);

    pub fn from_seconds(seconds: i64) -> UtcMicros {
        UtcMicros(seconds.saturating_mul(MICROS_PER_SECOND))
    }

    pub fn from_datetime(at: DateTime<Utc>) -> UtcMicros {
        UtcMicros(at.timestamp_micros())
    }

    /// The same instant as chrono's type; `None` outside chrono's calendar.
    pub fn to_datetime(self) -> Option<DateTime<Utc>> {
        Utc.timestamp_micros(self.0).single()
    }

    pub fn plus_seconds(self, seconds: i64) -> UtcMicros {
        UtcMicros(
            self.0
                .saturating_add(seconds.saturating_mul(MICROS_PER_SECOND)),
        )
    }

    /// Days since 1970-01-01, the value of the `event_date` column (UTC).
    pub fn date(self) -> i32 {
        i32::try_from(self.0.div_euclid(MICROS_PER_DAY)).unwrap_or(i32::MAX)
    }

    /// The beginning of a date, in days since the epoch.
    pub fn of_date(days: i32) -> UtcMicros {
        UtcMicros(i64::from(days).saturating_mul(MICROS_PER_DAY))
    }

    /// Reads an ISO 8601 instant in UTC, extended (`2026-03-27T17:08:37Z`, with
    /// or without a fraction, with an offset) or basic (`20131102T010628Z`):
    /// CloudTrail's guide shows the basic form for `creationDate`, real records
    /// the extended one. Years outside 1970 to 9999 are not instants of a log.
    pub fn parse_iso(text: &str) -> Option<UtcMicros> {
        parse_extended_utc(text.as_bytes()).or_else(|| parse_iso_slow(text))
    }
}

/// `YYYY-MM-DDTHH:MM:SSZ`, the form of every `eventTime`.
fn parse_extended_utc(text: &[u8]) -> Option<UtcMicros> {
    let &[
        y0,
        y1,
        y2,
        y3,
        b'-',
        m0,
        m1,
        b'-',
        d0,
        d1,
        b'T',
        h0,
        h1,
        b':',
        i0,
        i1,
        b':',
        s0,
        s1,
        b'Z',
    ] = text
    else {
        return None;
    };
    let two = |a: u8, b: u8| -> Option<u32> {
        (a.is_ascii_digit() && b.is_ascii_digit())
            .then(|| u32::from(a - b'0') * 10 + u32::from(b - b'0'))
    };
    let year = two(y0, y1)? * 100 + two(y2, y3)?;
    let (month, day) = (two(m0, m1)?, two(d0, d1)?);
    let (hour, minute, second) = (two(h0, h1)?, two(i0, i1)?, two(s0, s1)?);
    if year < 1970 || hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    let days = days_from_civil(year, month, day)?;
    let seconds = i64::from(days) * 86_400 + i64::from(hour * 3600 + minute * 60 + second);
    Some(UtcMicros::from_seconds(seconds))
}

/// Days since the epoch of a civil date, after Howard Hinnant's
/// `days_from_civil`; `None` when the month has no such day.
fn days_from_civil(year: u32, month: u32, day: u32) -> Option<i32> {
    let leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    let month_days = match month {
        1 | 3 | 5 | 7 | 8 | 10 | 12 => 31,
        4 | 6 | 9 | 11 => 30,
        2 if leap => 29,
        2 => 28,
        _ => return None,
    };
    if day == 0 || day > month_days {
        return None;
    }
    let y = i64::from(year) - i64::from(month <= 2);
    let era = y.div_euclid(400);
    let year_of_era = y - era * 400;
    let shifted = (i64::from(month) + 9) % 12;
    let day_of_year = (153 * shifted + 2) / 5 + i64::from(day) - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    i32::try_from(era * 146_097 + day_of_era - 719_468).ok()
}

fn parse_iso_slow(text: &str) -> Option<UtcMicros> {
    let text = text.trim();
    let at = DateTime::parse_from_rfc3339(text)
        .map(|at| at.with_timezone(&Utc))
        .or_else(|_| NaiveDateTime::parse_from_str(text, "%Y%m%dT%H%M%SZ").map(|at| at.and_utc()))
        .ok()?;
    (1970..=9999)
        .contains(&at.year())
        .then(|| UtcMicros::from_datetime(at))
}

/// Writes `2026-03-27T17:08:37Z`, with microseconds only where there are any.
impl fmt::Display for UtcMicros {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(at) = self.to_datetime() else {
            return write!(f, "{}us", self.0);
        };
        if !(0..=9999).contains(&at.year()) {
            let micros = if self.0 % MICROS_PER_SECOND == 0 {
                ""
            } else {
                "%.6f"
            };
            return write!(f, "{}", at.format(&format!("%Y-%m-%dT%H:%M:%S{micros}Z")));
        }
        // Every evidence of a table's row holds one: written by hand, for chrono reads
        // its pattern anew each time.
        let mut text = String::with_capacity("2026-03-27T17:08:37.000000Z".len());
        write!(text, "{:04}", at.year())?;
        for (before, part) in [
            ('-', at.month()),
            ('-', at.day()),
            ('T', at.hour()),
            (':', at.minute()),
            (':', at.second()),
        ] {
            text.push(before);
            let digits = [part / 10, part % 10];
            text.extend(
                digits
                    .iter()
                    .filter_map(|digit| char::from_digit(*digit, 10)),
            );
        }
        match self.0.rem_euclid(MICROS_PER_SECOND) {
            0 => {}
            micros => write!(text, ".{micros:06}")?,
        }
        text.push('Z');
        f.write_str(&text)
    }
}

impl fmt::Debug for UtcMicros {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Writes days since the epoch as `2026-03-27`.
pub fn date_text(days: i32) -> String {
    NaiveDate::from_num_days_from_ce_opt(days.saturating_add(719_163))
        .map_or_else(|| days.to_string(), |date| date.to_string())
}

/// A span of event times, both ends included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimeSpan {
    pub from: UtcMicros,
    pub until: UtcMicros,
}

impl TimeSpan {
    pub const ALWAYS: TimeSpan = TimeSpan {
        from: UtcMicros::MIN,
        until: UtcMicros::MAX,
    };

    pub fn contains(self, at: UtcMicros) -> bool {
        self.from <= at && at <= self.until
    }

    /// The times in both spans; may be empty (`from` after `until`).
    #[must_use]
    pub fn intersect(self, other: TimeSpan) -> TimeSpan {
        TimeSpan {
            from: self.from.max(other.from),
            until: self.until.min(other.until),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hand_decoder_agrees_with_chrono_on_every_day_of_four_centuries() {
        let mut day = NaiveDate::from_ymd_opt(1970, 1, 1).unwrap_or_default();
        for expected in 0..146_097_i32 {
            let text = format!("{day}T23:59:58Z");
            let fast = parse_extended_utc(text.as_bytes());
            assert_eq!(fast, parse_iso_slow(&text), "{text}");
            assert_eq!(fast.map(UtcMicros::date), Some(expected), "{text}");
            day = day.succ_opt().unwrap_or_default();
        }
    }

    #[test]
    fn the_hand_writer_agrees_with_chrono() {
        let whole = |at: DateTime<Utc>| at.format("%Y-%m-%dT%H:%M:%SZ").to_string();
        let micros = |at: DateTime<Utc>| at.format("%Y-%m-%dT%H:%M:%S%.6fZ").to_string();
        for day in (-800_000..3_000_000).step_by(97) {
            let at = UtcMicros::of_date(day).plus_seconds(i64::from(day).rem_euclid(86_400));
            assert_eq!(at.to_string(), whole(at.to_datetime().unwrap()));
            let at = UtcMicros(at.0 + i64::from(day).rem_euclid(999_999) + 1);
            assert_eq!(at.to_string(), micros(at.to_datetime().unwrap()));
        }
        let beyond = UtcMicros::of_date(3_000_000);
        assert_eq!(beyond.to_string(), whole(beyond.to_datetime().unwrap()));
    }

    #[test]
    fn dates_that_no_calendar_has_are_no_instants() {
        for text in [
            "2023-02-29T00:00:00Z",
            "2024-13-01T00:00:00Z",
            "2024-00-10T00:00:00Z",
            "2024-01-00T00:00:00Z",
            "2024-01-01T24:00:00Z",
            "1969-12-31T23:59:59Z",
            "...",
            "",
            "yesterday",
        ] {
            assert_eq!(UtcMicros::parse_iso(text), None, "{text}");
        }
    }

    #[test]
    fn basic_and_extended_forms_name_the_same_instant() {
        assert_eq!(
            UtcMicros::parse_iso("20131102T010628Z"),
            UtcMicros::parse_iso("2013-11-02T01:06:28Z")
        );
        assert_eq!(
            UtcMicros::parse_iso("2013-11-02T02:06:28+01:00"),
            UtcMicros::parse_iso("2013-11-02T01:06:28Z")
        );
    }
}
