//! The threshold of a name: the one in force, a preview of another one, and setting it.

use leptos::prelude::*;
use leptos::task::spawn_local;
use netsage_api_types::{ThresholdInfo, ThresholdRequest};
use netsage_web::judgement;

use super::Shared;
use crate::api;
use crate::common::stored_name;

/// The form of a name.
#[component]
pub(super) fn ThresholdForm(name: String) -> impl IntoView {
    let Shared {
        outcome,
        refresh,
        entries,
        ..
    } = expect_context::<Shared>();
    let asked = api::Asked::<ThresholdInfo>::new();
    let path = StoredValue::new(format!("/thresholds/{}", js_sys::encode_uri_component(&name)));
    // It changes with the history only: another package, another rule.
    let newest = Memo::new(move |_| entries.with(|entries| entries.first().map(|entry| entry.number)));
    Effect::new(move |_| {
        newest.track();
        asked.ask(path.get_value());
    });
    let rule = RwSignal::new(String::new());
    let tried = RwSignal::new(None::<Result<ThresholdInfo, String>>);
    let busy = RwSignal::new(false);
    let given = move || Some(rule.get_untracked().trim().to_owned()).filter(|rule| !rule.is_empty());
    let nothing = || Some(Err("Give a rule first, e.g. 10/day.".to_owned()));
    let try_it = move |_| {
        let Some(rule) = given() else {
            return tried.set(nothing());
        };
        busy.set(true);
        spawn_local(async move {
            let question = format!("{}{}", path.get_value(), api::query(&[("rule", Some(rule))]));
            let answer = api::get::<ThresholdInfo>(&question).await;
            // The page may have been left meanwhile.
            busy.try_set(false);
            tried.try_set(Some(answer));
        });
    };
    let set_it = move |_| {
        let Some(given) = given() else {
            return tried.set(nothing());
        };
        let by = Some(stored_name()).filter(|name| !name.is_empty());
        busy.set(true);
        spawn_local(async move {
            let request = ThresholdRequest {
                rule: given,
                by,
                why: None,
            };
            let answer = api::post_json::<ThresholdInfo>(&path.get_value(), &request).await;
            busy.try_set(false);
            match answer {
                Ok(info) => {
                    rule.try_set(String::new());
                    tried.try_set(None);
                    outcome.try_set(Some((
                        true,
                        format!("{}: {}", info.name, judgement::threshold(&info)),
                    )));
                    asked.ask(path.get_value());
                }
                Err(reason) => {
                    tried.try_set(Some(Err(reason)));
                }
            }
            refresh.run(());
        });
    };
    let in_force = move || match asked.get() {
        api::Remote::Loading => view! { <p class="muted">"Asking the host …"</p> }.into_any(),
        api::Remote::Failed(why) => view! { <p class="muted">{why}</p> }.into_any(),
        api::Remote::Ready(info) => view! {
            <p class="in-force">{judgement::threshold(&info)}</p>
            {info.pending.clone().map(|pending| view! { <p class="trouble">{pending}</p> })}
            {judgement::yesterday(&info).map(|sentence| view! { <p class="muted">{sentence}</p> })}
        }
        .into_any(),
    };
    let result = move || {
        tried.get().map(|answer| match answer {
            Ok(info) => view! {
                <p class="tried" role="status">{judgement::threshold(&info)}" "{judgement::yesterday(&info)}</p>
            }
            .into_any(),
            Err(why) => view! { <p class="trouble" role="alert">{why}</p> }.into_any(),
        })
    };
    let label = format!("Threshold of {name}");
    view! {
        <section class="panel threshold" aria-label=label data-name=name>
            <h3>"Threshold"</h3>
            {in_force}
            <div class="actions steps">
                <label>"Another one"
                    <input name="rule" maxlength="64" placeholder="10/day, fpr:0.001, p99.9, 0.62, card, off" autocomplete="off"
                        prop:value=rule on:input=move |event| rule.set(event_target_value(&event))/>
                </label>
                <div class="buttons">
                    <button type="button" name="try" disabled=busy on:click=try_it>"What would it raise?"</button>
                    <button type="button" name="set" class="primary" disabled=busy on:click=set_it>"Set"</button>
                </div>
            </div>
            {result}
        </section>
    }
}
