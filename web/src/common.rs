//! Small pieces that several pages share.

use leptos::prelude::*;
use netsage_api_types::Contribution;
use netsage_web::format;

/// Where the user's name is kept.
const NAME_KEY: &str = "netsage-name";

/// What to add to a time in ms to get local time.
pub(crate) fn local_offset() -> i64 {
    // Minutes, at most a day's worth.
    -(js_sys::Date::new_0().get_timezone_offset() as i64) * 60_000
}

/// Day and time of day, local.
pub(crate) fn moment(ms: i64) -> String {
    let local = ms.saturating_add(local_offset());
    format!("{} {}", format::day(local), format::clock(local, true))
}

/// The name under which the user did something last, or nothing.
pub(crate) fn stored_name() -> String {
    let storage = window().local_storage().ok().flatten();
    storage
        .and_then(|storage| storage.get_item(NAME_KEY).ok().flatten())
        .unwrap_or_default()
}

/// Keeps the name for the next time.
pub(crate) fn store_name(name: &str) {
    if let Ok(Some(storage)) = window().local_storage() {
        // Without storage the name is asked for again; nothing is lost.
        let _ = storage.set_item(NAME_KEY, name);
    }
}

/// Names the page in the title of the window, which is what a screen reader says first.
pub(crate) fn set_title(page: &str) {
    document().set_title(&format!("{page} · NetSage"));
}

/// A message in place of content.
#[component]
pub(crate) fn Notice(
    /// `empty`, `error` or `busy`.
    kind: &'static str,
    #[prop(into)] title: String,
    #[prop(into)] text: String,
) -> impl IntoView {
    let role = if kind == "error" { "alert" } else { "status" };
    view! {
        <div class=format!("notice {kind}") role=role>
            <strong>{title}</strong>
            <span>{text}</span>
        </div>
    }
}

/// Which columns drove a score, each with its share and the value seen against the typical one.
#[component]
pub(crate) fn Contributions(contributions: Vec<Contribution>) -> impl IntoView {
    if contributions.is_empty() {
        return view! { <p class="muted">"This detector does not say which columns drove the score."</p> }
            .into_any();
    }
    let largest = contributions
        .iter()
        .map(|entry| entry.weight)
        .fold(f32::MIN_POSITIVE, f32::max);
    let rows = contributions
        .into_iter()
        .map(|entry| contribution(entry, largest))
        .collect_view();
    view! { <ol class="contributions">{rows}</ol> }.into_any()
}

fn contribution(entry: Contribution, largest: f32) -> impl IntoView {
    let share = f64::from(entry.weight / largest) * 100.0;
    let percent = format::percent(Some(f64::from(entry.weight)));
    let numbers = entry
        .value
        .parse::<f64>()
        .ok()
        .zip(entry.typical.parse::<f64>().ok());
    let bars = numbers.map(|(seen, typical)| {
        let most = seen.abs().max(typical.abs()).max(f64::MIN_POSITIVE);
        let bar = |value: f64, class: &'static str| {
            let width = format!("{:.1}", (value.abs() / most * 100.0).max(0.8));
            view! { <rect class=class x="0" y=if class == "seen" { "0" } else { "5" } width=width height="3.6" rx="1"/> }
        };
        view! {
            <svg class="against" viewBox="0 0 100 9" preserveAspectRatio="none" aria-hidden="true">
                {bar(seen, "seen")} {bar(typical, "typical")}
            </svg>
        }
    });
    let unit = if entry.unit.is_empty() {
        String::new()
    } else {
        format!(" {}", entry.unit)
    };
    view! {
        <li>
            <div class="contribution-head">
                <code>{entry.column}</code>
                <span class="muted">{percent}" of the score"</span>
            </div>
            <svg class="share" viewBox="0 0 100 4" preserveAspectRatio="none" aria-hidden="true">
                <rect class="track" width="100" height="4"/>
                <rect class="fill" width=format!("{share:.1}") height="4"/>
            </svg>
            <div class="values">
                <span><i class="dot seen"></i>"seen "<b>{entry.value}{unit.clone()}</b></span>
                <span><i class="dot typical"></i>"typical "<b>{entry.typical}{unit}</b></span>
            </div>
            {bars}
        </li>
    }
}
