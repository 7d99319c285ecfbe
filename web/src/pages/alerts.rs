//! Alerts: what a person should look at, as it comes in.

use leptos::prelude::*;
use leptos::task::spawn_local;
use leptos_router::hooks::use_query_map;
use netsage_api_types::{Alert, AlertState, Page};
use netsage_web::format;
use netsage_web::listing::{self, AlertFilter, severity_name, state_name};

use super::alert_detail::{AlertDetail, opener};
use crate::api::{self, Asked, Remote};
use crate::common::{Notice, moment, set_title};
use crate::events::Events;

const PAGE: u32 = 50;

/// Where the host lists what the filter takes.
fn path(filter: &AlertFilter, cursor: Option<String>) -> String {
    let some = |text: &str| Some(text.trim().to_owned());
    let query = api::query(&[
        ("state", some(&filter.state)),
        ("min_severity", some(&filter.severity)),
        ("source", some(&filter.source)),
        ("kind", some(&filter.kind)),
        ("network", some(&filter.network)),
        ("sensor", some(&filter.sensor)),
        ("limit", Some(PAGE.to_string())),
        ("cursor", cursor),
    ]);
    format!("/alerts{query}")
}

/// The page.
#[component]
pub(crate) fn Alerts() -> impl IntoView {
    set_title("Alerts");
    let events = expect_context::<Events>();
    let asked = use_query_map();
    let of_address = |name: &str| asked.with_untracked(|query| query.get(name)).unwrap_or_default();
    let filter = RwSignal::new(AlertFilter {
        source: of_address("source"),
        network: of_address("network"),
        sensor: of_address("sensor"),
        ..AlertFilter::default()
    });
    let first = Asked::<Page<Alert>>::new();
    let list = RwSignal::new(Vec::<Alert>::new());
    let next = RwSignal::new(None::<String>);
    let trouble = RwSignal::new(None::<String>);
    let opened = RwSignal::new(None::<Alert>);

    let ask = move |filter: AlertFilter| {
        first.look_for(move |cursor| path(&filter, cursor), |page| !page.is_empty());
    };
    Effect::new(move |_| {
        first.forget();
        ask(filter.get());
    });
    Effect::new(move |before: Option<()>| {
        events.missed.track();
        if before.is_some() {
            ask(filter.get_untracked());
        }
    });
    Effect::new(move |_| {
        if let Remote::Ready(page) = first.get() {
            events.alerts.update_untracked(Vec::clear);
            list.set(page.items);
            next.set(page.next);
        }
    });
    Effect::new(move |_| {
        events.alerts.track();
        let Some(news) = events
            .alerts
            .try_update_untracked(std::mem::take)
            .filter(|news| !news.is_empty())
        else {
            return;
        };
        let filter = filter.get_untracked();
        list.update(|list| {
            news.into_iter()
                .for_each(|alert| listing::put(list, alert, &filter));
        });
    });
    let more = move |_| {
        let (asked, cursor) = (filter.get_untracked(), next.get_untracked());
        spawn_local(async move {
            // Another filter may have been chosen meanwhile, or the same page asked for twice.
            let is_current = || {
                filter.try_get_untracked().as_ref() == Some(&asked)
                    && next.try_get_untracked().as_ref() == Some(&cursor)
            };
            let from = cursor.clone();
            let found = |page: &[Alert]| !page.is_empty();
            match api::look_for(|cursor| path(&asked, cursor), from, found, is_current).await {
                Ok(page) if is_current() => {
                    list.update(|list| listing::append(list, page.items));
                    next.set(page.next);
                    trouble.set(None);
                }
                Err(why) if is_current() => trouble.set(Some(why)),
                _ => {}
            }
        });
    };
    let changed = move |alert: Alert| {
        list.update(|list| {
            if let Some(entry) = list.iter_mut().find(|entry| entry.id == alert.id) {
                *entry = alert.clone();
            }
        });
        opened.set(Some(alert));
    };
    // What does not fit is older than what is shown, so that going on from the last page would leave a gap.
    let is_full = move || list.with(Vec::len) >= listing::MOST;
    // Where nothing has a name, nothing is shown of names.
    let has_places = Memo::new(move |_| {
        let is_asked = filter.with(|filter| !(filter.network.is_empty() && filter.sensor.is_empty()));
        is_asked || list.with(|list| list.iter().any(|alert| !listing::place(alert).is_empty()))
    });
    let body = move || match first.get() {
        Remote::Loading => {
            view! { <Notice kind="busy" title="Loading" text="Asking the host for alerts."/> }.into_any()
        }
        Remote::Failed(why) => {
            view! { <Notice kind="error" title="The alerts cannot be shown" text=why/> }.into_any()
        }
        Remote::Ready(_) => view! { <Table list opened has_places/> }.into_any(),
    };
    view! {
        <div class="page-head">
            <h1>"Alerts"</h1>
            <p class="muted" aria-live="polite">{move || format::plural(list.with(Vec::len) as u64, "alert shown", "alerts shown")}", newest first; new ones appear by themselves"</p>
        </div>
        <Filters filter has_places/>
        {body}
        {move || trouble.get().map(|why| view! { <Notice kind="error" title="No more alerts could be loaded" text=why/> })}
        <Show when=is_full>
            <p class="muted">{format!("These are the newest {}; a filter above leaves out what you do not look for.", listing::MOST)}</p>
        </Show>
        <Show when=move || next.get().is_some() && !is_full()>
            <button type="button" class="more" on:click=more>"Load more"</button>
        </Show>
        <Show when=move || opened.with(Option::is_some)>
            <AlertDetail opened changed=Callback::new(changed)/>
        </Show>
    }
}

#[component]
fn Filters(filter: RwSignal<AlertFilter>, has_places: Memo<bool>) -> impl IntoView {
    view! {
        <form class="filters" aria-label="Filters" on:submit=|event| event.prevent_default()>
            <label>"State"
                <select name="state" on:change=move |event| filter.update(|filter| filter.state = event_target_value(&event))>
                    <option value="">"all"</option>
                    <option value="new">"new"</option>
                    <option value="acknowledged">"acknowledged"</option>
                    <option value="closed">"closed"</option>
                    <option value="merged">"merged into another"</option>
                </select>
            </label>
            <label>"Severity"
                <select name="severity" on:change=move |event| filter.update(|filter| filter.severity = event_target_value(&event))>
                    <option value="">"all"</option>
                    <option value="medium">"medium and above"</option>
                    <option value="high">"high and above"</option>
                    <option value="critical">"critical"</option>
                </select>
            </label>
            <label>"Source"
                <input name="source" type="search" placeholder="any address" autocomplete="off"
                    prop:value=move || filter.with(|filter| filter.source.clone())
                    on:change=move |event| filter.update(|filter| filter.source = event_target_value(&event))/>
            </label>
            <label>"Kind"
                <input name="kind" type="search" placeholder="any, e.g. tcp/ssh" autocomplete="off"
                    prop:value=move || filter.with(|filter| filter.kind.clone())
                    on:change=move |event| filter.update(|filter| filter.kind = event_target_value(&event))/>
            </label>
            <Show when=move || has_places.get()>
                <label>"Network"
                    <input name="network" type="search" placeholder="any name" autocomplete="off"
                        prop:value=move || filter.with(|filter| filter.network.clone())
                        on:change=move |event| filter.update(|filter| filter.network = event_target_value(&event))/>
                </label>
                <label>"Sensor"
                    <input name="sensor" type="search" placeholder="any name" autocomplete="off"
                        prop:value=move || filter.with(|filter| filter.sensor.clone())
                        on:change=move |event| filter.update(|filter| filter.sensor = event_target_value(&event))/>
                </label>
            </Show>
        </form>
    }
}

#[component]
fn Table(
    list: RwSignal<Vec<Alert>>,
    opened: RwSignal<Option<Alert>>,
    has_places: Memo<bool>,
) -> impl IntoView {
    let empty = move || list.with(Vec::is_empty);
    // The key holds what can change, so that a changed alert is drawn anew.
    let key = |alert: &Alert| {
        (
            alert.id.clone(),
            alert.count,
            alert.last_seen,
            state_name(alert.state),
            alert.sensor.clone(),
        )
    };
    view! {
        <Show when=empty>
            <Notice kind="empty" title="No alerts"
                text="No flow has scored above its detector's threshold, or the filters above leave none over."/>
        </Show>
        <div class="table-wrap" hidden=empty>
            <table>
                <thead><tr>
                    <th scope="col">"Severity"</th> <th scope="col">"Last seen"</th> <th scope="col">"Kind"</th>
                    <Show when=move || has_places.get()><th scope="col">"Network · sensor"</th></Show>
                    <th scope="col">"Source"</th> <th scope="col">"Destination"</th>
                    <th scope="col" class="number">"Flows"</th> <th scope="col" class="number">"Score"</th>
                    <th scope="col">"State"</th>
                </tr></thead>
                <tbody>
                    <For each=move || list.get() key=key let:alert>{row(alert, opened, has_places)}</For>
                </tbody>
            </table>
        </div>
    }
}

fn row(alert: Alert, opened: RwSignal<Option<Alert>>, has_places: Memo<bool>) -> impl IntoView {
    let severity = severity_name(alert.severity);
    let state = state_name(alert.state);
    let faded = matches!(alert.state, AlertState::Closed | AlertState::Merged);
    let (origin, aim) = (listing::origin(&alert), listing::aim(&alert));
    let place = listing::place(&alert);
    let label = format!("Details of the alert {} from {origin}", alert.kind);
    let id = opener(&alert.id);
    let shown = alert.clone();
    let open = move |_| opened.set(Some(shown.clone()));
    view! {
        <tr class="clickable" class:faded=faded on:click=open.clone()>
            <td><span class=format!("badge {severity}")>{severity}</span></td>
            <td class="time">{moment(alert.last_seen)}</td>
            <td><button type="button" class="link" id=id aria-label=label>{alert.kind}</button></td>
            <Show when=move || has_places.get()><td>{place.clone()}</td></Show>
            <td><code>{origin}</code></td>
            <td><code>{aim}</code></td>
            <td class="number">{format::count(alert.count)}</td>
            <td class="number">{format::score(alert.score)}</td>
            <td><span class=format!("state {state}")>{state}</span></td>
        </tr>
    }
}
