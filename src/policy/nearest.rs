//! The right name for one that is nearly it.

/// Names that differ more are no help.
const SIMILARITY_MIN: f64 = 0.8;

/// Names listed where nothing is near, at most.
const LISTED_MAX: usize = 8;

/// What to do about a name that is not known: the nearest one, or which there are.
pub(super) fn hint(name: &str, known: &[&str]) -> String {
    let nearness = |known: &str| {
        let (a, b) = (name.to_lowercase(), known.to_lowercase());
        strsim::jaro_winkler(&a, &b).max(strsim::normalized_damerau_levenshtein(&a, &b))
    };
    let nearest = known
        .iter()
        .map(|known| (nearness(known), *known))
        .filter(|(nearness, _)| *nearness >= SIMILARITY_MIN)
        .max_by(|a, b| a.0.total_cmp(&b.0).then(b.1.cmp(a.1)));
    if let Some((_, nearest)) = nearest {
        return format!("; did you mean `{nearest}`?");
    }
    let mut names: Vec<&str> = known.to_vec();
    names.sort_unstable();
    names.dedup();
    match names.len() {
        0 => String::new(),
        1..=LISTED_MAX => format!("; there are `{}`", names.join("`, `")),
        more => format!("; none of the {more} known is like it"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_name_is_told_else_which_there_are() {
        let known = ["payroll", "customers", "finance"];
        assert_eq!(hint("payrol", &known), "; did you mean `payroll`?");
        assert_eq!(hint("Payroll", &known), "; did you mean `payroll`?");
        assert_eq!(
            hint("xyz", &known),
            "; there are `customers`, `finance`, `payroll`"
        );
        assert_eq!(hint("xyz", &[]), "");
    }
}
