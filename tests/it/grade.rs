//! Grades rows by the truth: how many claims are right, too sure, or missing.
//!
//! A claim is a level that a row calls `exact` or `strong`. It is right if every id
//! of the level is that of the truth, too sure if it is surer than the honest maximum,
//! and missing where the maximum allows one and there is none.

use serde_json::Value;
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// At most one strong claim in so many may be wrong.
const STRONG_PER_WRONG: u64 = 1000;
/// Of so many attainable claims one may be missing.
const ATTAINABLE_PER_MISSING: u64 = 200;
/// The same of one scenario, which has so many of them at least: fewer tell nothing.
const OF_SCENARIO_PER_MISSING: u64 = 100;
/// Likewise of strong claims that may be wrong.
const OF_SCENARIO_PER_WRONG: u64 = 100;

pub struct Level {
    pub name: &'static str,
    /// What it names.
    ids: &'static [&'static str],
    /// Where a row lists what may be meant by its first id; empty if nowhere.
    candidates: &'static str,
}

pub const LEVELS: [Level; 5] = [
    Level {
        name: "workspace",
        ids: &["workspace_id"],
        candidates: "",
    },
    Level {
        name: "cluster",
        ids: &["cluster_id"],
        candidates: "",
    },
    Level {
        name: "job",
        ids: &["job_run_id", "job_id"],
        candidates: "job_run_candidates",
    },
    Level {
        name: "task",
        ids: &["task_key", "task_run_id"],
        candidates: "",
    },
    Level {
        name: "principal",
        ids: &["principal", "principal_kind"],
        candidates: "principal_candidates",
    },
];

/// How one level of some rows does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Marks {
    rows: u64,
    exact: u64,
    exact_wrong: u64,
    strong: u64,
    strong_wrong: u64,
    too_sure: u64,
    attainable: u64,
    claimed: u64,
    ambiguous: u64,
    /// The truth is none of an ambiguous row's candidates.
    not_listed: u64,
}

impl Marks {
    fn note(&mut self, level: &Level, row: &Value, truth: &Value) {
        let claim = sureness(&row[format!("{}_confidence", level.name)]);
        let most = sureness(&truth[format!("{}_max", level.name)]);
        let is_right = level.ids.iter().all(|id| row[*id] == truth[*id]);
        self.rows += 1;
        self.too_sure += u64::from(claim > most);
        self.attainable += u64::from(most >= STRONG);
        self.claimed += u64::from(most >= STRONG && claim >= STRONG);
        match claim {
            EXACT => {
                self.exact += 1;
                self.exact_wrong += u64::from(!is_right);
            }
            STRONG => {
                self.strong += 1;
                self.strong_wrong += u64::from(!is_right);
            }
            AMBIGUOUS if !level.candidates.is_empty() => {
                self.ambiguous += 1;
                let listed = row[level.candidates].as_array();
                let is_listed = listed.is_some_and(|listed| listed.contains(&truth[level.ids[0]]));
                self.not_listed += u64::from(!is_listed);
            }
            _ => {}
        }
    }

    /// What no single scenario may have, however well the others do.
    fn faults_of_scenario(&self) -> Vec<String> {
        let mut faults = Vec::new();
        if self.exact_wrong > 0 {
            faults.push(format!("{} exact claims are wrong", self.exact_wrong));
        }
        if self.too_sure > 0 {
            faults.push(format!("{} claims are surer than honest", self.too_sure));
        }
        let (wrong, strong) = (self.strong_wrong, self.strong);
        if strong >= OF_SCENARIO_PER_WRONG && wrong * OF_SCENARIO_PER_WRONG > strong {
            faults.push(format!("{wrong} of {strong} strong claims are wrong"));
        }
        let attainable = self.attainable;
        let missing = attainable - self.claimed;
        if attainable >= OF_SCENARIO_PER_MISSING && missing * OF_SCENARIO_PER_MISSING > attainable {
            faults.push(format!("{missing} of {attainable} claims are missing"));
        }
        faults
    }

    /// What is not as it must be.
    fn faults(&self) -> Vec<String> {
        let mut faults = Vec::new();
        if self.exact_wrong > 0 {
            faults.push(format!("{} exact claims are wrong", self.exact_wrong));
        }
        if self.strong_wrong * STRONG_PER_WRONG > self.strong {
            let (wrong, strong) = (self.strong_wrong, self.strong);
            faults.push(format!("{wrong} of {strong} strong claims are wrong"));
        }
        if self.too_sure > 0 {
            faults.push(format!("{} claims are surer than honest", self.too_sure));
        }
        let missing = self.attainable - self.claimed;
        if missing * ATTAINABLE_PER_MISSING > self.attainable {
            let attainable = self.attainable;
            faults.push(format!("{missing} of {attainable} claims are missing"));
        }
        if self.not_listed > 0 {
            let not_listed = self.not_listed;
            faults.push(format!("{not_listed} ambiguous rows do not list the truth"));
        }
        faults
    }
}

const AMBIGUOUS: u8 = 1;
const STRONG: u8 = 2;
const EXACT: u8 = 3;

fn sureness(label: &Value) -> u8 {
    match label.as_str() {
        Some("exact") => EXACT,
        Some("strong") => STRONG,
        Some("ambiguous") => AMBIGUOUS,
        Some("none") | None => 0,
        Some(other) => panic!("`{other}` is no confidence"),
    }
}

/// The marks of every scenario and level.
#[derive(Default)]
pub struct Grades {
    by_scenario: BTreeMap<String, [Marks; LEVELS.len()]>,
    total: [Marks; LEVELS.len()],
}

impl Grades {
    pub fn note(&mut self, row: &Value, truth: &Value) {
        let scenario = truth["scenario"].as_str().unwrap_or_default();
        let marks = self.by_scenario.entry(scenario.to_owned()).or_default();
        for (n, level) in LEVELS.iter().enumerate() {
            marks[n].note(level, row, truth);
            self.total[n].note(level, row, truth);
        }
    }

    pub fn scenarios(&self) -> impl Iterator<Item = &str> {
        self.by_scenario.keys().map(String::as_str)
    }

    /// What is not as it must be, by level of all rows.
    pub fn faults(&self) -> Vec<String> {
        let mut faults = Vec::new();
        for (marks, level) in self.total.iter().zip(&LEVELS) {
            let of_level = marks.faults();
            faults.extend(
                of_level
                    .iter()
                    .map(|fault| format!("{}: {fault}", level.name)),
            );
        }
        faults
    }

    /// What is not as it must be in one scenario or another: a total of many good
    /// rows hides a scenario that fails.
    pub fn faults_of_scenarios(&self) -> Vec<String> {
        let mut faults = Vec::new();
        for (scenario, marks) in &self.by_scenario {
            for (marks, level) in marks.iter().zip(&LEVELS) {
                let of_level = marks.faults_of_scenario();
                let named = |fault| format!("{scenario}, {}: {fault}", level.name);
                faults.extend(of_level.iter().map(named));
            }
        }
        faults
    }

    /// A line for each level of all rows, then for each scenario.
    pub fn table(&self) -> String {
        let mut out = format!(
            "{:<26}{:<11}{:>7}{:>7}{:>7}{:>8}{:>7}{:>10}{:>11}{:>9}{:>12}\n",
            "scenario",
            "level",
            "rows",
            "exact",
            "wrong",
            "strong",
            "wrong",
            "too sure",
            "attainable",
            "claimed",
            "not listed"
        );
        let all = [("all", &self.total)];
        let each = self
            .by_scenario
            .iter()
            .map(|(name, marks)| (name.as_str(), marks));
        for (scenario, marks) in all.into_iter().chain(each) {
            for (marks, level) in marks.iter().zip(&LEVELS) {
                // A level of which nothing can be said, and is, needs no line.
                if marks.exact + marks.strong + marks.too_sure + marks.attainable + marks.ambiguous
                    == 0
                {
                    continue;
                }
                let share = match marks.attainable {
                    0 => "-".to_owned(),
                    attainable => format!("{:.2}%", percent(marks.claimed, attainable)),
                };
                writeln!(
                    out,
                    "{scenario:<26}{:<11}{:>7}{:>7}{:>7}{:>8}{:>7}{:>10}{:>11}{share:>9}{:>12}",
                    level.name,
                    marks.rows,
                    marks.exact,
                    marks.exact_wrong,
                    marks.strong,
                    marks.strong_wrong,
                    marks.too_sure,
                    marks.attainable,
                    marks.not_listed
                )
                .unwrap();
            }
        }
        out
    }
}

fn percent(part: u64, whole: u64) -> f64 {
    100.0 * part as f64 / whole as f64
}

mod tests {
    //! That the grading itself can fail a row.

    use super::Grades;
    use serde_json::{Value, json};

    fn truth() -> Value {
        json!({
            "scenario": "s", "workspace_id": "w", "workspace_max": "exact", "cluster_id": "c",
            "cluster_max": "exact", "job_id": "j", "job_run_id": "r", "job_max": "exact",
            "task_key": "t", "task_run_id": "u", "task_max": "strong", "principal": "p",
            "principal_kind": "user", "principal_max": "strong",
        })
    }

    fn right() -> Value {
        json!({
            "workspace_id": "w", "workspace_confidence": "exact", "cluster_id": "c",
            "cluster_confidence": "exact", "job_id": "j", "job_run_id": "r",
            "job_confidence": "exact", "task_key": "t", "task_run_id": "u",
            "task_confidence": "strong", "principal": "p", "principal_kind": "user",
            "principal_confidence": "strong", "principal_candidates": [],
            "job_run_candidates": [],
        })
    }

    #[track_caller]
    fn check(changes: &[(&str, Value)], expect: &[&str]) {
        let mut row = right();
        for (name, value) in changes {
            row[*name] = value.clone();
        }
        let mut grades = Grades::default();
        grades.note(&row, &truth());
        assert_eq!(grades.faults(), expect);
        assert!(grades.table().contains("principal"));
    }

    /// Rows of a scenario that is right, and of one with these changes in some.
    #[track_caller]
    fn check_scenario(changed: usize, of: usize, changes: &[(&str, Value)], expect: &[&str]) {
        let mut grades = Grades::default();
        let (good, mut bad) = (right(), right());
        for (name, value) in changes {
            bad[*name] = value.clone();
        }
        let mut other = truth();
        other["scenario"] = "other".into();
        for n in 0..of {
            grades.note(if n < changed { &bad } else { &good }, &other);
        }
        for _ in 0..5000 {
            grades.note(&right(), &truth());
        }
        assert_eq!(grades.faults_of_scenarios(), expect);
    }

    #[test]
    fn a_scenario_that_fails_is_not_hidden_by_others() {
        let none = [("principal_confidence", json!("none"))];
        let missing = "other, principal: 2 of 100 claims are missing";
        check_scenario(2, 100, &none, &[missing]);
        check_scenario(1, 100, &none, &[]);
        // Too few to tell.
        check_scenario(2, 99, &none, &[]);
        let sure = [("principal_confidence", json!("exact"))];
        let too_sure = "other, principal: 1 claims are surer than honest";
        check_scenario(1, 3, &sure, &[too_sure]);
        let wrong = [("cluster_id", json!("x"))];
        let exact = "other, cluster: 1 exact claims are wrong";
        check_scenario(1, 3, &wrong, &[exact]);
        let wrong = [("principal", json!("x"))];
        check_scenario(1, 100, &wrong, &[]);
        let strong = "other, principal: 2 of 100 strong claims are wrong";
        check_scenario(2, 100, &wrong, &[strong]);
    }

    #[test]
    fn a_row_that_is_right_has_no_fault() {
        check(&[], &[]);
    }

    #[test]
    fn a_wrong_id_is_a_fault_whether_exact_or_strong() {
        let other = json!("x");
        check(
            &[("cluster_id", other.clone()), ("principal", other.clone())],
            &[
                "cluster: 1 exact claims are wrong",
                "principal: 1 of 1 strong claims are wrong",
            ],
        );
        check(&[("job_id", other)], &["job: 1 exact claims are wrong"]);
    }

    #[test]
    fn a_claim_above_the_maximum_is_a_fault_even_if_it_is_right() {
        check(
            &[("principal_confidence", json!("exact"))],
            &["principal: 1 claims are surer than honest"],
        );
    }

    #[test]
    fn a_missing_claim_is_a_fault_and_candidates_must_hold_the_truth() {
        check(
            &[("workspace_confidence", json!("none"))],
            &["workspace: 1 of 1 claims are missing"],
        );
        let ambiguous = |who: &str| {
            [
                ("principal_confidence", json!("ambiguous")),
                ("principal", Value::Null),
                ("principal_candidates", json!(["q", who])),
            ]
        };
        check(&ambiguous("p"), &["principal: 1 of 1 claims are missing"]);
        check(
            &ambiguous("r"),
            &[
                "principal: 1 of 1 claims are missing",
                "principal: 1 ambiguous rows do not list the truth",
            ],
        );
    }
}
