//! What a judgement rests on: an access, who that was, and what is known beside.

use super::datasets::Datasets;
use super::mentions::Mentions;
use super::settings::Settings;
use super::vocabulary::Vocabulary;
use crate::model::{AccessEvent, Attribution, Credential, Dataset, TimeSpan, UtcMicros, Workload};

/// An hour, in microseconds.
const HOUR_MICROS: i64 = 3_600_000_000;
const DAY_MICROS: i64 = 24 * HOUR_MICROS;

/// An access with everything that a judgement of it rests on.
#[derive(Clone, Copy)]
pub struct AccessFacts<'a> {
    pub access: &'a AccessEvent<'a>,
    pub attribution: &'a Attribution,
    pub credential: Credential,
    /// What [`Policy::dataset_of`](super::Policy::dataset_of) found.
    pub dataset: Option<u32>,
    /// What is known of the workload, as far as
    /// [`Policy::interest`](super::Policy::interest) asks.
    pub workload: &'a Workload,
    /// Whether all is known of the access that will be.
    pub settled: bool,
}

/// The same, with the dataset looked up.
#[derive(Clone, Copy)]
pub(super) struct Facts<'a> {
    pub access: &'a AccessEvent<'a>,
    pub attribution: &'a Attribution,
    pub credential: Credential,
    pub dataset: Option<&'a Dataset>,
    pub workload: &'a Workload,
    pub settled: bool,
}

/// What a policy puts an access into its terms with.
#[derive(Clone, Copy)]
pub(super) struct Terms<'p> {
    pub vocabulary: &'p Vocabulary,
    pub settings: &'p Settings,
    pub datasets: &'p Datasets,
    pub mentions: Mentions,
}

/// Returns the whole hours between the session's issue and the event, the only
/// form in which policies see the age of a session.
///
/// `None` when the record tells no issue. A clock that ran behind gives 0.
pub fn session_age_hours(access: &AccessEvent<'_>) -> Option<u32> {
    let issued_at = access.principal.session_issued_at?;
    Some(age_hours(issued_at, access.event_time))
}

/// The whole hours from the issue of a session to an event.
pub fn age_hours(issued_at: UtcMicros, event_time: UtcMicros) -> u32 {
    let age = event_time.0.saturating_sub(issued_at.0).max(0);
    u32::try_from(age / HOUR_MICROS).unwrap_or(u32::MAX)
}

/// Returns the times at which [`session_age_hours`] gives the same for the same
/// principal.
pub fn session_age_span(access: &AccessEvent<'_>) -> TimeSpan {
    let (Some(issued_at), Some(hours)) = (
        access.principal.session_issued_at,
        session_age_hours(access),
    ) else {
        return TimeSpan::ALWAYS;
    };
    let after = |hours: i64| {
        let age = hours.checked_mul(HOUR_MICROS)?;
        issued_at.0.checked_add(age)
    };
    let hours = i64::from(hours);
    TimeSpan {
        from: after(hours)
            .filter(|_| hours > 0)
            .map_or(UtcMicros::MIN, UtcMicros),
        until: after(hours + 1).map_or(UtcMicros::MAX, |end| UtcMicros(end.saturating_sub(1))),
    }
}

/// What of an access's time a policy may tell apart from others.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Moment {
    /// Hour of the day, if rules ask for it.
    pub hour: Option<u8>,
    /// Days since Monday, if rules ask for it.
    pub weekday: Option<u8>,
    /// How many starts and ends of exceptions lie before.
    pub exceptions: u32,
}

/// The hour of the day, in UTC.
pub(super) fn hour(at: UtcMicros) -> u8 {
    let hour = at.0.rem_euclid(DAY_MICROS) / HOUR_MICROS;
    u8::try_from(hour).unwrap_or(0)
}

/// The times around `at` of the same hour.
pub(super) fn hour_span(at: UtcMicros) -> TimeSpan {
    steps_of(at, HOUR_MICROS)
}

/// Days since Monday, in UTC.
pub(super) fn weekday(at: UtcMicros) -> u8 {
    // The first of January 1970 was a Thursday.
    let day = (at.0.div_euclid(DAY_MICROS) + 3).rem_euclid(7);
    u8::try_from(day).unwrap_or(0)
}

/// The times around `at` of the same day.
pub(super) fn day_span(at: UtcMicros) -> TimeSpan {
    steps_of(at, DAY_MICROS)
}

fn steps_of(at: UtcMicros, step: i64) -> TimeSpan {
    let from = at.0.saturating_sub(at.0.rem_euclid(step));
    TimeSpan {
        from: UtcMicros(from),
        until: UtcMicros(from.saturating_add(step - 1)),
    }
}

pub(super) const WEEKDAYS: [&str; 7] = [
    "monday",
    "tuesday",
    "wednesday",
    "thursday",
    "friday",
    "saturday",
    "sunday",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hour_and_weekday_are_those_of_the_calendar() {
        for (text, hour_of, weekday_of) in [
            ("1970-01-01T00:00:00Z", 0, "thursday"),
            ("2026-11-29T06:20:00Z", 6, "sunday"),
            ("2026-11-30T23:59:59.999999Z", 23, "monday"),
        ] {
            let at = UtcMicros::parse_iso(text).unwrap();
            assert_eq!(hour(at), hour_of, "{text}");
            assert_eq!(WEEKDAYS[usize::from(weekday(at))], weekday_of, "{text}");
            for (span, of) in [(hour_span(at), hour as fn(_) -> _), (day_span(at), weekday)] {
                assert!(span.contains(at));
                assert_eq!([of(span.from), of(span.until)], [of(at); 2]);
                let around = [UtcMicros(span.from.0 - 1), UtcMicros(span.until.0 + 1)];
                assert!(around.iter().all(|other| of(*other) != of(at)), "{text}");
            }
        }
        let before = UtcMicros(-1);
        assert_eq!(
            (hour(before), WEEKDAYS[usize::from(weekday(before))]),
            (23, "wednesday")
        );
    }
}
