//! The queries that ship with the program, by name: SQL as data.
//!
//! Their text is the files of `queries/`, so that an installed program answers
//! the same as the repository, and DuckDB or Spark the same as the program.

/// A query with its name, which is that of its file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NamedQuery {
    pub name: &'static str,
    pub sql: &'static str,
}

pub const ATTRIBUTION_HEALTH: NamedQuery = NamedQuery {
    name: "attribution-health",
    sql: include_str!("../../queries/attribution-health.sql"),
};
pub const UNATTRIBUTED_REASONS: NamedQuery = NamedQuery {
    name: "unattributed-reasons",
    sql: include_str!("../../queries/unattributed-reasons.sql"),
};
pub const AMBIGUOUS_PRINCIPALS: NamedQuery = NamedQuery {
    name: "ambiguous-principals",
    sql: include_str!("../../queries/ambiguous-principals.sql"),
};
pub const DATASET_USERS: NamedQuery = NamedQuery {
    name: "dataset-users",
    sql: include_str!("../../queries/dataset-users.sql"),
};
pub const OUT_OF_POLICY: NamedQuery = NamedQuery {
    name: "out-of-policy",
    sql: include_str!("../../queries/out-of-policy.sql"),
};

pub const OBSERVED_ACCESS: NamedQuery = NamedQuery {
    name: "observed-access",
    sql: include_str!("../../queries/observed-access.sql"),
};

/// All of them, in the order in which they are listed.
pub const NAMED: [NamedQuery; 6] = [
    DATASET_USERS,
    OBSERVED_ACCESS,
    OUT_OF_POLICY,
    ATTRIBUTION_HEALTH,
    UNATTRIBUTED_REASONS,
    AMBIGUOUS_PRINCIPALS,
];

impl NamedQuery {
    pub fn find(name: &str) -> Option<NamedQuery> {
        NAMED.into_iter().find(|query| query.name == name)
    }

    /// The question it answers, from its first line.
    pub fn title(self) -> &'static str {
        let first = self.sql.lines().next().unwrap_or_default();
        first.trim_start_matches("-- title:").trim()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_query_says_its_question_control_severity_chart_and_parameters() {
        for query in NAMED {
            let mut lines = query.sql.lines();
            let mut next = || lines.next().unwrap_or_default();
            let (title, control, params) = (next(), next(), next());
            let name = query.name;
            assert!(title.starts_with("-- title: "), "{name}: {title}");
            assert!(!query.title().is_empty(), "{name}");
            assert!(control.starts_with("-- control: "), "{name}: {control}");
            assert!(control.contains("severity: "), "{name}: {control}");
            assert!(control.contains("chart: "), "{name}: {control}");
            assert!(params.starts_with("-- params: "), "{name}: {params}");
            assert_eq!(NamedQuery::find(name), Some(query));
        }
    }
}
