//! Decides which object of the trail holds which record, and when.
//!
//! An object belongs to a place and five minutes. Most records come minutes
//! after the event; a few come hours late, some twice, those of a twin in two
//! places, and one place has a second trail that delivers the data events of one
//! bucket again. Records inside an object are in no order of time, as AWS says.
//!
//! Only numbers are held, 16 bytes a record: the records themselves are made
//! when their object is.

use super::org::{LAKE_EU, PLACES, START, Size, place};
use super::play::{Activity, DatedFact, Play};
use super::random::Random;
use super::records::{Copy, time_of};
use super::text::{day_folder, minute};

/// Minutes of delivery.
const SLOT: i64 = 300;
/// Records of an object, at most; real ones of several thousand were seen.
const RECORDS_MAX: usize = 3500;
/// The last slot lies so many after the end: what is late must come somewhere.
const SLOTS_AFTER: i64 = 3 * 288;

/// A record to be written.
#[derive(Clone, Copy)]
pub(super) enum Item {
    Fact(u32),
    Event {
        activity: u32,
        number: u32,
        copy: Copy,
        /// How many objects hold it; 0 for a redelivery, which is no new row.
        deliveries: u8,
    },
}

/// An object to be written.
pub(super) struct Object {
    /// Its place's trail, or the second one.
    pub trail: usize,
    /// The minute in its name.
    pub label: i64,
    pub key: String,
    pub items: Vec<Item>,
}

/// How many events each activity gets: the fixed ones what they ask for, the
/// others a share of the rest by weight, to the last event.
pub(super) fn shares(play: &Play, events: u64) -> Vec<u64> {
    let fixed: u64 = play.activities.iter().filter_map(|a| a.fixed).sum();
    let rest = u128::from(events.saturating_sub(fixed));
    let total: u128 = play.activities.iter().map(|a| u128::from(a.weight)).sum();
    let mut before = 0_u128;
    play.activities
        .iter()
        .map(|activity| {
            if let Some(fixed) = activity.fixed {
                return fixed;
            }
            let start = before * rest / total.max(1);
            before += u128::from(activity.weight);
            let end = before * rest / total.max(1);
            u64::try_from(end - start).unwrap_or_default()
        })
        .collect()
}

/// All objects, in the order of their keys' times and places.
pub(super) fn objects(size: Size, play: &Play, events: u64) -> Vec<Object> {
    let slots = usize::try_from(size.days * 288 + SLOTS_AFTER).unwrap_or_default();
    let mut plan = Plan {
        slots,
        // The second trail's slots stand behind those of the places.
        items: vec![Vec::new(); slots * (PLACES.len() + 1)],
    };
    for (number, fact) in play.facts.iter().enumerate() {
        let number = u32::try_from(number).unwrap_or_default();
        plan.fact(size.seed, number, fact);
    }
    for (index, count) in shares(play, events).into_iter().enumerate() {
        let Some(activity) = play.activities.get(index) else {
            continue;
        };
        for number in 0..count {
            let at = time_of(size.seed, activity, index as u64, number);
            plan.event(size.seed, index as u64, number, at, activity);
        }
    }
    plan.objects(size.seed)
}

struct Plan {
    slots: usize,
    items: Vec<Vec<Item>>,
}

impl Plan {
    fn put(&mut self, trail: usize, slot: i64, item: Item) {
        // What lies before the first minute or behind the last goes there.
        let slot = usize::try_from(slot.max(0)).unwrap_or_default();
        let slot = slot.min(self.slots.saturating_sub(1));
        if let Some(items) = self.items.get_mut(trail * self.slots + slot) {
            items.push(item);
        }
    }

    fn fact(&mut self, seed: u64, number: u32, fact: &DatedFact) {
        let mut random = Random::of(seed, "fact delivery", &[u64::from(number)]);
        let mut slot = slot_of(fact.at + random.between(3, 150));
        if random.chance(5) {
            slot += random.between(2, 40);
        }
        self.put(fact.place, slot, Item::Fact(number));
    }

    fn event(&mut self, seed: u64, activity: u64, number: u64, at: i64, acts: &Activity) {
        let (place, twin) = (acts.place, acts.twin);
        let mut random = Random::of(seed, "delivery", &[activity, number]);
        let mut slot = slot_of(at + random.between(3, 150));
        let late = random.chance(6);
        if late {
            slot += match random.below(10) {
                0 => random.between(100, 280),
                _ => random.between(1, 40),
            };
        }
        let again = random.chance(4);
        // Its selector names the curated bucket only.
        let second_trail = place == LAKE_EU && acts.location.bucket.ends_with("-curated");
        let item = |copy, deliveries| Item::Event {
            activity: u32::try_from(activity).unwrap_or_default(),
            number: u32::try_from(number).unwrap_or_default(),
            copy,
            deliveries,
        };
        let copy = if late && random.chance(500) {
            Copy::Late
        } else {
            Copy::Original
        };
        let deliveries = 1 + u8::from(again) + u8::from(second_trail);
        self.put(place, slot, item(copy, deliveries));
        if again {
            self.put(place, slot + random.between(1, 20), item(copy, 0));
        }
        if second_trail {
            self.put(
                PLACES.len(),
                slot + i64::from(random.chance(300)),
                item(copy, 0),
            );
        }
        if let Some(twin) = twin {
            let slot = slot + random.between(0, 2);
            self.put(twin, slot, item(Copy::Twin, 1));
        } else if random.below(4000) == 0 {
            let slot = slot + random.between(3, 100);
            self.put(place, slot, item(Copy::Correction, 1));
        }
    }

    fn objects(self, seed: u64) -> Vec<Object> {
        let mut objects = Vec::new();
        let slots = self.slots.max(1);
        for (number, items) in self.items.into_iter().enumerate() {
            let trail = number / slots;
            let slot = i64::try_from(number % slots).unwrap_or_default();
            let place_number = if trail == PLACES.len() {
                LAKE_EU
            } else {
                trail
            };
            let label = START + (slot + 1) * SLOT;
            for (part, items) in items.chunks(RECORDS_MAX).enumerate() {
                let mut random = Random::of(seed, "object", &[number as u64, part as u64]);
                let at = place(place_number);
                let key = format!(
                    "AWSLogs/{account}/CloudTrail/{region}/{}/{account}_CloudTrail_{region}_{}_{}.json.gz",
                    day_folder(label),
                    minute(label),
                    random.alphanumeric(16),
                    account = at.account,
                    region = at.region,
                );
                objects.push(Object {
                    trail,
                    label,
                    key,
                    items: items.to_vec(),
                });
            }
        }
        objects
    }
}

/// The number of the five minutes, from the first of the simulation.
fn slot_of(at: i64) -> i64 {
    (at - START).div_euclid(SLOT)
}
