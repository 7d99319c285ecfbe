//! Overview: what goes through, and what stands out.

use std::time::Duration;

use leptos::prelude::*;
use leptos_router::components::A;
use netsage_api_types::{Health, Overview as Figures, PipelineCounters, TopSource};
use netsage_web::format;

use crate::api::{self, Asked, Remote};
use crate::chart::FlowsOverTime;
use crate::common::{Notice, set_title};
use crate::events::Events;

/// How often the chart is asked for again; the counters come by themselves.
const REFRESH: Duration = Duration::from_secs(4);

/// What the page shows below the counters.
#[derive(Clone, PartialEq)]
enum View {
    Waiting,
    Failed(String),
    Empty,
    Panels,
}

/// The page.
#[component]
pub(crate) fn Overview() -> impl IntoView {
    set_title("Overview");
    let events = expect_context::<Events>();
    let figures = Asked::<Figures>::new();
    let health = Asked::<Health>::new();
    let refresh = move || {
        figures.ask("/overview".to_owned());
        health.ask("/health".to_owned());
    };
    refresh();
    if let Ok(timer) = set_interval_with_handle(refresh, REFRESH) {
        on_cleanup(move || timer.clear());
    }

    let counters = Memo::new(move |_| {
        let known = match figures.get() {
            Remote::Ready(figures) => Some(figures.counters),
            _ => None,
        };
        events.counters.get().or(known).unwrap_or_default()
    });
    // Parts of their own, so that what did not change is not drawn anew under somebody's pointer or focus.
    let view = Memo::new(move |_| match figures.get() {
        Remote::Loading => View::Waiting,
        Remote::Failed(why) => View::Failed(why),
        Remote::Ready(figures) if figures.points.is_empty() => View::Empty,
        Remote::Ready(_) => View::Panels,
    });
    let axis = Memo::new(move |_| match figures.get() {
        Remote::Ready(figures) => (figures.step, figures.points),
        _ => (1, Vec::new()),
    });
    let sources = Memo::new(move |_| match figures.get() {
        Remote::Ready(figures) => figures.top_sources,
        _ => Vec::new(),
    });
    let body = move || {
        match view.get() {
        View::Waiting => {
            view! { <Notice kind="busy" title="Loading" text="Asking the host for its figures."/> }.into_any()
        }
        View::Failed(why) => {
            view! { <Notice kind="error" title="The figures cannot be shown" text=why/> }.into_any()
        }
        View::Empty => view! {
            <Notice kind="empty" title="No flow has ended yet"
                text="A flow is shown when its last packet has been seen. Start the host with --pcap FILE or --interface NAME, or try the Lab."/>
        }
        .into_any(),
        View::Panels => view! {
            <div class="columns">
                <section class="panel wide">
                    <h2>"Flows and alerts over time"</h2>
                    {move || {
                        let (step, points) = axis.get();
                        view! { <FlowsOverTime step points/> }
                    }}
                </section>
                <section class="panel">
                    <h2>"Top sources"</h2>
                    <TopSources sources/>
                </section>
            </div>
        }
        .into_any(),
    }
    };
    let alerts_new = move || match figures.get() {
        Remote::Ready(figures) => (
            format::count(figures.alerts_new),
            format!("of {} in all", format::count(figures.alerts_total)),
        ),
        _ => ("–".to_owned(), String::new()),
    };
    let problems = Memo::new(move |_| match health.get() {
        Remote::Ready(health) => health.problems,
        _ => Vec::new(),
    });
    let notes = Memo::new(move |_| match health.get() {
        Remote::Ready(health) => health.notes,
        _ => Vec::new(),
    });
    view! {
        <div class="page-head">
            <h1>"Overview"</h1>
            {move || source_line(health.get())}
        </div>
        {move || {
            let text = problems.get().join("; ");
            (!text.is_empty()).then(|| view! { <Notice kind="error" title="Something needs you" text/> })
        }}
        {move || {
            let text = notes.get().join("; ");
            (!text.is_empty()).then(|| view! { <p class="muted">"Since the start: "{text}</p> })
        }}
        <section class="tiles" aria-label="Counters">
            {tile("Flows a second", move || events.flow_rate.get().map_or_else(|| "–".to_owned(), format::short), || "over the last 5 s".to_owned())}
            {tile("Flows scored", move || format::count(counters.get().flows_scored), move || of_all(counters.get()))}
            {tile("Packets", move || format::short(counters.get().packets as f64), move || format::bytes(counters.get().bytes))}
            {tile("New alerts", move || alerts_new().0, move || alerts_new().1)}
            {tile("Not scored", move || format::count(counters.get().flows_failed + counters.get().flows_dropped), move || losses(counters.get()))}
        </section>
        {body}
    }
}

fn tile(
    name: &'static str,
    value: impl Fn() -> String + Send + Sync + 'static,
    note: impl Fn() -> String + Send + Sync + 'static,
) -> impl IntoView {
    view! {
        <div class="tile">
            <span class="name">{name}</span>
            <span class="value">{value}</span>
            <span class="note">{note}</span>
        </div>
    }
}

fn of_all(counters: PipelineCounters) -> String {
    let all = format::plural(counters.flows, "flow", "flows");
    match counters.flows_waiting {
        0 => format!("of {all}"),
        waiting => format!("of {all}, {} on their way", format::count(waiting)),
    }
}

fn losses(counters: PipelineCounters) -> String {
    let packets = counters.kernel_drops.saturating_add(counters.interface_drops);
    match (counters.flows_failed, counters.flows_dropped, packets) {
        (0, 0, 0) => "nothing lost".to_owned(),
        (0, 0, packets) => format!("{} lost", format::plural(packets, "packet", "packets")),
        (failed, dropped, _) => format!(
            "{} failed, {} dropped",
            format::count(failed),
            format::count(dropped)
        ),
    }
}

fn source_line(health: Remote<Health>) -> impl IntoView {
    let Remote::Ready(health) = health else {
        return ().into_any();
    };
    let source = match (health.source.as_str(), health.finished) {
        ("none", _) => "No source: the host only answers requests".to_owned(),
        (source, true) => format!("{source}, read to its end"),
        (source, false) => format!("Reading {source}"),
    };
    let uptime = i64::try_from(health.uptime.saturating_mul(1000)).unwrap_or(i64::MAX);
    let rest = format!(
        "NetSage {} · store {} · up {}",
        health.version,
        health.store,
        format::duration(uptime)
    );
    view! { <p class="muted">{source}" · "{rest}</p> }.into_any()
}

#[component]
fn TopSources(sources: Memo<Vec<TopSource>>) -> impl IntoView {
    let most = Memo::new(move |_| {
        let most = sources.with(|sources| sources.iter().map(|source| source.flows).max());
        most.unwrap_or(0).max(1)
    });
    // The key holds what is shown, so that a source that changed is drawn anew.
    let key = |source: &TopSource| {
        (
            source.source.clone(),
            source.network.clone(),
            source.flows,
            source.alerts,
        )
    };
    view! {
        <Show when=move || sources.with(Vec::is_empty)>
            <p class="muted">"No source stands out: no flow has scored above a threshold."</p>
        </Show>
        <ol class="sources">
            <For each=move || sources.get() key=key let:source>{top_source(source, most)}</For>
        </ol>
    }
}

fn top_source(source: TopSource, most: Memo<u64>) -> impl IntoView {
    let share = move || format!("{:.1}", source.flows as f64 / most.get() as f64 * 100.0);
    let link = format!(
        "/alerts{}",
        api::query(&[
            ("source", Some(source.source.clone())),
            ("network", Some(source.network.clone())),
        ])
    );
    let network =
        (!source.network.is_empty()).then(|| view! { <span class="muted">" · "{source.network}</span> });
    view! {
        <li>
            <span><A href=link><code>{source.source}</code></A>{network}</span>
            <span class="muted">
                {format::plural(source.flows, "flow", "flows")}" · "{format::plural(source.alerts, "alert", "alerts")}
            </span>
            <svg class="share" viewBox="0 0 100 4" preserveAspectRatio="none" aria-hidden="true">
                <rect class="track" width="100" height="4"/>
                <rect class="fill alert" width=share height="4"/>
            </svg>
        </li>
    }
}
