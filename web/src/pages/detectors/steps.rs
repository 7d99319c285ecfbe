//! The next steps of a package as buttons, with who, why and how much.

use leptos::html;
use leptos::prelude::*;
use leptos::task::spawn_local;
use netsage_api_types::{DetectorInfo, Step, StepRequest};
use netsage_web::life;

use super::Shared;
use crate::api;
use crate::common::{store_name, stored_name};

/// The form with the buttons.
#[component]
pub(super) fn Steps(digest: String, info: Memo<Option<DetectorInfo>>) -> impl IntoView {
    let Shared { outcome, refresh, .. } = expect_context::<Shared>();
    let (name, why, share) = (
        RwSignal::new(stored_name()),
        RwSignal::new(String::new()),
        RwSignal::new(String::new()),
    );
    let busy = RwSignal::new(false);
    let trouble = RwSignal::new(None::<String>);
    let confirming = RwSignal::new(None::<Step>);
    let possible =
        Memo::new(move |_| info.with(|info| info.as_ref().map(|info| (info.stage, info.next.clone()))));
    // What was to be confirmed may have become impossible meanwhile.
    Effect::new(move |_| {
        possible.track();
        confirming.set(None);
    });
    let shares = Memo::new(move |_| {
        possible.with(|possible| {
            possible
                .as_ref()
                .is_some_and(|(_, next)| next.iter().any(|step| step.takes_share()))
        })
    });
    let send = StoredValue::new(move |step: Step| {
        let share = match life::share_from_percent(&share.get_untracked()) {
            Ok(share) => share.filter(|_| step.takes_share()),
            Err(wrong) => return trouble.set(Some(wrong)),
        };
        let text = |signal: RwSignal<String>| {
            Some(signal.get_untracked().trim().to_owned()).filter(|text| !text.is_empty())
        };
        let request = StepRequest {
            by: text(name),
            why: text(why),
            share,
            downgrade: false,
        };
        if let Some(name) = &request.by {
            store_name(name);
        }
        busy.set(true);
        trouble.set(None);
        confirming.set(None);
        let path = format!("/detectors/{digest}/{}", step.name());
        spawn_local(async move {
            let answer = api::post_json::<DetectorInfo>(&path, &request).await;
            // The page may have been left meanwhile.
            busy.try_set(false);
            match answer {
                Ok(info) => {
                    why.try_set(String::new());
                    let detector = &info.detector;
                    outcome.try_set(Some((
                        true,
                        format!(
                            "{} {} is {} now.",
                            detector.name,
                            detector.version,
                            info.stage.name()
                        ),
                    )));
                }
                Err(reason) => {
                    trouble.try_set(Some(reason));
                }
            }
            refresh.run(());
        });
    });
    let press = move |step: Step| {
        let stage = possible.with_untracked(|possible| possible.as_ref().map(|(stage, _)| *stage));
        if stage.is_some_and(|stage| life::warning(stage, step).is_some()) {
            confirming.set(Some(step));
        } else {
            send.with_value(|send| send(step));
        }
    };
    let buttons = move || {
        let (stage, next) = possible.get()?;
        let natural = life::natural(stage);
        let buttons = next.into_iter().map(|step| {
            let class = match step {
                Step::Quarantine => "danger",
                step if natural == Some(step) => "primary",
                _ => "",
            };
            view! {
                <button type="button" class=class name=step.name() disabled=busy on:click=move |_| press(step)>
                    {life::words(stage, step)}
                </button>
            }
        });
        Some(buttons.collect_view())
    };
    let asked = move || {
        let step = confirming.get()?;
        let stage = possible.with_untracked(|possible| possible.as_ref().map(|(stage, _)| *stage))?;
        Some(
            view! { <Confirm question=life::warning(stage, step).unwrap_or_default() words=life::words(stage, step)
            yes=Callback::new(move |()| send.with_value(|send| send(step))) no=Callback::new(move |()| confirming.set(None))/> },
        )
    };
    view! {
        <Show when=move || possible.with(|possible| possible.as_ref().is_some_and(|(_, next)| !next.is_empty()))>
            <fieldset class="actions steps" aria-busy=move || busy.get().to_string()>
                <legend>"Next step"</legend>
                <div class="fields">
                    <label>"Why"
                        <input name="why" maxlength="1024" placeholder="for the history" autocomplete="off" prop:value=why
                            on:input=move |event| why.set(event_target_value(&event))/>
                    </label>
                    <label>"Your name"
                        <input name="by" maxlength="128" autocomplete="name" prop:value=name
                            on:input=move |event| name.set(event_target_value(&event))/>
                    </label>
                    <Show when=move || shares.get()>
                        <label>"Share of the flows, %"
                            <input name="share" inputmode="decimal" placeholder="as configured" autocomplete="off" prop:value=share
                                on:input=move |event| share.set(event_target_value(&event))/>
                        </label>
                    </Show>
                </div>
                <div class="buttons">{buttons}</div>
                {asked}
                {move || trouble.get().map(|why| view! { <p class="trouble" role="alert">{why}</p> })}
            </fieldset>
        </Show>
    }
}

/// A question before something is taken away. It has the focus, and Escape means no.
#[component]
fn Confirm(
    question: &'static str,
    words: &'static str,
    yes: Callback<()>,
    no: Callback<()>,
) -> impl IntoView {
    let first = NodeRef::<html::Button>::new();
    Effect::new(move |_| {
        if let Some(button) = first.get() {
            // Focus only fails for elements that are not in the page.
            let _ = button.focus();
        }
    });
    let escape = move |event: leptos::ev::KeyboardEvent| {
        if event.key() == "Escape" {
            no.run(());
        }
    };
    view! {
        <div class="confirm" role="alertdialog" aria-label=words on:keydown=escape>
            <p>{question}</p>
            <div class="buttons">
                <button type="button" node_ref=first on:click=move |_| no.run(())>"Leave it"</button>
                <button type="button" class="danger" name="confirm" on:click=move |_| yes.run(())>{format!("{words} now")}</button>
            </div>
        </div>
    }
}
