//! Thresholds and drift in words and figures.

use netsage_api_types::{Drift, ThresholdInfo};

use crate::format;

/// Bars that are drawn at most.
const MOST_BARS: usize = 16;

/// Which band an index lies in, as a class of the style sheet: `same`, `moved` or `other`.
pub fn band(index: f64, small: f64, large: f64) -> &'static str {
    if index > large {
        "other"
    } else if index > small {
        "moved"
    } else {
        "same"
    }
}

/// What is drawn: the score first, then the columns that moved most.
pub fn bars(drift: &Drift) -> Vec<(String, f64)> {
    let mut columns: Vec<(String, f64)> = drift
        .columns
        .iter()
        .map(|column| (column.column.clone(), column.index))
        .collect();
    columns.sort_by(|(_, one), (_, other)| other.total_cmp(one));
    let score = drift.score.map(|index| ("(score)".to_owned(), index));
    score.into_iter().chain(columns).take(MOST_BARS).collect()
}

/// What there is to say where there is no picture; `None` where there is one.
pub fn without_picture(drift: &Drift) -> Option<String> {
    if !drift.has_reference {
        return Some(
            "No reference distributions in its card, so drift cannot be told; train it anew to get them."
                .to_owned(),
        );
    }
    drift.at.is_none().then(|| {
        let (counting, window) = (u64::from(drift.counting), u64::from(drift.window));
        format!(
            "{} of {} flows counted; nothing to tell yet.",
            format::count(counting),
            format::count(window)
        )
    })
}

/// The threshold of a name in a sentence.
pub fn threshold(info: &ThresholdInfo) -> String {
    let above = match (info.score, info.exceedance) {
        (None, _) => "no alerts".to_owned(),
        (Some(score), None) => format!("alerts above {}", format::score(score)),
        (Some(score), Some(share)) => format!(
            "alerts above {}, which {} exceeds",
            format::score(score),
            one_in(share)
        ),
    };
    let rate = info.flows_per_day.map_or_else(String::new, |flows| {
        format!(", at {} flows a day", format::short(flows))
    });
    let origin = match info.origin.as_str() {
        "card" => "from the model card",
        "settings" => "from the settings",
        "tried" => "tried",
        _ => "set here",
    };
    format!("{} ({origin}): {above}{rate}.", info.rule)
}

/// A share of ordinary flows as people think of it.
pub fn one_in(share: f64) -> String {
    format!(
        "1 in {} ordinary flows",
        format::short(1.0 / share.max(f64::MIN_POSITIVE))
    )
}

/// What a threshold would have raised; `None` when nobody asked or nothing is stored.
pub fn yesterday(info: &ThresholdInfo) -> Option<String> {
    let yesterday = info.yesterday.as_ref()?;
    let newest = if yesterday.complete {
        ""
    } else {
        " (the newest of them)"
    };
    Some(format!(
        "In the 24 hours before the newest flow it would have raised {}: {} of {} flows{newest} lie above it.",
        format::plural(yesterday.alerts, "alert", "alerts"),
        format::count(yesterday.above),
        format::count(yesterday.flows)
    ))
}

#[cfg(test)]
mod tests {
    use netsage_api_types::{ColumnDrift, DetectorRef, Yesterday};

    use super::*;

    fn drift() -> Drift {
        let column = |number: u32| ColumnDrift {
            column: format!("c{number}"),
            index: f64::from(number) / 100.0,
        };
        Drift {
            detector: DetectorRef {
                name: "iforest".to_owned(),
                version: "1.0.0".to_owned(),
                digest: String::new(),
                generation: 1,
            },
            has_reference: true,
            window: 5_000,
            counting: 12,
            flows: 5_000,
            at: Some(1),
            score: Some(0.05),
            columns: (0..40).map(column).collect(),
            small: 0.1,
            large: 0.25,
        }
    }

    #[test]
    fn the_score_and_what_moved_most_are_drawn() {
        let bars = bars(&drift());
        assert_eq!(bars.len(), MOST_BARS);
        assert_eq!((bars[0].0.as_str(), bars[1].0.as_str()), ("(score)", "c39"));
        assert_eq!(without_picture(&drift()), None);
        let before = Drift { at: None, ..drift() };
        assert_eq!(
            without_picture(&before).unwrap(),
            "12 of 5\u{202f}000 flows counted; nothing to tell yet."
        );
        let without = Drift {
            has_reference: false,
            ..drift()
        };
        assert!(
            without_picture(&without)
                .unwrap()
                .starts_with("No reference distributions")
        );
    }

    #[test]
    fn bands_end_where_they_say() {
        let bands = [0.0, 0.1, 0.11, 0.25, 0.26].map(|index| band(index, 0.1, 0.25));
        assert_eq!(bands, ["same", "same", "moved", "moved", "other"]);
    }

    #[test]
    fn a_threshold_is_a_sentence() {
        let mut info = ThresholdInfo {
            name: "iforest".to_owned(),
            rule: "fpr:0.001".to_owned(),
            origin: "history".to_owned(),
            score: Some(0.5),
            exceedance: Some(0.001),
            flows_per_day: None,
            pending: None,
            yesterday: Some(Yesterday {
                from: 0,
                until: 1,
                flows: 9_000,
                above: 12,
                alerts: 1,
                complete: false,
            }),
        };
        let found = threshold(&info);
        assert!(
            found.starts_with("fpr:0.001 (set here): alerts above 0.5"),
            "{found}"
        );
        assert!(found.ends_with("ordinary flows exceeds."), "{found}");
        let found = yesterday(&info).unwrap();
        assert!(
            found.contains("raised 1 alert: 12 of 9\u{202f}000 flows (the newest of them)"),
            "{found}"
        );
        (info.score, info.yesterday) = (None, None);
        assert!(threshold(&info).ends_with("no alerts."));
        assert_eq!(yesterday(&info), None);
    }
}
