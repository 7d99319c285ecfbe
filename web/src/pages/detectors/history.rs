//! What was done, by whom and why.

use leptos::prelude::*;
use leptos::task::spawn_local;
use netsage_api_types::{HistoryEntry, Page};
use netsage_web::format;

use super::Shared;
use crate::api::{self, Asked, Remote};
use crate::common::{Notice, moment};

/// Entries shown before one asks for more.
const FIRST: usize = 20;
/// Entries that each asking brings.
const MORE: usize = 50;

/// Everything, newest first, page by page.
#[component]
pub(super) fn History(newest: Asked<Page<HistoryEntry>>) -> impl IntoView {
    // What is older than the newest entries that the host gave; fetched when asked for.
    let older = RwSignal::new(Vec::<HistoryEntry>::new());
    let next = RwSignal::new(None::<String>);
    let shown = RwSignal::new(FIRST);
    let trouble = RwSignal::new(None::<String>);
    Effect::new(move |_| {
        if let Remote::Ready(page) = newest.get()
            && older.with_untracked(Vec::is_empty)
        {
            next.set(page.next);
        }
    });
    let Shared { entries, .. } = expect_context::<Shared>();
    let all = Memo::new(move |_| {
        entries.with(|entries| {
            let oldest = entries.last().map_or(u64::MAX, |entry| entry.number);
            older.with(|older| {
                let rest = older.iter().filter(|entry| entry.number < oldest);
                entries.iter().chain(rest).cloned().collect::<Vec<_>>()
            })
        })
    });
    let visible = move || all.with(|all| all.iter().take(shown.get()).cloned().collect::<Vec<_>>());
    let is_more = move || all.with(Vec::len) > shown.get() || next.with(Option::is_some);
    let more = move |_| {
        shown.update(|shown| *shown += MORE);
        let cursor = next.get_untracked();
        if all.with_untracked(Vec::len) >= shown.get_untracked() || cursor.is_none() {
            return;
        }
        spawn_local(async move {
            let query = api::query(&[("cursor", cursor.clone()), ("limit", Some("500".to_owned()))]);
            let answer = api::get::<Page<HistoryEntry>>(&format!("/detectors/history{query}")).await;
            // The same page may have been asked for twice.
            let current = next.try_get_untracked() == Some(cursor);
            match answer {
                Ok(page) if current => {
                    older.update(|older| older.extend(page.items));
                    next.set(page.next);
                    trouble.set(None);
                }
                Err(why) if current => trouble.set(Some(why)),
                _ => {}
            }
        });
    };
    let body = move || {
        match newest.get() {
        Remote::Loading => view! { <Notice kind="busy" title="Loading" text="Asking the host for the history."/> }.into_any(),
        Remote::Failed(why) => view! { <Notice kind="error" title="The history cannot be shown" text=why/> }.into_any(),
        Remote::Ready(_) => view! {
            <Show when=move || all.with(Vec::is_empty)>
                <p class="muted">"Nothing has been done yet."</p>
            </Show>
            <div class="table-wrap" tabindex="0" role="region" aria-label="History" hidden=move || all.with(Vec::is_empty)>
                <table class="history">
                    <thead><tr>
                        <th scope="col" class="number">"No"</th> <th scope="col">"When"</th> <th scope="col">"By"</th>
                        <th scope="col">"Step"</th> <th scope="col">"Detector"</th> <th scope="col">"Stage"</th>
                        <th scope="col">"Why"</th>
                    </tr></thead>
                    <tbody><For each=visible key=|entry| entry.number let:entry>{row(entry)}</For></tbody>
                </table>
            </div>
            <Show when=is_more>
                <button type="button" class="more" on:click=more>"Load more"</button>
            </Show>
        }
        .into_any(),
    }
    };
    view! {
        <section class="panel history" aria-label="History of all detectors">
            <h2>"History"</h2>
            {body}
            {move || trouble.get().map(|why| view! { <p class="trouble" role="alert">{why}</p> })}
        </section>
    }
}

fn row(entry: HistoryEntry) -> impl IntoView {
    let digest: String = entry.digest.chars().take(8).collect();
    let generation = entry
        .generation
        .map(|number| format!(" · generation {number}"))
        .unwrap_or_default();
    view! {
        <tr>
            <td class="number">{format::count(entry.number)}</td>
            <td class="time">{moment(entry.at)}</td>
            <td>{entry.by.clone()}</td>
            <td>{entry.step.name()}</td>
            <td>{entry.name.clone().unwrap_or_default()}" "<code>{digest}</code></td>
            <td>{moved(&entry)}{generation}</td>
            <td class="why">{entry.why}</td>
        </tr>
    }
}

fn moved(entry: &HistoryEntry) -> String {
    match entry.from {
        Some(from) if from != entry.to => format!("{} → {}", from.name(), entry.to.name()),
        _ => entry.to.name().to_owned(),
    }
}

/// The entries of one package.
#[component]
pub(super) fn OwnHistory(digest: String) -> impl IntoView {
    let Shared { entries, .. } = expect_context::<Shared>();
    let own = Memo::new(move |_| {
        entries.with(|entries| {
            let own = entries.iter().filter(|entry| entry.digest == digest);
            own.cloned().collect::<Vec<_>>()
        })
    });
    view! {
        <details class="own-history" hidden=move || own.with(Vec::is_empty)>
            <summary>"History ("{move || own.with(Vec::len)}")"</summary>
            <ol>
                <For each=move || own.get() key=|entry| entry.number let:entry>
                    <li>
                        <b>{moved(&entry)}</b>" "<span class="muted">{moment(entry.at)}", by "{entry.by}</span>
                        <p>{entry.why}</p>
                    </li>
                </For>
            </ol>
        </details>
    }
}
