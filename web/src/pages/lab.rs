//! Lab: the same detectors, run on a file inside the browser.

use std::time::Duration;

use leptos::html;
use leptos::prelude::*;
use netsage_api_types::{Contribution, DetectorInfo};
use netsage_web::evaluation;

use super::lab_results::Results;
use super::lab_worker::{LabWorker, Message, RowView, Scored, Source};
use crate::api::{Asked, Remote};
use crate::common::{Notice, set_title};
use crate::events::Events;

/// A run that takes longer is ended: a detector is foreign code.
const LONGEST_RUN: Duration = Duration::from_secs(120);
/// Rows in the table.
const TOP_ROWS: usize = 25;
const SAMPLE: Source = Source::Sample {
    flows: 1_500,
    seed: 7,
};

/// Where the page stands.
#[derive(Clone, PartialEq)]
enum Stage {
    Start,
    Running(String, f64),
    Done,
    Failed(String),
}

/// The signals that all parts share.
#[derive(Clone, Copy)]
pub(crate) struct State {
    stage: RwSignal<Stage>,
    pub(crate) name: RwSignal<String>,
    pub(crate) scored: RwSignal<Scored>,
    pub(crate) rows: RwSignal<Vec<RowView>>,
    pub(crate) explained: RwSignal<Option<(u32, Vec<Contribution>)>>,
    pub(crate) trouble: RwSignal<Option<String>>,
    pub(crate) threshold: RwSignal<f32>,
    worker: StoredValue<Option<LabWorker>, LocalStorage>,
    source: StoredValue<Option<Source>, LocalStorage>,
    /// Tells a timeout of an earlier run from one of this.
    run: StoredValue<u32>,
}

impl State {
    fn new() -> Self {
        Self {
            stage: RwSignal::new(Stage::Start),
            name: RwSignal::new(String::new()),
            scored: RwSignal::new(Scored::default()),
            rows: RwSignal::new(Vec::new()),
            explained: RwSignal::new(None),
            trouble: RwSignal::new(None),
            threshold: RwSignal::new(0.0),
            worker: StoredValue::new_local(None),
            source: StoredValue::new_local(None),
            run: StoredValue::new(0),
        }
    }

    fn begin(self, source: Source, detector: DetectorInfo) {
        self.name.set(match &source {
            Source::File(file) => file.name(),
            Source::Sample { .. } => "generated sample".to_owned(),
        });
        self.run.update_value(|run| *run = run.wrapping_add(1));
        let this_run = self.run.get_value();
        self.explained.set(None);
        self.trouble.set(None);
        self.stage.set(Stage::Running("Starting".to_owned(), 0.0));
        let given = detector.card.as_ref().and_then(|card| card.threshold);
        let take = move |message| {
            // The page may have been left: then its signals are gone and nobody waits for the message.
            if self.run.try_get_value() == Some(this_run) {
                self.take(message, given);
            }
        };
        match LabWorker::start(take) {
            Ok(worker) => {
                worker.run(&source, &detector.detector.digest);
                self.worker.set_value(Some(worker));
            }
            Err(why) => self.stage.set(Stage::Failed(why)),
        }
        self.source.set_value(Some(source));
        set_timeout(
            move || {
                let runs = matches!(self.stage.try_get_untracked(), Some(Stage::Running(..)));
                if runs && self.run.try_get_value() == Some(this_run) {
                    self.end();
                    let seconds = LONGEST_RUN.as_secs();
                    self.stage.set(Stage::Failed(format!(
                        "the run was ended after {seconds} s; use `netsage score` for files of this size"
                    )));
                }
            },
            LONGEST_RUN,
        );
    }

    fn end(self) {
        self.worker.set_value(None);
        self.stage.set(Stage::Start);
    }

    fn take(self, message: Message, given_threshold: Option<f32>) {
        match message {
            Message::Progress { stage, done, total } => {
                let words = match stage.as_str() {
                    "load" => "Loading the detector",
                    "read" => "Reading the file",
                    _ => "Scoring",
                };
                self.stage.set(Stage::Running(
                    words.to_owned(),
                    if total > 0.0 { done / total } else { 0.0 },
                ));
            }
            Message::Result(scored) => {
                let usual = || evaluation::quantile(&scored.scores, 0.95).unwrap_or_default();
                self.threshold.set(given_threshold.unwrap_or_else(usual));
                let top = evaluation::top_rows(&scored.scores, TOP_ROWS);
                self.rows.set(Vec::new());
                self.scored.set(*scored);
                self.stage.set(Stage::Done);
                self.worker
                    .with_value(|worker| worker.as_ref().inspect(|worker| worker.describe(&top)).is_some());
            }
            Message::Rows(json) => self.rows.set(serde_json::from_str(&json).unwrap_or_default()),
            Message::Explained { row, json } => {
                self.trouble.set(None);
                self.explained
                    .set(Some((row, serde_json::from_str(&json).unwrap_or_default())));
            }
            // After a run an error only concerns what was asked last; the results stay.
            Message::Error(why) if self.stage.get_untracked() == Stage::Done => self.trouble.set(Some(why)),
            Message::Error(why) => {
                self.worker.set_value(None);
                self.stage.set(Stage::Failed(why));
            }
        }
    }

    /// Asks what drove the score of a row, or puts the answer away.
    pub(crate) fn explain(self, row: u32) {
        if self
            .explained
            .with_untracked(|shown| shown.as_ref().is_some_and(|(shown, _)| *shown == row))
        {
            self.explained.set(None);
            return;
        }
        self.worker
            .with_value(|worker| worker.as_ref().inspect(|worker| worker.explain(row)).is_some());
    }
}

/// The page.
#[component]
pub(crate) fn Lab() -> impl IntoView {
    let events = expect_context::<Events>();
    set_title("Lab");
    let detectors = Asked::<Vec<DetectorInfo>>::new();
    Effect::new(move |_| {
        events.detectors.track();
        detectors.ask("/detectors".to_owned());
    });
    let state = State::new();
    on_cleanup(move || {
        state.worker.try_update_value(|worker| *worker = None);
    });
    let chosen = RwSignal::new(String::new());
    let detector = move || match detectors.get() {
        Remote::Ready(list) => {
            let wanted = chosen.get();
            list.iter()
                .find(|info| info.detector.digest == wanted)
                .or_else(|| list.first())
                .cloned()
        }
        _ => None,
    };
    let start = move |source: Source| {
        if let Some(detector) = untrack(detector) {
            state.begin(source, detector);
        }
    };
    let choose = move |event| {
        chosen.set(event_target_value(&event));
        // With another detector the same file is scored anew.
        if let Some(source) = state.source.get_value() {
            start(source);
        }
    };
    let options = move || match detectors.get() {
        Remote::Ready(list) => {
            let options = list.into_iter().map(|info| {
                let short: String = info.detector.digest.chars().take(8).collect();
                let card = info.card.map_or_else(String::new, |card| format!(", {}, {}", card.schema, shorten(&card.data)));
                view! { <option value=info.detector.digest>{format!("{} {} ({short}{card})", info.detector.name, info.detector.version)}</option> }
            });
            options.collect_view().into_any()
        }
        _ => ().into_any(),
    };
    let unavailable = move || match detectors.get() {
        Remote::Failed(why) => {
            Some(view! { <Notice kind="error" title="No detector can be loaded" text=why/> })
        }
        Remote::Ready(list) if list.is_empty() => Some(
            view! { <Notice kind="empty" title="No detector" text="The host knows no detector package; add one on the Detectors page."/> },
        ),
        _ => None,
    };
    let body = move || match state.stage.get() {
        Stage::Start => ().into_any(),
        Stage::Running(words, share) => view! {
            <div class="running" role="status">
                <span>{words}" …"</span>
                <progress max="1" value=(share > 0.0).then(|| share.to_string())></progress>
                <button type="button" on:click=move |_| state.end()>"Cancel"</button>
            </div>
        }
        .into_any(),
        Stage::Failed(why) => {
            view! { <Notice kind="error" title="This could not be scored" text=why/> }.into_any()
        }
        Stage::Done => view! { <Results state/> }.into_any(),
    };
    view! {
        <div class="page-head">
            <h1>"Lab"</h1>
            <p class="muted">"Score a file with a detector inside this browser. The file does not leave your machine."</p>
        </div>
        {unavailable}
        <div class="lab-start">
            <Pick start=Callback::new(start) ready=Signal::derive(move || detector().is_some())/>
            <label class="stacked">"Detector"
                <select name="detector" on:change=choose>{options}</select>
            </label>
        </div>
        {body}
    }
}

fn shorten(text: &str) -> String {
    let words: Vec<&str> = text.split_whitespace().take(5).collect();
    words.join(" ").trim_end_matches([',', ';', ':', '.']).to_owned()
}

/// Drop a file, pick one, or take the sample.
#[component]
fn Pick(start: Callback<Source>, ready: Signal<bool>) -> impl IntoView {
    let over = RwSignal::new(false);
    let input = NodeRef::<html::Input>::new();
    let picked = move |_| {
        let Some(input) = input.get() else { return };
        if let Some(file) = input.files().and_then(|files| files.get(0)) {
            start.run(Source::File(file));
        }
        // So that the same file can be chosen again.
        input.set_value("");
    };
    let dropped = move |event: web_sys::DragEvent| {
        event.prevent_default();
        over.set(false);
        let files = event.data_transfer().and_then(|data| data.files());
        if let Some(file) = files.and_then(|files| files.get(0)) {
            start.run(Source::File(file));
        }
    };
    view! {
        <div class="upload" class:over=over on:drop=dropped on:dragleave=move |_| over.set(false)
            on:dragover=move |event| { event.prevent_default(); over.set(true); }>
            <label class="button primary">"Choose a file"
                <input type="file" name="file" class="visually-hidden" node_ref=input on:change=picked
                    accept=".csv,.gz,.pcap,.pcapng,.cap,.log,.json" disabled=move || !ready.get()/>
            </label>
            <button type="button" name="sample" disabled=move || !ready.get() on:click=move |_| start.run(SAMPLE)>"Use the sample"</button>
            <span class="muted">"or drop a pcap, pcapng, CSV with the columns of the detector's schema, or for record-v1 flow records (Zeek, Suricata, Argus, JSON) here; compressed by gzip, zstd or lz4 is fine"</span>
        </div>
    }
}
