//! P5: the query of a share that handed out a pre-signed URL. The recipient stands
//! in the audit event that evidence names; the reader stays unknown.
//!
//! The time to match is that of the signature: a URL may be used days later. Where the
//! record does not show it, the time of the request stands in for it, so that only
//! URLs used within minutes find their query.

use super::ask::{Ask, Grounds};
use super::place::{holds, upwards};
use crate::model::{Method, TimeSpan};

/// Around the query, in seconds.
const QUERY_SECS: i64 = 5 * 60;

/// The queries of shares about the time that may have handed out the URL.
pub(super) fn share_grounds(ask: &mut Ask<'_>) -> Grounds {
    let databricks = ask.databricks();
    let names = &databricks.names;
    let mut span = TimeSpan::ALWAYS;
    let at = ask.access.signed_at.unwrap_or(ask.at);
    let queries: Vec<_> = databricks
        .activity
        .shares_at(at, QUERY_SECS, &mut span)
        .copied()
        .collect();
    if ask.access.signed_at.is_none() {
        ask.span = ask.span.intersect(span);
    }
    let mut grounds = Grounds::default();
    if queries.is_empty() {
        return grounds;
    }
    let place = ask.place();
    let here = names.text(place.location);
    let mut evidence: Vec<&str> = queries
        .iter()
        .filter(|query| {
            let by_path = query.location.filled().or_else(|| {
                let table = query.table.filled()?;
                databricks.vends.location_of(table)
            });
            let is_here = by_path.is_some_and(|location| {
                let location = names.text(location);
                upwards(here).any(|outer| holds(location, outer))
            });
            is_here || (!place.uuid.is_none() && query.table == place.uuid)
        })
        .map(|query| names.text(query.evidence))
        .collect();
    evidence.sort_unstable();
    if !evidence.is_empty() {
        grounds.by(Method::P5ShareQuery);
        evidence.iter().for_each(|id| grounds.note(id));
    }
    grounds
}
