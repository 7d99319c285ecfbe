//! The transitions between the stages of a package, as a pure table.

use netsage_api_types::{Stage, Step};

/// Every step that a package can take.
pub const STEPS: [Step; 10] = [
    Step::Stage,
    Step::Check,
    Step::Warm,
    Step::Shadow,
    Step::Canary,
    Step::Promote,
    Step::Rollback,
    Step::Retire,
    Step::Quarantine,
    Step::Release,
];

/// Where a step leads from a stage, or `None` where it cannot be done.
///
/// A rollback of the active package leads to [`Stage::Retired`]. The caller makes the former package active in the same
/// move, just as a promotion retires the active one. Steps may be skipped forwards from `warm` on (an operator may
/// promote without a shadow), but a package scores only after it was checked and warm.
pub fn after(stage: Stage, step: Step) -> Option<Stage> {
    use Stage as S;
    Some(match (stage, step) {
        (S::Staged, Step::Check) => S::Checked,
        (S::Checked, Step::Warm) => S::Warm,
        // A package that was active once is brought back by warming it.
        (S::Retired | S::Shadow, Step::Warm) => S::Warm,
        (S::Warm | S::Retired, Step::Shadow) => S::Shadow,
        (S::Warm | S::Shadow | S::Retired, Step::Canary) => S::Canary,
        (S::Warm | S::Shadow | S::Canary | S::Retired, Step::Promote) => S::Active,
        (S::Canary, Step::Rollback) => S::Warm,
        (S::Active, Step::Rollback | Step::Retire) => S::Retired,
        (
            S::Staged | S::Checked | S::Warm | S::Shadow | S::Canary | S::Active | S::Retired,
            Step::Quarantine,
        ) => S::Quarantined,
        (S::Quarantined, Step::Release) => S::Staged,
        _ => return None,
    })
}

/// Whether a package in this stage scores flows whose scores count for alerts.
pub fn scores(stage: Stage) -> bool {
    matches!(stage, Stage::Canary | Stage::Active)
}

/// Whether a package in this stage must have instances ready.
pub fn is_warm(stage: Stage) -> bool {
    matches!(stage, Stage::Warm | Stage::Shadow | Stage::Canary | Stage::Active)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_scores_that_was_not_warm() {
        for stage in Stage::ALL {
            for step in STEPS {
                let Some(next) = after(stage, step) else { continue };
                assert_ne!(next, stage, "{step:?} moves {stage:?}");
                if is_warm(next) && next != Stage::Warm {
                    assert!(is_warm(stage) || stage == Stage::Retired, "{stage:?} {step:?}");
                }
                // The only ways out of the first two stages are the next one and the quarantine.
                if matches!(stage, Stage::Staged | Stage::Checked) {
                    assert!(matches!(next, Stage::Checked | Stage::Warm | Stage::Quarantined));
                }
            }
        }
    }

    #[test]
    fn a_quarantined_package_begins_anew_or_stays() {
        for step in STEPS {
            let expected = (step == Step::Release).then_some(Stage::Staged);
            assert_eq!(after(Stage::Quarantined, step), expected, "{step:?}");
        }
        for stage in Stage::ALL
            .into_iter()
            .filter(|stage| *stage != Stage::Quarantined)
        {
            assert_eq!(after(stage, Step::Quarantine), Some(Stage::Quarantined));
        }
    }
}
