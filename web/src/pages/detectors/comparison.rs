//! A shadow or a canary beside the active detector of its name: figures and pictures.

use std::time::Duration;

use leptos::prelude::*;
use netsage_api_types::{Comparison, Stage};
use netsage_web::format;

use crate::api::{Asked, Remote};
use crate::chart::compared::{Distributions, Grid};
use crate::common::moment;

/// How often the figures are asked for again.
const REFRESH: Duration = Duration::from_secs(2);

/// How a candidate compares, as long as it is one.
#[component]
pub(super) fn Candidate(digest: String, stage: Memo<Stage>) -> impl IntoView {
    let asked = Asked::<Comparison>::new();
    let path = format!("/detectors/{digest}/comparison");
    let ask = move || asked.ask(path.clone());
    ask();
    if let Ok(timer) = set_interval_with_handle(ask, REFRESH) {
        on_cleanup(move || timer.clear());
    }
    // A canary is compared anew: it scores other flows than as a shadow.
    Effect::new(move |before: Option<Stage>| {
        let stage = stage.get();
        if before.is_some_and(|before| before != stage) {
            asked.forget();
        }
        stage
    });
    let body = move || match asked.get() {
        Remote::Loading => {
            view! { <p class="muted" role="status">"Asking the host how it compares …"</p> }.into_any()
        }
        Remote::Failed(why) => view! { <p class="muted">"No comparison: "{why}</p> }.into_any(),
        Remote::Ready(comparison) => pictures(comparison).into_any(),
    };
    view! { <section class="comparison" aria-label="Comparison with the active detector">{body}</section> }
}

fn pictures(comparison: Comparison) -> impl IntoView {
    let figure = |name: &'static str, value: String, note: String, is_bad: bool| {
        view! {
            <div class="tile" class:bad=is_bad>
                <span class="name">{name}</span>
                <span class="value">{value}</span>
                <span class="note">{note}</span>
            </div>
        }
    };
    let number = |value: Option<f64>, digits: usize| {
        value.map_or_else(|| "–".to_owned(), |value| format!("{value:.digits$}"))
    };
    let pair = |name, [candidate, active]: [Option<f64>; 2], text: fn(f64) -> String| {
        let text = |value: Option<f64>| value.map_or_else(|| "–".to_owned(), text);
        figure(name, text(candidate), format!("active: {}", text(active)), false)
    };
    let too_far = comparison
        .distance
        .zip(comparison.allowed_distance)
        .is_some_and(|(distance, allowed)| distance > allowed);
    let lost = format!(
        "{} failed, {} skipped",
        format::count(comparison.failed),
        format::count(comparison.skipped)
    );
    let [candidate, active] = comparison.histogram;
    let grid = comparison.grid;
    let has_grid = !grid.is_empty();
    view! {
        <h4>"Beside the active one, since "{moment(comparison.since)}</h4>
        <div class="tiles figures">
            {figure("Flows", format::count(comparison.flows), lost, comparison.failed > 0)}
            {has_grid.then(|| figure("Agreement", format::percent(comparison.agreement), "above or below the threshold".to_owned(), false))}
            {has_grid.then(|| figure("Rank correlation", number(comparison.rank_correlation, 3), "1: the same order".to_owned(), false))}
            {figure("Distance", number(comparison.distance, 3), format!("allowed: {}", number(comparison.allowed_distance, 3)), too_far)}
            {pair("Alerts a day", comparison.alerts_per_day, format::short)}
            {pair("Cost per row", comparison.nanoseconds_per_row, format::short_time)}
            {pair("p99 of a call", comparison.call_p99_us, |us| format::short_time(us * 1000.0))}
        </div>
        <div class="pictures" class:alone=!has_grid>
            <Distributions candidate active/>
            {has_grid.then(|| view! { <Grid counts=grid/> })}
        </div>
    }
}
