//! What the Lab shows of a run: charts, threshold, confusion matrix, top rows.

use leptos::prelude::*;
use netsage_web::evaluation::{self, Confusion};
use netsage_web::{format, scale};

use super::lab::State;
use super::lab_worker::{RowView, Scored};
use crate::chart::scores::{Histogram, Timeline};
use crate::common::{Contributions, Notice};

/// Steps of the slider.
const STEPS: f64 = 1000.0;

/// Everything about one run.
#[component]
pub(crate) fn Results(state: State) -> impl IntoView {
    let scored = state.scored;
    let scores = Memo::new(move |_| scored.with(|scored| scored.scores.clone()));
    let times = Memo::new(move |_| scored.with(|scored| scored.times.clone()));
    let labels = Memo::new(move |_| scored.with(|scored| scored.labels.clone()));
    let extent = Memo::new(move |_| {
        let extent = scores.with(|scores| scale::extent(scores.iter().map(|score| f64::from(*score))));
        match extent {
            Some((low, high)) if low < high => (low, high),
            // All scores are equal: any interval around them does.
            Some((low, _)) => (low - 0.5, low + 0.5),
            None => (0.0, 1.0),
        }
    });
    let threshold = state.threshold;
    let labelled = move || labels.with(|labels| labels.iter().any(|label| *label <= evaluation::ATTACK));
    view! {
        {move || summary(&state.name.get(), &scored.get())}
        <div class="columns">
            <section class="panel wide">
                <h2>"Timeline"</h2>
                <Timeline scores times extent threshold/>
                <h2>"Distribution"</h2>
                <Histogram scores labels extent threshold/>
            </section>
            <section class="panel">
                <h2>"Threshold"</h2>
                <Slider threshold extent/>
                <p>{move || alerted(&scores.read(), threshold.get())}</p>
                <Show when=labelled>
                    <Matrix scores labels threshold/>
                </Show>
                <Show when=move || !labelled()>
                    <p class="muted">"This file has no labels, so nobody can tell right alarms from false ones. A CSV with a column "<code>"label"</code>" (0 or 1) has them."</p>
                </Show>
            </section>
        </div>
        <TopRows state/>
    }
}

fn summary(name: &str, scored: &Scored) -> impl IntoView + use<> {
    let summary = &scored.summary;
    let rate = if scored.seconds > 0.0 {
        format!(
            " ({} rows/s)",
            format::short(scored.scores.len() as f64 / scored.seconds)
        )
    } else {
        String::new()
    };
    // Seconds of a run, at most a few hundred.
    let took = format::duration((scored.seconds * 1000.0).round() as i64);
    let mut parts = vec![format::plural(summary.rows, "flow", "flows")];
    if summary.packets > 0 {
        parts.push(format!(
            "from {}",
            format::plural(summary.packets, "packet", "packets")
        ));
    }
    if summary.labelled > 0 {
        parts.push(format!("{} labelled", format::count(summary.labelled)));
    }
    if summary.skipped > 0 {
        let what = match summary.kind.as_str() {
            "csv" => "rows left out",
            "records" => "records left out",
            _ => "packets not metered",
        };
        parts.push(format!("{} {what}", format::count(summary.skipped)));
    }
    let notes = summary
        .notes
        .iter()
        .map(|note| view! { <Notice kind="empty" title="Note" text=note.clone()/> });
    let notes = notes.collect_view();
    view! {
        <p class="lab-summary" id="lab-summary"><b>{name.to_owned()}</b>": "{parts.join(", ")}". Scored in "{took}{rate}"."</p>
        {notes}
    }
}

fn alerted(scores: &[f32], threshold: f32) -> String {
    let alerted = scores.iter().filter(|score| **score > threshold).count() as u64;
    let share = format::percent(evaluation::share(alerted, scores.len() as u64));
    format!(
        "{} of {} lie above it ({share}).",
        format::count(alerted),
        format::plural(scores.len() as u64, "flow", "flows")
    )
}

#[component]
fn Slider(threshold: RwSignal<f32>, extent: Memo<(f64, f64)>) -> impl IntoView {
    // Narrowing to the detector's own type of score.
    let set = move |event| {
        if let Ok(value) = event_target_value(&event).parse::<f64>() {
            threshold.set(value as f32);
        }
    };
    view! {
        <label class="slider">
            <output>{move || format::score(threshold.get())}</output>
            <input type="range" name="threshold" aria-label="Threshold" min=move || extent.get().0 max=move || extent.get().1
                step=move || (extent.get().1 - extent.get().0) / STEPS prop:value=move || threshold.get().to_string() on:input=set/>
        </label>
    }
}

#[component]
fn Matrix(scores: Memo<Vec<f32>>, labels: Memo<Vec<u8>>, threshold: RwSignal<f32>) -> impl IntoView {
    let counts = Memo::new(move |_| {
        scores.with(|scores| labels.with(|labels| Confusion::count(scores, labels, threshold.get())))
    });
    let area =
        Memo::new(move |_| scores.with(|scores| labels.with(|labels| evaluation::auroc(scores, labels))));
    view! {
        <table class="matrix">
            <thead><tr><td></td><th scope="col">"alerted"</th><th scope="col">"quiet"</th></tr></thead>
            <tbody>
                <tr>
                    <th scope="row">"attack"</th>
                    <td class="good" data-cell="found">{move || format::count(counts.get().found)}</td>
                    <td class="bad" data-cell="missed">{move || format::count(counts.get().missed)}</td>
                </tr>
                <tr>
                    <th scope="row">"ordinary"</th>
                    <td class="bad" data-cell="false-alarms">{move || format::count(counts.get().false_alarms)}</td>
                    <td class="good" data-cell="quiet">{move || format::count(counts.get().quiet)}</td>
                </tr>
            </tbody>
        </table>
        <dl class="facts">
            <div><dt>"Attacks found (TPR)"</dt><dd>{move || format::percent(counts.get().true_positive_rate())}</dd></div>
            <div><dt>"False alarms (FPR)"</dt><dd>{move || format::percent(counts.get().false_positive_rate())}</dd></div>
            <div><dt>"Alerts that are right"</dt><dd>{move || format::percent(counts.get().precision())}</dd></div>
            <div><dt>"AUROC"</dt><dd>{move || area.get().map_or_else(|| "–".to_owned(), |area| format!("{area:.3}"))}</dd></div>
        </dl>
    }
}

#[component]
fn TopRows(state: State) -> impl IntoView {
    let rows = move || {
        let rows = state.rows.get().into_iter().map(|row| top_row(row, state));
        rows.collect_view()
    };
    view! {
        <section class="panel">
            <h2>"Highest scores"</h2>
            {move || state.trouble.get().map(|why| view! { <p class="trouble" role="alert">{why}</p> })}
            <div class="table-wrap">
                <table>
                    <thead><tr>
                        <th scope="col" class="number">"Row"</th> <th scope="col" class="number">"Score"</th>
                        <th scope="col">"Kind"</th> <th scope="col">"State"</th> <th scope="col">"Flow"</th>
                        <th scope="col" class="number">"Packets"</th> <th scope="col" class="number">"Bytes"</th>
                        <th scope="col" class="number">"Duration"</th> <th scope="col">"Label"</th> <th scope="col"></th>
                    </tr></thead>
                    <tbody>{rows}</tbody>
                </table>
            </div>
        </section>
    }
}

fn top_row(view: RowView, state: State) -> impl IntoView {
    let row = view.row;
    let score = move || {
        let score = state
            .scored
            .with(|scored| scored.scores.get(row as usize).copied());
        score.map_or_else(String::new, format::score)
    };
    let label = match (view.attack, view.category.as_str()) {
        (Some(true), "") => "attack".to_owned(),
        (Some(false), "") => "ordinary".to_owned(),
        (_, category) => category.to_owned(),
    };
    let class = if view.attack == Some(true) {
        "state attack"
    } else {
        "state"
    };
    let explanation = move || {
        let shown = state.explained.get().filter(|(shown, _)| *shown == row)?;
        Some(
            view! { <tr class="explanation"><td colspan="10"><Contributions contributions=shown.1/></td></tr> },
        )
    };
    let open = move || {
        state
            .explained
            .with(|shown| shown.as_ref().is_some_and(|(shown, _)| *shown == row))
    };
    // Durations of flows are far below the range of whole milliseconds.
    let duration = format::duration((view.duration * 1000.0).round() as i64);
    view! {
        <tr>
            <td class="number">{format::count(u64::from(row) + 1)}</td>
            <td class="number">{score}</td>
            <td>{view.kind}</td>
            <td>{view.state}</td>
            <td><code>{view.endpoints.unwrap_or_else(|| "–".to_owned())}</code></td>
            <td class="number">{format::short(view.packets)}</td>
            <td class="number">{format::short(view.bytes)}</td>
            <td class="number">{duration}</td>
            <td>{(!label.is_empty()).then(|| view! { <span class=class>{label}</span> })}</td>
            <td><button type="button" class="link explain" aria-expanded=move || open().to_string() on:click=move |_| state.explain(row)>"why?"</button></td>
        </tr>
        {explanation}
    }
}
