//! Reads the time at which a session that STS issued ends.
//!
//! CloudTrail writes it as a person would: `Jul 10, 2023, 12:31:14 PM`. The
//! text comes from Java's date formatter, whose details changed with the years:
//! older records lack the second comma, newer ones put a narrow no-break space
//! before AM or PM. All are UTC.
//!
//! Deliberately absent: other languages and times without AM or PM, which no
//! record is known to hold.

use crate::model::UtcMicros;
use chrono::NaiveDate;

const MONTHS: [&str; 12] = [
    "january",
    "february",
    "march",
    "april",
    "may",
    "june",
    "july",
    "august",
    "september",
    "october",
    "november",
    "december",
];

/// Reads `responseElements.credentials.expiration` in its human forms, or in ISO 8601.
pub fn parse_expiration(text: &str) -> Option<UtcMicros> {
    UtcMicros::parse_iso(text).or_else(|| parse_human(text))
}

fn parse_human(text: &str) -> Option<UtcMicros> {
    // Unicode's white space holds both no-break spaces, U+00A0 and U+202F.
    let mut words = text
        .split(|c: char| c == ',' || c.is_whitespace())
        .filter(|word| !word.is_empty());
    let month = parse_month(words.next()?)?;
    let day = number(words.next()?, 2)?;
    let year = words.next().filter(|word| word.len() == 4)?;
    let date = NaiveDate::from_ymd_opt(i32::try_from(number(year, 4)?).ok()?, month, day)?;

    let mut clock = words.next()?.split(':');
    let hour = number(clock.next()?, 2)?;
    let minute = number(clock.next()?, 2)?;
    let second = number(clock.next()?, 2)?;
    let half = words.next()?;
    if clock.next().is_some() || words.next().is_some() || !(1..=12).contains(&hour) {
        return None;
    }
    // 12 AM is midnight, 12 PM is noon.
    let hour = match half {
        half if half.eq_ignore_ascii_case("am") => hour % 12,
        half if half.eq_ignore_ascii_case("pm") => hour % 12 + 12,
        _ => return None,
    };
    let at = date.and_hms_opt(hour, minute, second)?.and_utc();
    // Years before 1970 are not instants of a log, as in `UtcMicros::parse_iso`.
    (at.timestamp() >= 0).then(|| UtcMicros::from_datetime(at))
}

/// A month by its name, or by the first letters of it (`Sep` and `Sept` occur).
fn parse_month(word: &str) -> Option<u32> {
    let word = word.to_ascii_lowercase();
    let index = MONTHS
        .iter()
        .position(|month| word.len() >= 3 && month.starts_with(&word))?;
    u32::try_from(index + 1).ok()
}

/// A number of one digit up to this many.
fn number(word: &str, digits_max: usize) -> Option<u32> {
    (word.len() <= digits_max && word.bytes().all(|b| b.is_ascii_digit()))
        .then(|| word.parse().ok())
        .flatten()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[track_caller]
    fn check(text: &str, expected: &str) {
        let at = parse_expiration(text).map(|at| at.to_string());
        assert_eq!(at.as_deref(), Some(expected), "{text:?}");
    }

    #[test]
    fn the_forms_of_every_decade_are_read() {
        check("Jul 10, 2023, 12:31:14 PM", "2023-07-10T12:31:14Z");
        check("Oct 2, 2019, 11:12:29 PM", "2019-10-02T23:12:29Z");
        check("Jan 22, 2021 12:46:28 AM", "2021-01-22T00:46:28Z");
        check("Aug 2, 2024, 8:45:00\u{202f}AM", "2024-08-02T08:45:00Z");
        check("Aug 2, 2024, 8:45:00\u{a0}pm", "2024-08-02T20:45:00Z");
        check("Sept 30, 2026, 01:00:00 AM", "2026-09-30T01:00:00Z");
        check("February 29, 2024, 1:00:00 AM", "2024-02-29T01:00:00Z");
        check("2026-09-23T11:00:00Z", "2026-09-23T11:00:00Z");
        check("20260923T110000Z", "2026-09-23T11:00:00Z");
    }

    #[test]
    fn noon_and_midnight_are_twelve() {
        check("Jul 10, 2023, 12:00:00 AM", "2023-07-10T00:00:00Z");
        check("Jul 10, 2023, 12:00:00 PM", "2023-07-10T12:00:00Z");
        check("Jul 10, 2023, 1:00:00 AM", "2023-07-10T01:00:00Z");
        check("Jul 10, 2023, 11:59:59 PM", "2023-07-10T23:59:59Z");
    }

    #[test]
    fn what_no_clock_or_calendar_shows_is_refused() {
        for text in [
            "",
            "...",
            "Jul 10, 2023",
            "Jul 10, 2023, 13:31:14 PM",
            "Jul 10, 2023, 0:31:14 AM",
            "Jul 10, 2023, 12:60:14 PM",
            "Jul 10, 2023, 12:31 PM",
            "Jul 10, 2023, 12:31:14:15 PM",
            "Jul 10, 2023, 12:31:14",
            "Jul 10, 2023, 12:31:14 PM UTC",
            "Jul +1, 2023, 12:31:14 PM",
            "Jul 10, 23, 12:31:14 PM",
            "Jul 10, 1969, 12:31:14 PM",
            "Feb 29, 2023, 12:31:14 PM",
            "Ju 10, 2023, 12:31:14 PM",
            "Julio 10, 2023, 12:31:14 PM",
        ] {
            assert_eq!(parse_expiration(text), None, "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn a_written_time_is_read_back(seconds in 0_i64..4_102_444_800, narrow in any::<bool>(), comma in any::<bool>()) {
            let at = UtcMicros::from_seconds(seconds);
            let form = match (comma, narrow) {
                (true, true) => "%b %-d, %Y, %-I:%M:%S\u{202f}%p",
                (true, false) => "%b %-d, %Y, %-I:%M:%S %p",
                (false, true) => "%b %-d, %Y %-I:%M:%S\u{a0}%p",
                (false, false) => "%b %-d, %Y %-I:%M:%S %p",
            };
            let text = at.to_datetime().unwrap().format(form).to_string();
            prop_assert_eq!(parse_expiration(&text), Some(at), "{}", text);
        }

        #[test]
        fn nothing_panics_on_any_text(text in "(\\PC|[0-9]{1,3}|[,: ]|Jul|AM){0,12}") {
            let _at = parse_expiration(&text);
        }
    }
}
