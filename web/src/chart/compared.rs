//! Two detectors beside each other: how often each gives which score, and which scores they give to the same flow.

use leptos::prelude::*;
use netsage_web::{format, life, scale};

/// Columns of the histograms.
const COLUMNS: usize = 64;
const WIDTH: f64 = 520.0;
const LEFT: f64 = 8.0;
const RIGHT: f64 = 512.0;
const TOP: f64 = 34.0;
const BOTTOM: f64 = 190.0;

/// Two histograms over the calibrated score, one over the other. Heights are shares of the own flows, since a canary
/// has fewer, and grow with the square root, so that a few alerts remain visible beside many ordinary flows.
#[component]
pub(crate) fn Distributions(candidate: Vec<u64>, active: Vec<u64>) -> impl IntoView {
    let shares = |counts: &[u64]| {
        let all = counts.iter().sum::<u64>().max(1) as f64;
        let columns = life::columns(counts, COLUMNS).into_iter();
        columns.map(|count| count as f64 / all).collect::<Vec<f64>>()
    };
    let flows = [candidate.iter().sum::<u64>(), active.iter().sum::<u64>()];
    let (candidate, active) = (shares(&candidate), shares(&active));
    let most = candidate
        .iter()
        .chain(&active)
        .copied()
        .fold(f64::MIN_POSITIVE, f64::max);
    let y = move |share: f64| BOTTOM - (share / most).sqrt() * (BOTTOM - TOP);
    let x = |columns: usize| scale::Linear {
        domain: (0.0, columns.max(1) as f64),
        range: (LEFT, RIGHT),
    };
    let outline = |shares: &[f64]| {
        let x = x(shares.len());
        let mut line = format!("M{LEFT} {BOTTOM}");
        for (column, share) in shares.iter().enumerate() {
            let (from, to, top) = (x.place(column as f64), x.place(column as f64 + 1.0), y(*share));
            line.push_str(&format!("L{from:.1} {top:.1}L{to:.1} {top:.1}"));
        }
        line + &format!("L{RIGHT} {BOTTOM}")
    };
    let tips = candidate.iter().zip(&active).enumerate().map(|(column, (candidate_share, active_share))| {
        let x = x(candidate.len());
        let (from, to) = (x.place(column as f64), x.place(column as f64 + 1.0));
        let score = |column: usize| column as f64 / candidate.len() as f64;
        let text = format!(
            "score {:.3} to {:.3}: candidate {}, active {}",
            score(column),
            score(column + 1),
            format::percent(Some(*candidate_share)),
            format::percent(Some(*active_share))
        );
        view! {
            <rect class="tip" x=format!("{from:.1}") y=TOP width=format!("{:.1}", to - from) height=BOTTOM - TOP>
                <title>{text}</title>
            </rect>
        }
    });
    let tips = tips.collect_view();
    let ticks = [0.0, 0.25, 0.5, 0.75, 1.0].map(|tick| {
        let anchor = if tick == 0.0 {
            "start"
        } else if tick == 1.0 {
            "end"
        } else {
            "middle"
        };
        view! { <text x=LEFT + tick * (RIGHT - LEFT) y="206" text-anchor=anchor>{tick.to_string()}</text> }
    });
    let label = format!(
        "Distributions of the calibrated scores: {} of the candidate, {} of the active detector",
        format::plural(flows[0], "flow", "flows"),
        format::plural(flows[1], "flow", "flows")
    );
    view! {
        <svg class="chart compared" viewBox=format!("0 0 {WIDTH} 212") role="img" aria-label=label>
            <text x=LEFT y="10">"share of flows by calibrated score"</text>
            <rect class="active-area" x="300" y="2" width="10" height="10"/><text x="314" y="11">"active"</text>
            <rect class="candidate-key" x="372" y="2" width="10" height="10"/><text x="386" y="11">"candidate"</text>
            <line class="grid" x1=LEFT x2=RIGHT y1=BOTTOM y2=BOTTOM/>
            <path class="active-area" d=outline(&active)/>
            <path class="candidate-line" d=outline(&candidate)/>
            {ticks.into_iter().collect_view()}
            {tips}
        </svg>
    }
}

/// Flows by both scores as a map: the more flows, the stronger the colour (by the logarithm). On the diagonal both say
/// the same.
#[component]
pub(crate) fn Grid(counts: Vec<Vec<u64>>) -> impl IntoView {
    const SIZE: f64 = 180.0;
    const EDGE: f64 = 26.0;
    let rows = counts.len().max(1);
    let most = counts.iter().flatten().copied().max().unwrap_or(0);
    let flows = counts.iter().flatten().sum::<u64>();
    let strength = move |count: u64| (count as f64).ln_1p() / (most as f64).ln_1p().max(f64::MIN_POSITIVE);
    let cells = counts.into_iter().enumerate().flat_map(|(row, cells)| {
        let columns = cells.len().max(1);
        let filled = cells.into_iter().enumerate().filter(|(_, count)| *count > 0);
        filled
            .map(move |(column, count)| {
                let (width, height) = (SIZE / columns as f64, SIZE / rows as f64);
                let (left, top) = (EDGE + column as f64 * width, 14.0 + SIZE - (row + 1) as f64 * height);
                let text = format!(
                    "candidate {:.2}, active {:.2}: {}",
                    (column as f64 + 0.5) / columns as f64,
                    (row as f64 + 0.5) / rows as f64,
                    format::plural(count, "flow", "flows")
                );
                view! {
                    <rect class="cell" x=format!("{left:.2}") y=format!("{top:.2}") width=format!("{width:.2}")
                        height=format!("{height:.2}") opacity=format!("{:.3}", 0.12 + 0.88 * strength(count))>
                        <title>{text}</title>
                    </rect>
                }
            })
            .collect::<Vec<_>>()
    });
    let cells = cells.collect_view();
    let label = format!(
        "{} by both calibrated scores; the stronger the colour, the more flows; on the diagonal both say the same",
        format::plural(flows, "flow", "flows")
    );
    let (right, bottom) = (EDGE + SIZE, 14.0 + SIZE);
    view! {
        <svg class="chart compared map" viewBox="0 0 212 212" role="img" aria-label=label>
            <rect class="frame" x=EDGE y="14" width=SIZE height=SIZE/>
            {cells}
            <line class="diagonal" x1=EDGE y1=bottom x2=right y2="14"/>
            <text x=EDGE + SIZE / 2.0 y="207" text-anchor="middle">"candidate"</text>
            <text transform=format!("translate(18 {}) rotate(-90)", 14.0 + SIZE / 2.0) text-anchor="middle">"active"</text>
        </svg>
    }
}
