//! Which alerts an output sends at all.

use netsage_api_types::{Alert, Severity};

/// What an alert must be to go out. A condition that is empty holds for every alert.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    /// This severity and above.
    pub min_severity: Option<Severity>,
    /// One of the detectors of these names.
    pub detectors: Vec<String>,
    /// One of these networks; the empty name is the network without one.
    pub networks: Vec<String>,
    /// One of these feature schemas, by name: `flow-v1`.
    pub schemas: Vec<String>,
}

impl Filter {
    /// Whether the alert goes out.
    pub fn passes(&self, alert: &Alert) -> bool {
        // The schema of an alert has its version behind an `@`.
        let schema = alert.schema.split('@').next().unwrap_or_default();
        let is_among = |names: &[String], name: &str| names.is_empty() || names.iter().any(|one| one == name);
        self.min_severity.is_none_or(|least| alert.severity >= least)
            && is_among(&self.detectors, &alert.detector.name)
            && is_among(&self.networks, &alert.network)
            && is_among(&self.schemas, schema)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sending::tests::alert;

    #[test]
    fn every_condition_must_hold() {
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        let check = |filter: Filter, expected: bool| {
            let mut alert = alert("a", Severity::Medium);
            alert.network = "site".to_owned();
            assert_eq!(filter.passes(&alert), expected, "{filter:?}");
        };
        let all = Filter::default;
        check(all(), true);
        for (least, expected) in [
            (Severity::Low, true),
            (Severity::Medium, true),
            (Severity::High, false),
        ] {
            let min_severity = Some(least);
            check(
                Filter {
                    min_severity,
                    ..all()
                },
                expected,
            );
        }
        for (given, expected) in [
            (&["iforest"][..], true),
            (&["rhythm"], false),
            (&["rhythm", "iforest"], true),
        ] {
            let detectors = names(given);
            check(Filter { detectors, ..all() }, expected);
        }
        for (given, expected) in [(&["site"][..], true), (&[""], false)] {
            let networks = names(given);
            check(Filter { networks, ..all() }, expected);
        }
        for (given, expected) in [
            (&["flow-v1"][..], true),
            (&["flow-v1@1"], false),
            (&["record-v1"], false),
        ] {
            let schemas = names(given);
            check(Filter { schemas, ..all() }, expected);
        }
        let both = Filter {
            min_severity: Some(Severity::Low),
            detectors: names(&["rhythm"]),
            ..all()
        };
        check(both, false);
    }
}
