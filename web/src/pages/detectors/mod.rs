//! Detectors: the life of every package, how candidates compare, and the next steps.

mod card;
mod comparison;
mod drift;
mod history;
mod steps;
mod threshold;
mod upload;

use leptos::prelude::*;
use netsage_api_types::{DetectorInfo, HistoryEntry, Page, Stage};
use netsage_web::life::{self, Group};

use crate::api::{Asked, Remote};
use crate::common::{Notice, set_title};
use crate::events::Events;
use card::PackageCard;
use history::History;
use threshold::ThresholdForm;
use upload::Upload;

/// How often figures are asked for again; changes come by themselves.
const REFRESH: std::time::Duration = std::time::Duration::from_secs(5);
/// Entries of the history that the tracks are drawn from.
const ENTRIES: u32 = 500;

/// What the last action did: good or not, and a sentence.
type Outcome = RwSignal<Option<(bool, String)>>;

/// What the parts of the page share.
#[derive(Clone, Copy)]
struct Shared {
    /// The packages as the host last listed them.
    known: Memo<Vec<DetectorInfo>>,
    /// The newest entries of the history, newest first.
    entries: Memo<Vec<HistoryEntry>>,
    /// What the last action did.
    outcome: Outcome,
    /// Asks for packages and history again.
    refresh: Callback<()>,
}

/// What the page shows below the upload.
#[derive(Clone, PartialEq)]
enum View {
    Waiting,
    Failed(String),
    Empty,
    Groups,
}

/// The page.
#[component]
pub(crate) fn Detectors() -> impl IntoView {
    set_title("Detectors");
    let events = expect_context::<Events>();
    let detectors = Asked::<Vec<DetectorInfo>>::new();
    let newest = Asked::<Page<HistoryEntry>>::new();
    let refresh = move || {
        detectors.ask("/detectors".to_owned());
        newest.ask(format!("/detectors/history?limit={ENTRIES}"));
    };
    Effect::new(move |_| {
        events.detectors.track();
        refresh();
    });
    let figures = move || detectors.ask("/detectors".to_owned());
    if let Ok(timer) = set_interval_with_handle(figures, REFRESH) {
        on_cleanup(move || timer.clear());
    }
    let known = Memo::new(move |_| match detectors.get() {
        Remote::Ready(list) => list,
        _ => Vec::new(),
    });
    let entries = Memo::new(move |_| match newest.get() {
        Remote::Ready(page) => page.items,
        _ => Vec::new(),
    });
    let shared = Shared {
        known,
        entries,
        outcome: RwSignal::new(None),
        refresh: Callback::new(move |()| refresh()),
    };
    provide_context(shared);
    // Changes rarely, so that cards stay as they are (an open model card, the focus) while their figures move.
    let view = Memo::new(move |_| match detectors.get() {
        Remote::Loading => View::Waiting,
        Remote::Failed(why) => View::Failed(why),
        Remote::Ready(list) if list.is_empty() => View::Empty,
        Remote::Ready(_) => View::Groups,
    });
    let groups = Memo::new(move |_| known.with(|list| life::groups(list)));
    let body = move || {
        match view.get() {
            View::Waiting => view! { <Notice kind="busy" title="Loading" text="Asking the host for its detectors."/> }.into_any(),
            View::Failed(why) => view! { <Notice kind="error" title="The detectors cannot be shown" text=why/> }.into_any(),
            View::Empty => view! {
                <Notice kind="empty" title="No detector" text="The host knows no detector package; add one above, or start it with --detector FILE."/>
            }
            .into_any(),
            View::Groups => view! {
                <For each=move || groups.get() key=|group| group.name.clone() let:group>{section(group, groups)}</For>
                <Fused/>
            }
            .into_any(),
        }
    };
    let outcome = shared.outcome;
    view! {
        <div class="page-head">
            <h1>"Detectors"</h1>
            <p class="muted">"A detector is a WebAssembly component without access to anything; its digest is its identity."</p>
        </div>
        <Upload/>
        <div role="status">
            {move || outcome.get().map(|(good, text)| {
                let class = if good { "outcome good" } else { "outcome bad" };
                view! { <p class=class>{text}</p> }
            })}
        </div>
        {body}
        <History newest/>
    }
}

/// The verdict of several detectors together, where there are several.
#[component]
fn Fused() -> impl IntoView {
    let shared = expect_context::<Shared>();
    let several = Memo::new(move |_| {
        let active =
            |list: &Vec<DetectorInfo>| list.iter().filter(|info| info.stage == Stage::Active).count();
        shared.known.with(active) > 1
    });
    view! {
        <Show when=move || several.get()>
            <section class="group" aria-label="fused">
                <h2>"All together "<small>"the fused verdict raises alerts once it has a threshold"</small></h2>
                <ThresholdForm name="fused".to_owned()/>
            </section>
        </Show>
    }
}

/// The packages of one name, which follow `groups`.
fn section(group: Group, groups: Memo<Vec<Group>>) -> impl IntoView {
    let name = group.name;
    let title = if name.is_empty() {
        "Not checked yet".to_owned()
    } else {
        name.clone()
    };
    let label = title.clone();
    let of_form = Some(name.clone()).filter(|name| !name.is_empty());
    let shared = expect_context::<Shared>();
    let digests = Memo::new(move |_| {
        groups.with(|groups| {
            let own = groups.iter().find(|group| group.name == name);
            own.map(|group| group.digests.clone()).unwrap_or_default()
        })
    });
    let summary = move || {
        let (packages, scoring) = digests.with(|digests| {
            shared.known.with(|list| {
                let own = list.iter().filter(|info| digests.contains(&info.detector.digest));
                let active = own.filter(|info| info.stage == Stage::Active).count();
                (digests.len(), active)
            })
        });
        let packages = netsage_web::format::plural(packages as u64, "package", "packages");
        let scoring = if scoring > 0 { "" } else { ", none of them active" };
        format!("{packages}{scoring}")
    };
    view! {
        <section class="group" aria-label=label>
            <h2>{title}" "<small>{summary}</small></h2>
            {of_form.map(|name| view! { <ThresholdForm name/> })}
            <div class="cards">
                <For each=move || digests.get() key=Clone::clone let:digest><PackageCard digest/></For>
            </div>
        </section>
    }
}
