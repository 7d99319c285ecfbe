//! The event stream: one connection to the host for all pages.

use leptos::prelude::*;
use netsage_api_types::{Alert, PipelineCounters};
use serde::de::DeserializeOwned;
use wasm_bindgen::JsCast as _;
use wasm_bindgen::closure::Closure;

use crate::api;

/// Alerts kept for a page that has not taken them yet.
const MOST_PENDING: usize = 500;
/// Updates over which the rate is taken, about one a second.
const RATE_UPDATES: usize = 5;

/// What the event stream has told so far.
#[derive(Clone, Copy)]
pub(crate) struct Events {
    /// The latest counters.
    pub(crate) counters: RwSignal<Option<PipelineCounters>>,
    /// Flows a second over the last few updates.
    pub(crate) flow_rate: RwSignal<Option<f64>>,
    /// Alerts that came in since a page last took them.
    pub(crate) alerts: RwSignal<Vec<Alert>>,
    /// Rises whenever detectors change.
    pub(crate) detectors: RwSignal<u32>,
    /// Rises whenever updates may have been missed: lists have to be asked for again.
    pub(crate) missed: RwSignal<u32>,
    /// Whether the connection stands.
    pub(crate) connected: RwSignal<bool>,
}

impl Events {
    /// Opens the connection, which lives as long as the page. The browser renews it when it breaks.
    pub(crate) fn open() -> Self {
        let events = Self {
            counters: RwSignal::new(None),
            flow_rate: RwSignal::new(None),
            alerts: RwSignal::new(Vec::new()),
            detectors: RwSignal::new(0),
            missed: RwSignal::new(0),
            connected: RwSignal::new(false),
        };
        let Ok(source) = web_sys::EventSource::new(&format!("{}/events", api::BASE)) else {
            return events;
        };
        let mut samples: Vec<(f64, u64)> = Vec::new();
        listen(&source, "counters", move |counters: PipelineCounters| {
            samples.push((js_sys::Date::now(), counters.flows));
            if samples.len() > RATE_UPDATES {
                samples.remove(0);
            }
            events.flow_rate.set(rate(&samples));
            events.counters.set(Some(counters));
        });
        listen(&source, "alert", move |alert: Alert| {
            events.alerts.update(|alerts| {
                alerts.push(alert);
                let surplus = alerts.len().saturating_sub(MOST_PENDING);
                alerts.drain(..surplus);
            });
        });
        let rise = |signal: RwSignal<u32>| signal.update(|number| *number = number.wrapping_add(1));
        on(&source, "detectors", move |_| rise(events.detectors));
        on(&source, "missed", move |_| rise(events.missed));
        let mut opened_before = false;
        on(&source, "open", move |_| {
            events.connected.set(true);
            // Alerts come again by their cursor; news of detectors do not, and a program that was started again may
            // have another store.
            if std::mem::replace(&mut opened_before, true) {
                rise(events.missed);
                rise(events.detectors);
            }
        });
        on(&source, "error", move |_| events.connected.set(false));
        events
    }
}

fn rate(samples: &[(f64, u64)]) -> Option<f64> {
    let (&(start, before), &(end, after)) = (samples.first()?, samples.last()?);
    (end > start).then(|| after.saturating_sub(before) as f64 / ((end - start) / 1000.0))
}

fn listen<T: DeserializeOwned>(source: &web_sys::EventSource, name: &str, mut take: impl FnMut(T) + 'static) {
    on(source, name, move |event| {
        let text = event.data().as_string().unwrap_or_default();
        match serde_json::from_str(&text) {
            Ok(content) => take(content),
            Err(error) => leptos::logging::warn!("an event cannot be read: {error}"),
        }
    });
}

fn on(source: &web_sys::EventSource, name: &str, take: impl FnMut(web_sys::MessageEvent) + 'static) {
    let closure = Closure::<dyn FnMut(web_sys::MessageEvent)>::new(take);
    // Adding a listener of a plain name cannot fail.
    let _ = source.add_event_listener_with_callback(name, closure.as_ref().unchecked_ref());
    // Lives as long as the connection, which lives as long as the page.
    closure.forget();
}
