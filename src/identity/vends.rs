//! The credentials that Unity Catalog gave out, by place and time (C1).
//!
//! A vend is kept if it succeeded. Its location is the one it names, else the one
//! that other vends of the same table or volume name, if they agree.

use super::names::{Name, Names};
use super::place::{Places, holds, is_uuid, location, uuids};
use super::timeline::{Item, Timeline};
use crate::model::{UtcMicros, Vend, VendOperation};
use hashbrown::HashMap;

/// HTTP status of a vend that gave out a credential.
const OK: i64 = 200;

/// A vend, cut down to what matters here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Vended {
    pub at: UtcMicros,
    pub evidence: Name,
    pub workspace: Name,
    pub metastore: Name,
    pub actor: Name,
    pub run_by: Name,
    pub operation: VendOperation,
    /// As the record names it.
    told: Name,
    /// What it names, else what is known of its table; none if unknown.
    pub location: Name,
    pub table: Name,
    table_name: Name,
    pub recipient: Name,
    pub access_key: Name,
    pub cluster: Name,
}

#[derive(Clone, Debug, Default)]
pub(super) struct Vends {
    vends: Vec<Vended>,
    /// By location; those of an unknown one under none.
    by_location: Timeline<Name, u32>,
    by_table: Timeline<Name, u32>,
    by_key: Timeline<Name, u32>,
    /// Locations in the order of their texts, to find those under a prefix.
    locations: Vec<Name>,
    by_table_id: HashMap<Name, Learned>,
    oldest: Option<UtcMicros>,
    /// Whether any record shows the key that was issued.
    pub shows_keys: bool,
    /// How often the UUID of a managed path was the table's id, and not.
    pub layout_agrees: bool,
    pub layout_differs: bool,
}

/// The location that vends of one table name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Learned {
    One(Name),
    Several,
}

impl Vends {
    pub fn add(&mut self, vends: &[Vend], names: &mut Names, places: &mut Places) {
        for vend in vends {
            if vend.status_code.is_some_and(|status| status != OK) {
                continue;
            }
            let told = vend.location.as_deref().and_then(location);
            let table = vend.table_id.as_deref().or(vend.volume_id.as_deref());
            let vended = Vended {
                at: vend.at,
                evidence: names.add(&vend.source_id),
                workspace: names.add_some(vend.workspace_id.as_deref()),
                metastore: names.add_some(vend.metastore_id.as_deref()),
                actor: names.add_some(vend.actor.as_deref()),
                run_by: names.add_some(vend.run_by.as_deref()),
                operation: vend.operation,
                told: names.add_some(told.as_deref()),
                location: Name::NONE,
                table: names.add_some(table),
                table_name: names.add_some(vend.table_full_name.as_deref()),
                recipient: names.add_some(
                    vend.recipient_name
                        .as_deref()
                        .or(vend.share_name.as_deref()),
                ),
                access_key: names.add_some(vend.access_key_id.as_deref()),
                cluster: names.add_some(vend.cluster_id.as_deref()),
            };
            places.add_location(vended.told, names);
            if table.is_some_and(is_uuid) {
                places.add_id(vended.table);
            }
            self.vends.push(vended);
        }
        self.learn(names);
        self.order(names);
    }

    /// Learns where tables lie from the vends that tell.
    fn learn(&mut self, names: &Names) {
        let mut learned: HashMap<Name, Learned> = HashMap::new();
        for vend in &self.vends {
            if vend.told.is_none() {
                continue;
            }
            for table in [vend.table, vend.table_name] {
                if !table.is_none() {
                    let known = learned.entry(table).or_insert(Learned::One(vend.told));
                    if *known != Learned::One(vend.told) {
                        *known = Learned::Several;
                    }
                }
            }
            if is_uuid(names.text(vend.table)) {
                let mut in_path = uuids(names.text(vend.told)).peekable();
                if in_path.peek().is_some() {
                    let id = names.text(vend.table);
                    if in_path.any(|uuid| uuid.eq_ignore_ascii_case(id)) {
                        self.layout_agrees = true;
                    } else {
                        self.layout_differs = true;
                    }
                }
            }
        }
        for vend in &mut self.vends {
            let of = |table: Name| match learned.get(&table) {
                Some(Learned::One(location)) => Some(*location),
                _ => None,
            };
            vend.location = vend
                .told
                .filled()
                .or_else(|| of(vend.table))
                .or_else(|| of(vend.table_name).filter(|_| vend.table.is_none()))
                .unwrap_or(Name::NONE);
        }
        self.by_table_id = learned;
    }

    fn order(&mut self, names: &Names) {
        self.vends.sort_unstable();
        self.vends.dedup();
        let numbered = || (0_u32..).zip(&self.vends);
        let by = |of: fn(&Vended) -> Name, keep_none: bool| {
            let keyed = numbered().map(|(number, vend)| (of(vend), vend.at, vend.at, number));
            Timeline::of(
                keyed
                    .filter(|(key, ..)| keep_none || !key.is_none())
                    .collect(),
            )
        };
        self.by_location = by(|vend| vend.location, true);
        self.by_table = by(|vend| vend.table, false);
        self.by_key = by(|vend| vend.access_key, false);
        self.shows_keys = self.vends.iter().any(|vend| !vend.access_key.is_none());
        self.oldest = self.vends.first().map(|vend| vend.at);
        self.locations = self.vends.iter().map(|vend| vend.location).collect();
        self.locations
            .sort_by(|a, b| names.text(*a).cmp(names.text(*b)));
        self.locations.dedup();
    }

    pub fn oldest(&self) -> Option<UtcMicros> {
        self.oldest
    }

    /// The vends that name the key itself.
    pub fn of_key(&self, key: Name) -> impl Iterator<Item = &Vended> {
        self.at_items(self.by_key.all(key).iter())
    }

    /// The vends of a location between two times.
    pub fn of_location(
        &self,
        location: Name,
        from: UtcMicros,
        until: UtcMicros,
    ) -> impl Iterator<Item = &Vended> {
        self.at_items(self.by_location.between(location, from, until))
    }

    /// The vends of a table or volume between two times.
    pub fn of_table(
        &self,
        table: Name,
        from: UtcMicros,
        until: UtcMicros,
    ) -> impl Iterator<Item = &Vended> {
        self.at_items(self.by_table.between(table, from, until))
    }

    /// The locations at or below a prefix.
    pub fn locations_below<'a>(
        &'a self,
        prefix: &'a str,
        names: &'a Names,
    ) -> impl Iterator<Item = Name> + 'a {
        let first = self
            .locations
            .partition_point(|location| names.text(*location) < prefix);
        self.locations
            .get(first..)
            .unwrap_or_default()
            .iter()
            .copied()
            .take_while(move |location| names.text(*location).starts_with(prefix))
            .filter(move |location| holds(prefix, names.text(*location)))
    }

    /// Where a table or volume lies, by its id or full name.
    pub fn location_of(&self, table: Name) -> Option<Name> {
        match self.by_table_id.get(&table)? {
            Learned::One(location) => Some(*location),
            Learned::Several => None,
        }
    }

    fn at_items<'a>(
        &'a self,
        items: impl Iterator<Item = &'a Item<u32>>,
    ) -> impl Iterator<Item = &'a Vended> {
        items.filter_map(|item| self.vends.get(usize::try_from(item.value).ok()?))
    }
}
