//! The life of detector packages as the page shows it: groups by name, the track of stages, the words of the steps.

use netsage_api_types::{DetectorInfo, HistoryEntry, Stage, Step};

/// The stages of a life that goes well, in order.
pub const TRACK: [Stage; 6] = [
    Stage::Staged,
    Stage::Checked,
    Stage::Warm,
    Stage::Shadow,
    Stage::Canary,
    Stage::Active,
];

/// The packages of one name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    /// The name; empty for packages that were not checked yet.
    pub name: String,
    /// Their digests, those that score first.
    pub digests: Vec<String>,
}

/// Packages by name: names with an active package first, then by the alphabet; within a name those that score first,
/// then by the time of the last move.
pub fn groups(list: &[DetectorInfo]) -> Vec<Group> {
    let rank = |stage: Stage| match stage {
        Stage::Active => 0,
        Stage::Canary => 1,
        Stage::Shadow => 2,
        Stage::Warm | Stage::Checked | Stage::Staged => 3,
        Stage::Retired => 4,
        Stage::Quarantined => 5,
    };
    let mut sorted: Vec<&DetectorInfo> = list.iter().collect();
    sorted.sort_by(|one, other| {
        let key = |info: &DetectorInfo| (rank(info.stage), -info.since);
        key(one)
            .cmp(&key(other))
            .then_with(|| one.detector.digest.cmp(&other.detector.digest))
    });
    let mut groups: Vec<(bool, Group)> = Vec::new();
    for info in sorted {
        let name = &info.detector.name;
        let digest = info.detector.digest.clone();
        match groups.iter_mut().find(|(_, group)| group.name == *name) {
            Some((_, group)) => group.digests.push(digest),
            None => groups.push((
                info.stage == Stage::Active,
                Group {
                    name: name.clone(),
                    digests: vec![digest],
                },
            )),
        }
    }
    groups.sort_by(|(one_active, one), (other_active, other)| {
        (!one_active, &one.name).cmp(&(!other_active, &other.name))
    });
    groups.into_iter().map(|(_, group)| group).collect()
}

/// How a stage stands to a package.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// The package has passed the stage.
    Passed,
    /// The package is in the stage.
    Now,
    /// The package has not reached the stage.
    Ahead,
}

/// One stage on the track.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stop {
    /// The stage.
    pub stage: Stage,
    /// How it stands to the package.
    pub place: Place,
    /// When the package reached the stage last, ms since the epoch, and why.
    pub reached: Option<(i64, String)>,
}

/// The track of a package: the stages of the normal life, and the stage that ended the life, if any. Times and reasons
/// are those of its history (newest first) since it last began anew.
pub fn track(info: &DetectorInfo, history: &[HistoryEntry]) -> Vec<Stop> {
    let own = || {
        history
            .iter()
            .filter(|entry| entry.digest == info.detector.digest)
    };
    // A package let out of quarantine begins anew, and what was before does not count.
    let this_life = || {
        own()
            .take_while(|entry| entry.step != Step::Release)
            .chain(own().find(|entry| entry.step == Step::Release))
    };
    let ends = [Stage::Retired, Stage::Quarantined];
    let end = ends.into_iter().filter(|stage| *stage == info.stage);
    TRACK
        .into_iter()
        .chain(end)
        .map(|stage| {
            let entry = this_life().find(|entry| entry.to == stage && entry.from != Some(stage));
            let reached = entry.map(|entry| (entry.at, entry.why.clone()));
            let place = if stage == info.stage {
                Place::Now
            } else if reached.is_some() {
                Place::Passed
            } else {
                Place::Ahead
            };
            let reached = match place {
                Place::Now => Some((info.since, info.why.clone())),
                _ => reached,
            };
            Stop {
                stage,
                place,
                reached,
            }
        })
        .collect()
}

/// The label of the button for a step of a package in this stage.
pub fn words(stage: Stage, step: Step) -> &'static str {
    match (stage, step) {
        (_, Step::Stage) => "Stage",
        (_, Step::Check) => "Check",
        (Stage::Shadow, Step::Warm) => "End the shadow",
        (_, Step::Warm) => "Make ready",
        (_, Step::Shadow) => "Shadow",
        (_, Step::Canary) => "Canary",
        (_, Step::Promote) => "Promote",
        (Stage::Canary, Step::Rollback) => "Take the canary back",
        (_, Step::Rollback) => "Undo: roll back",
        (_, Step::Retire) => "Retire",
        (_, Step::Quarantine) => "Quarantine",
        (_, Step::Release) => "Release",
        (_, Step::Threshold) => "Threshold",
        (_, Step::Drift) => "Drift",
    }
}

/// What happens when a step is done, for those that take a detector away and are confirmed first.
pub fn warning(stage: Stage, step: Step) -> Option<&'static str> {
    match (stage, step) {
        (Stage::Active, Step::Quarantine) => {
            Some("It is taken out at once; the one before it scores again, if there is one.")
        }
        (_, Step::Quarantine) => Some("It is taken out at once and does nothing until it is released."),
        (_, Step::Retire) => Some("No detector of this name will score."),
        _ => None,
    }
}

/// The usual next step after a stage.
pub fn natural(stage: Stage) -> Option<Step> {
    Some(match stage {
        Stage::Staged => Step::Check,
        Stage::Checked | Stage::Retired => Step::Warm,
        Stage::Warm => Step::Shadow,
        Stage::Shadow => Step::Canary,
        Stage::Canary => Step::Promote,
        Stage::Quarantined => Step::Release,
        Stage::Active => return None,
    })
}

/// A share of the flows from what was typed, in percent: nothing for an empty field.
///
/// # Errors
/// A sentence when it is no share.
pub fn share_from_percent(typed: &str) -> Result<Option<f64>, String> {
    let typed = typed.trim();
    if typed.is_empty() {
        return Ok(None);
    }
    let percent: Option<f64> = typed.replace(',', ".").parse().ok();
    percent
        .filter(|percent| *percent > 0.0 && *percent <= 100.0)
        .map(|percent| Some(percent / 100.0))
        .ok_or_else(|| {
            format!("`{typed}` is not a share; give a number above 0 and at most 100, in percent.")
        })
}

/// Counts in at most `most` columns: neighbours are added up, so that a picture has room for them.
pub fn columns(counts: &[u64], most: usize) -> Vec<u64> {
    let most = most.max(1).min(counts.len());
    let mut columns = vec![0; most];
    for (bin, count) in counts.iter().enumerate() {
        columns[bin * most / counts.len()] += count;
    }
    columns
}

#[cfg(test)]
mod tests {
    use netsage_api_types::{DetectorRef, FailurePolicy};

    use super::*;

    fn info(name: &str, digest: &str, stage: Stage, since: i64) -> DetectorInfo {
        DetectorInfo {
            detector: DetectorRef {
                name: name.to_owned(),
                version: "1.0.0".to_owned(),
                digest: digest.to_owned(),
                generation: 0,
            },
            summary: String::new(),
            licence: String::new(),
            explains: false,
            learns: false,
            columns: Vec::new(),
            size: 0,
            stage,
            since,
            next: Vec::new(),
            under_way: None,
            share: None,
            why: "because".to_owned(),
            previous: None,
            on_failure: FailurePolicy::Reload,
            threshold: None,
            card: None,
            scored: 0,
            failed: 0,
            replaced_instances: 0,
            failed_explanations: 0,
            nanoseconds_per_row: None,
        }
    }

    /// History of package `a`, oldest first in `moves`: step, from, to.
    fn history(moves: &[(Step, Option<Stage>, Stage)]) -> Vec<HistoryEntry> {
        let entry = |(index, (step, from, to)): (usize, &(Step, Option<Stage>, Stage))| HistoryEntry {
            number: index as u64 + 1,
            at: index as i64 * 10,
            by: "ada".to_owned(),
            step: *step,
            digest: "a".to_owned(),
            name: None,
            from: *from,
            to: *to,
            generation: None,
            why: format!("reason {index}"),
        };
        moves.iter().enumerate().map(entry).rev().collect()
    }

    #[test]
    fn those_that_score_come_first() {
        let list = [
            info("zscore", "a", Stage::Active, 1),
            info("iforest", "b", Stage::Quarantined, 9),
            info("iforest", "c", Stage::Warm, 2),
            info("iforest", "d", Stage::Active, 1),
            info("iforest", "e", Stage::Warm, 5),
            info("abacus", "f", Stage::Shadow, 1),
        ];
        let shown: Vec<(String, String)> = groups(&list)
            .into_iter()
            .map(|group| (group.name, group.digests.concat()))
            .collect();
        let expected = [("iforest", "decb"), ("zscore", "a"), ("abacus", "f")];
        assert_eq!(
            shown,
            expected.map(|(name, digests)| (name.to_owned(), digests.to_owned()))
        );
    }

    #[test]
    fn a_track_tells_where_a_package_was_and_why() {
        use Stage as S;
        let moves = [
            (Step::Stage, None, S::Staged),
            (Step::Check, Some(S::Staged), S::Checked),
            (Step::Warm, Some(S::Checked), S::Warm),
            (Step::Shadow, Some(S::Warm), S::Shadow),
            (Step::Warm, Some(S::Shadow), S::Warm),
            (Step::Promote, Some(S::Warm), S::Active),
        ];
        let found = track(&info("iforest", "a", S::Active, 50), &history(&moves));
        let places: Vec<Place> = found.iter().map(|stop| stop.place).collect();
        use Place::{Ahead, Now, Passed};
        assert_eq!(places, [Passed, Passed, Passed, Passed, Ahead, Now]);
        assert_eq!(
            found[2].reached,
            Some((40, "reason 4".to_owned())),
            "the last time"
        );
        assert_eq!(found[4].reached, None, "it never was a canary");
        assert_eq!(found[5].reached, Some((50, "because".to_owned())));
    }

    #[test]
    fn a_released_package_begins_anew() {
        use Stage as S;
        let moves = [
            (Step::Stage, None, S::Staged),
            (Step::Check, Some(S::Staged), S::Checked),
            (Step::Quarantine, Some(S::Checked), S::Quarantined),
            (Step::Release, Some(S::Quarantined), S::Staged),
        ];
        let found = track(&info("", "a", S::Staged, 30), &history(&moves));
        assert_eq!(found.len(), TRACK.len());
        assert!(
            found[1..].iter().all(|stop| stop.place == Place::Ahead),
            "{found:?}"
        );
        let found = track(&info("", "a", S::Quarantined, 20), &history(&moves[..3]));
        let last = found.last().unwrap();
        assert_eq!((last.stage, last.place), (S::Quarantined, Place::Now));
        assert_eq!(found[1].place, Place::Passed);
    }

    #[test]
    fn shares_are_typed_in_percent() {
        assert_eq!(share_from_percent(" "), Ok(None));
        assert_eq!(share_from_percent("12,5"), Ok(Some(0.125)));
        assert_eq!(share_from_percent("100"), Ok(Some(1.0)));
        for wrong in ["0", "101", "-1", "ten", "NaN"] {
            assert!(share_from_percent(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn columns_hold_every_count_once() {
        assert_eq!(columns(&[1, 2, 3, 4], 2), [3, 7]);
        assert_eq!(columns(&[1, 2], 64), [1, 2]);
        assert!(columns(&[], 64).is_empty());
    }
}
