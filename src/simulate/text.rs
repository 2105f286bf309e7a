//! Writes instants and texts as AWS and Databricks write them.
//!
//! Seconds since 1970 in, text out; the calendar is `chrono`'s. A text that
//! goes into JSON is escaped where it holds a quote, as session policies do.

use crate::model::UtcMicros;
use crate::model::time::date_text;
use std::fmt::{Arguments, Write as _};

pub(super) const MINUTE: i64 = 60;
pub(super) const HOUR: i64 = 3600;
pub(super) const DAY: i64 = 24 * HOUR;

/// Appends; a `String` takes everything, so there is no failure to speak of.
pub(super) fn put(out: &mut String, text: Arguments<'_>) {
    out.write_fmt(text).unwrap_or_default();
}

fn format(seconds: i64, form: &str) -> String {
    UtcMicros::from_seconds(seconds)
        .to_datetime()
        .map(|at| at.format(form).to_string())
        .unwrap_or_default()
}

/// `2026-03-27T17:08:37Z`, as in `eventTime`.
pub(super) fn iso(seconds: i64) -> String {
    // By hand: every record has one, and chrono's formatter shows in profiles.
    let day = seconds.div_euclid(DAY);
    let mut text = date_text(i32::try_from(day).unwrap_or_default());
    let second = seconds.rem_euclid(DAY);
    put(
        &mut text,
        format_args!(
            "T{:02}:{:02}:{:02}Z",
            second / HOUR,
            second / MINUTE % 60,
            second % 60
        ),
    );
    text
}

/// `20260327T170837Z`, as in `X-Amz-Date`.
pub(super) fn basic(seconds: i64) -> String {
    format(seconds, "%Y%m%dT%H%M%SZ")
}

/// `Mar 27, 2026, 5:08:37 PM`, as in `credentials.expiration`.
pub(super) fn human(seconds: i64) -> String {
    format(seconds, "%b %-d, %Y, %-I:%M:%S %p")
}

/// `2026-03-27T17:08:37.123Z`: Databricks' clock counts milliseconds.
pub(super) fn iso_millis(millis: i64) -> String {
    let mut text = iso(millis.div_euclid(1000));
    text.pop();
    put(&mut text, format_args!(".{:03}Z", millis.rem_euclid(1000)));
    text
}

/// `2026-03-27`.
pub(super) fn date(seconds: i64) -> String {
    format(seconds, "%Y-%m-%d")
}

/// `20260327T1705Z`, as in the name of a log object.
pub(super) fn minute(seconds: i64) -> String {
    format(seconds, "%Y%m%dT%H%MZ")
}

/// `2026/03/27`, as in the key of a log object.
pub(super) fn day_folder(seconds: i64) -> String {
    format(seconds, "%Y/%m/%d")
}

/// JSON text that stands inside a JSON string.
pub(super) fn quoted(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"")
}

#[cfg(test)]
mod tests {
    use super::*;

    const AT: i64 = 1_774_631_317;

    #[test]
    fn instants_are_written_as_aws_and_databricks_write_them() {
        assert_eq!(iso(AT), "2026-03-27T17:08:37Z");
        assert_eq!(basic(AT), "20260327T170837Z");
        assert_eq!(human(AT), "Mar 27, 2026, 5:08:37 PM");
        assert_eq!(human(AT - 17 * HOUR), "Mar 27, 2026, 12:08:37 AM");
        assert_eq!(iso_millis(AT * 1000 + 7), "2026-03-27T17:08:37.007Z");
        assert_eq!(date(AT), "2026-03-27");
        assert_eq!(minute(AT), "20260327T1708Z");
        assert_eq!(day_folder(AT), "2026/03/27");
    }
}
