//! Which correction of an event counts.

use super::bits::Place;
use crate::lake::ledger::own_key;
use crate::model::UtcMicros;
use crate::trail::event_id::CopyKey;
use std::collections::{HashMap, HashSet};

/// The order of a correction: its time, its key.
pub type Order = (UtcMicros, CopyKey);

/// A correction, by what it corrects.
#[derive(Clone, Copy)]
pub struct Correction {
    pub original: CopyKey,
    /// The later one counts; of two at one time, that of the greater key.
    pub order: Order,
    pub place: Place,
}

impl Correction {
    /// The key of the record that corrects.
    pub fn own(&self) -> CopyKey {
        self.order.1
    }
}

/// Of each circle of records that correct one another, the last: nothing stands
/// for it.
pub fn lasts_of_circles(corrected: &HashMap<CopyKey, Correction>) -> Vec<Correction> {
    let mut lasts = Vec::new();
    let mut seen: HashSet<CopyKey> = HashSet::new();
    for event in corrected.keys() {
        let mut path: Vec<(CopyKey, Correction)> = Vec::new();
        let mut at = *event;
        while let Some(correction) = corrected.get(&at) {
            if !seen.insert(at) {
                // Met before: on this way, or on one that was followed to its end.
                let circle = path.iter().skip_while(|(event, _)| *event != at);
                let circle: Vec<Correction> = circle.map(|(_, each)| *each).collect();
                if circle.len() > 1 {
                    lasts.extend(circle.into_iter().max_by_key(|each| each.order));
                }
                break;
            }
            path.push((at, *correction));
            at = own_key(correction.own(), true);
        }
    }
    lasts
}
