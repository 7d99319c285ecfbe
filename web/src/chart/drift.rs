//! How far the columns of traffic are from the rows of a training: a bar for each, against the two bands.

use leptos::prelude::*;
use netsage_api_types::Drift;
use netsage_web::judgement;

const WIDTH: f64 = 520.0;
/// Where bars begin: names stand before it.
const LEFT: f64 = 150.0;
const RIGHT: f64 = 470.0;
const TOP: f64 = 22.0;
const ROW: f64 = 17.0;

/// The picture. Bars grow with the square root of the index, so that the small ones can be told apart beside large ones;
/// the scale ends at four times the upper band.
#[component]
pub(crate) fn DriftBars(drift: Drift) -> impl IntoView {
    let bars = judgement::bars(&drift);
    let (small, large) = (drift.small, drift.large);
    let most = 4.0 * large;
    let x = move |index: f64| LEFT + (index.clamp(0.0, most) / most).sqrt() * (RIGHT - LEFT);
    let bottom = TOP + ROW * bars.len() as f64;
    let outside = bars.iter().filter(|(_, index)| *index > large).count();
    let label = format!(
        "Population stability of {} columns and the score over {} flows; {outside} above {large}",
        drift.columns.len(),
        drift.flows
    );
    let lines = [small, large].map(|band| {
        let at = format!("{:.1}", x(band));
        view! {
            <line class="grid" x1=at.clone() x2=at.clone() y1=TOP - 4.0 y2=bottom/>
            <text x=at y=TOP - 8.0 text-anchor="middle">{band.to_string()}</text>
        }
    });
    let rows = bars.into_iter().enumerate().map(|(row, (name, index))| {
        let y = TOP + ROW * row as f64;
        let class = format!("drift-bar {}", judgement::band(index, small, large));
        let value = format!("{index:.3}");
        let end = x(index);
        view! {
            <text x=LEFT - 6.0 y=y + 12.0 text-anchor="end">{name.clone()}</text>
            <rect class=class x=LEFT y=y + 3.0 width=format!("{:.1}", (end - LEFT).max(1.0)) height=ROW - 6.0>
                <title>{format!("{name}: {value}")}</title>
            </rect>
            <text x=format!("{:.1}", end + 5.0) y=y + 12.0>{value}</text>
        }
    });
    view! {
        <svg class="chart drift" viewBox=format!("0 0 {WIDTH} {}", bottom + 4.0) role="img" aria-label=label>
            {lines.into_iter().collect_view()}
            {rows.collect_view()}
        </svg>
    }
}
