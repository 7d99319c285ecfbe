//! The page's side of the worker: messages out, messages in, and an end to it.

use serde::Deserialize;
use wasm_bindgen::closure::Closure;
use wasm_bindgen::{JsCast as _, JsValue};

use crate::api;

/// What the user wants to be scored.
#[derive(Clone)]
pub(crate) enum Source {
    /// A file of theirs; it never leaves the browser.
    File(web_sys::File),
    /// The sample that the project generates.
    Sample {
        /// About how many flows.
        flows: u32,
        /// The seed.
        seed: u32,
    },
}

/// What a file held; the worker's own type says what the fields mean.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
pub(crate) struct Summary {
    pub(crate) kind: String,
    pub(crate) rows: u64,
    pub(crate) labelled: u64,
    pub(crate) packets: u64,
    pub(crate) skipped: u64,
    pub(crate) notes: Vec<String>,
}

/// One row for people; the worker's own type says what the fields mean.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub(crate) struct RowView {
    pub(crate) row: u32,
    pub(crate) endpoints: Option<String>,
    pub(crate) kind: String,
    pub(crate) state: String,
    pub(crate) packets: f64,
    pub(crate) bytes: f64,
    pub(crate) duration: f64,
    pub(crate) category: String,
    pub(crate) attack: Option<bool>,
}

/// What came out of a run.
#[derive(Clone, Default, PartialEq)]
pub(crate) struct Scored {
    /// One per row.
    pub(crate) scores: Vec<f32>,
    /// One per row, or none at all.
    pub(crate) labels: Vec<u8>,
    /// One per row, or none at all.
    pub(crate) times: Vec<f64>,
    /// What was read.
    pub(crate) summary: Summary,
    /// How long scoring took.
    pub(crate) seconds: f64,
}

/// A message of the worker.
pub(crate) enum Message {
    /// How far it is.
    Progress { stage: String, done: f64, total: f64 },
    /// The run is done.
    Result(Box<Scored>),
    /// Rows that were asked for.
    Rows(String),
    /// The explanation of a row.
    Explained { row: u32, json: String },
    /// A sentence.
    Error(String),
}

/// A running worker. Dropping it ends it at once, whatever it is doing.
pub(crate) struct LabWorker {
    worker: web_sys::Worker,
    // The worker calls these, so they live as long as it does.
    _listeners: [Closure<dyn FnMut(web_sys::Event)>; 2],
}

impl LabWorker {
    /// Starts a worker.
    ///
    /// # Errors
    /// A sentence when the browser cannot run one.
    pub(crate) fn start(take: impl Fn(Message) + Clone + 'static) -> Result<Self, String> {
        let options = web_sys::WorkerOptions::new();
        options.set_type(web_sys::WorkerType::Module);
        let worker = web_sys::Worker::new_with_options("/lab/worker.js", &options)
            .map_err(|_| "this browser cannot start a module worker; please use a current one".to_owned())?;
        let broken = take.clone();
        let message = Closure::<dyn FnMut(web_sys::Event)>::new(move |event: web_sys::Event| {
            let event: web_sys::MessageEvent = event.unchecked_into();
            if let Some(message) = read(&event.data()) {
                take(message);
            }
        });
        let error = Closure::<dyn FnMut(web_sys::Event)>::new(move |_| {
            broken(Message::Error(
                "the worker could not be started; please reload the page".to_owned(),
            ));
        });
        worker.set_onmessage(Some(message.as_ref().unchecked_ref()));
        worker.set_onerror(Some(error.as_ref().unchecked_ref()));
        Ok(Self {
            worker,
            _listeners: [message, error],
        })
    }

    /// Asks it to score a source with the detector of that digest.
    pub(crate) fn run(&self, source: &Source, digest: &str) {
        let described = match source {
            Source::File(file) => object(&[("file", file.into())]),
            Source::Sample { flows, seed } => object(&[("flows", (*flows).into()), ("seed", (*seed).into())]),
        };
        self.post(&[
            ("type", "run".into()),
            ("source", described),
            ("digest", digest.into()),
            ("api", api::BASE.into()),
        ]);
    }

    /// Asks for rows in words.
    pub(crate) fn describe(&self, rows: &[u32]) {
        let rows = js_sys::Uint32Array::from(rows);
        self.post(&[("type", "describe".into()), ("rows", rows.into())]);
    }

    /// Asks what drove the score of a row.
    pub(crate) fn explain(&self, row: u32) {
        self.post(&[("type", "explain".into()), ("row", row.into())]);
    }

    fn post(&self, fields: &[(&str, JsValue)]) {
        // Everything sent is made of plain values and files, which can all be cloned.
        let _ = self.worker.post_message(&object(fields));
    }
}

impl Drop for LabWorker {
    fn drop(&mut self) {
        self.worker.terminate();
    }
}

fn object(fields: &[(&str, JsValue)]) -> JsValue {
    let object = js_sys::Object::new();
    for (name, value) in fields {
        // A plain object takes any property.
        let _ = js_sys::Reflect::set(&object, &(*name).into(), value);
    }
    object.into()
}

fn read(data: &JsValue) -> Option<Message> {
    let field = |name: &str| js_sys::Reflect::get(data, &name.into()).ok();
    let text = |name: &str| field(name)?.as_string();
    let number = |name: &str| field(name)?.as_f64();
    match text("type")?.as_str() {
        "progress" => Some(Message::Progress {
            stage: text("stage")?,
            done: number("done")?,
            total: number("total")?,
        }),
        "result" => {
            let summary = serde_json::from_str(&text("summary")?).ok()?;
            Some(Message::Result(Box::new(Scored {
                scores: field("scores")?.dyn_into::<js_sys::Float32Array>().ok()?.to_vec(),
                labels: field("labels")?.dyn_into::<js_sys::Uint8Array>().ok()?.to_vec(),
                times: field("times")?.dyn_into::<js_sys::Float64Array>().ok()?.to_vec(),
                summary,
                seconds: number("seconds")?,
            })))
        }
        "rows" => Some(Message::Rows(text("json")?)),
        // A row number is a whole number far below 2^32.
        "explained" => Some(Message::Explained {
            row: number("row")? as u32,
            json: text("json")?,
        }),
        "error" => Some(Message::Error(text("message")?)),
        other => {
            leptos::logging::warn!("message of the worker not understood: {other}");
            None
        }
    }
}
