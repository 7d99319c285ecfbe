//! The drawer with everything about one alert.

use leptos::ev;
use leptos::html;
use leptos::prelude::*;
use leptos::task::spawn_local;
use netsage_api_types::{Alert, AlertState, StateChange};
use netsage_web::format;
use netsage_web::listing::{self, severity_name, state_name};
use wasm_bindgen::JsCast as _;

use crate::api;
use crate::common::{Contributions, moment, store_name, stored_name};
use crate::pages::alert_flow::AlertFlow;
use crate::pages::alert_packets::AlertPackets;

/// Id of the button that opens the drawer of an alert.
pub(crate) fn opener(alert: &str) -> String {
    format!("alert-{alert}")
}

/// The drawer, a modal dialog: the browser keeps the focus inside and closes it on Escape.
#[component]
pub(crate) fn AlertDetail(opened: RwSignal<Option<Alert>>, changed: Callback<Alert>) -> impl IntoView {
    let dialog = NodeRef::<html::Dialog>::new();
    Effect::new(move |_| {
        if let Some(dialog) = dialog.get() {
            // It fails only for a dialog that is open already.
            let _ = dialog.show_modal();
        }
    });
    let close = move || {
        if let Some(dialog) = dialog.get_untracked() {
            dialog.close();
        }
    };
    let closed = move |_| {
        let opener = opened.with_untracked(|alert| alert.as_ref().map(|alert| opener(&alert.id)));
        opened.set(None);
        // By its id: the row that opened the drawer has been drawn anew if its alert changed meanwhile.
        let button = opener.and_then(|id| document().get_element_by_id(&id));
        if let Some(button) = button.and_then(|button| button.dyn_into::<web_sys::HtmlElement>().ok()) {
            // Focus only fails for elements that are not in the page.
            let _ = button.focus();
        }
    };
    // A click that reaches the dialog itself and nothing in it fell on the backdrop.
    let clicked = move |event: ev::MouseEvent| {
        let on_backdrop = event.target().is_some_and(|target| {
            dialog
                .get_untracked()
                .is_some_and(|dialog| js_sys::Object::is(&target, &dialog))
        });
        if on_backdrop {
            close();
        }
    };
    view! {
        <dialog class="drawer" aria-label="Alert" node_ref=dialog on:close=closed on:click=clicked>
            <button type="button" class="icon close" aria-label="Leave the details" on:click=move |_| close()>"✕"</button>
            {move || opened.get().map(|alert| details(alert, changed))}
        </dialog>
    }
}

fn details(alert: Alert, changed: Callback<Alert>) -> impl IntoView {
    let severity = severity_name(alert.severity);
    let change = match (&alert.changed_by, alert.changed_at) {
        (Some(who), Some(when)) => format!("{} by {who}, {}", state_name(alert.state), moment(when)),
        _ => state_name(alert.state).to_owned(),
    };
    let span = alert.last_seen.saturating_sub(alert.first_seen);
    let digest = alert.detector.digest.chars().take(12).collect::<String>();
    let facts = [
        ("First seen", moment(alert.first_seen)),
        (
            "Last seen",
            format!("{} ({} later)", moment(alert.last_seen), format::duration(span)),
        ),
        ("Flows", format::count(alert.count)),
        (
            "Highest score",
            format!(
                "{} (threshold {})",
                format::score(alert.score),
                format::score(alert.threshold)
            ),
        ),
        (
            "Flow",
            format!(
                "{} {}:{} → {}:{}",
                alert.protocol, alert.source, alert.source_port, alert.destination, alert.destination_port
            ),
        ),
        ("Community ID", alert.community_id.clone()),
        (
            "Detector",
            format!(
                "{} {} ({digest}…), generation {}",
                alert.detector.name, alert.detector.version, alert.detector.generation
            ),
        ),
        ("Schema", alert.schema.clone()),
        ("State", change),
    ];
    let facts = facts
        .into_iter()
        .map(|(name, value)| view! { <dt>{name}</dt><dd>{value}</dd> })
        .collect_view();
    // A page of its own, since the drawer stands over the list.
    let places = [
        ("Network", "network", alert.network.clone()),
        ("Sensor", "sensor", alert.sensor.clone()),
    ]
    .into_iter()
    .filter(|(_, _, name)| !name.is_empty())
    .map(|(word, filter, name)| {
        let link = format!("/alerts{}", api::query(&[(filter, Some(name.clone()))]));
        view! { <dt>{word}</dt><dd><a href=link rel="external">{name}</a></dd> }
    })
    .collect_view();
    let shown = alert.clone();
    let about = listing::about_sources(&alert).map(|words| view! { <p>{words}</p> });
    let merged = alert.merged_into.clone().map(|into| {
        view! { <p>"This alert was shown and has become part of another, "<code>{into}</code>"."</p> }
    });
    let top = alert.sources.clone().map(|sources| {
        let rows = sources.top.into_iter().map(|named| {
            view! { <tr><td><code>{named.source}</code></td><td class="number">{format::score(named.score)}</td></tr> }
        });
        view! {
            <h3>"Sources with the highest scores"</h3>
            <table>
                <thead><tr><th scope="col">"Source"</th> <th scope="col" class="number">"Score"</th></tr></thead>
                <tbody>{rows.collect_view()}</tbody>
            </table>
        }
    });
    view! {
        <div class="details">
            <header>
                <span class=format!("badge {severity}")>{severity}</span>
                <h2>{alert.kind.clone()}" from "<code>{listing::origin(&alert)}</code></h2>
            </header>
            {about}
            {merged}
            <StateForm id=alert.id.clone() state=alert.state changed/>
            {top}
            <h3>"What drove the score"</h3>
            <Contributions contributions=alert.contributions/>
            <AlertFlow alert=shown/>
            <AlertPackets id=alert.id/>
            <h3>"Facts"</h3>
            <dl>{facts}{places}</dl>
        </div>
    }
}

/// Name and buttons.
#[component]
fn StateForm(id: String, state: AlertState, changed: Callback<Alert>) -> impl IntoView {
    let name = RwSignal::new(stored_name());
    let busy = RwSignal::new(false);
    let trouble = RwSignal::new(None::<String>);
    let actions: &[(AlertState, &str)] = match state {
        AlertState::New => &[
            (AlertState::Acknowledged, "Acknowledge"),
            (AlertState::Closed, "Close"),
        ],
        AlertState::Acknowledged => &[(AlertState::Closed, "Close"), (AlertState::New, "Back to new")],
        AlertState::Closed => &[
            (AlertState::New, "Reopen"),
            (AlertState::Acknowledged, "Acknowledge"),
        ],
        // The alert that has taken it in has the state that counts.
        AlertState::Merged => return ().into_any(),
    };
    let send = move |id: String, state: AlertState| {
        let by = name.get_untracked().trim().to_owned();
        if by.is_empty() {
            trouble.set(Some(
                "Please say who you are: the change is recorded with your name.".to_owned(),
            ));
            return;
        }
        store_name(&by);
        busy.set(true);
        spawn_local(async move {
            let answer =
                api::post_json::<Alert>(&format!("/alerts/{id}/state"), &StateChange { state, by }).await;
            // The drawer may be closed by now.
            busy.try_set(false);
            match answer {
                Ok(alert) => changed.run(alert),
                Err(why) => {
                    trouble.try_set(Some(why));
                }
            }
        });
    };
    let buttons = actions.iter().enumerate().map(|(index, &(state, words))| {
        let id = id.clone();
        let class = if index == 0 { "primary" } else { "" };
        view! { <button type="button" class=class disabled=busy on:click=move |_| send(id.clone(), state)>{words}</button> }
    });
    view! {
        <div class="actions">
            <label>"Your name"
                <input name="by" maxlength="128" autocomplete="name" prop:value=name
                    on:input=move |event| name.set(event_target_value(&event))/>
            </label>
            <div class="buttons">{buttons.collect_view()}</div>
            {move || trouble.get().map(|why| view! { <p class="trouble" role="alert">{why}</p> })}
        </div>
    }
    .into_any()
}
