//! The frame around the pages: navigation, theme, connection.

use leptos::prelude::*;
use leptos_router::components::{A, Route, Router, Routes};
use leptos_router::path;

use crate::api;
use crate::common::Notice;
use crate::events::Events;
use crate::pages::{alerts::Alerts, detectors::Detectors, lab::Lab, overview::Overview, sensor::Sensor};
use crate::session::{SignIn, SignOut};

const THEME_KEY: &str = "netsage-theme";

/// The dashboard.
#[component]
pub(crate) fn App() -> impl IntoView {
    let events = Events::open();
    provide_context(events);
    let connection = move || {
        if events.connected.get() {
            "connection on"
        } else {
            "connection"
        }
    };
    let words = move || {
        if events.connected.get() {
            "live"
        } else {
            "connecting…"
        }
    };
    view! {
        <Router>
            <a class="skip" href="#content">"Skip to content"</a>
            <header class="top">
                <A href="/" attr:class="brand">
                    <img src="/favicon.svg" alt="" width="26" height="26"/>
                    "NetSage"
                </A>
                <nav aria-label="Pages">
                    <A href="/" exact=true>"Overview"</A>
                    <A href="/alerts">"Alerts"</A>
                    <A href="/detectors">"Detectors"</A>
                    <A href="/sensor">"Sensor"</A>
                    <A href="/lab">"Lab"</A>
                </nav>
                <span class=connection role="status"><i></i>{words}</span>
                <SignOut/>
                <ThemeButton/>
            </header>
            <main id="content" tabindex="-1">
                <Show when=|| !api::is_locked() fallback=|| view! { <SignIn/> }>
                    <Routes fallback=|| view! {
                        <Notice kind="empty" title="There is no such page" text="Use the navigation above to get back."/>
                    }>
                        <Route path=path!("/") view=Overview/>
                        <Route path=path!("/alerts") view=Alerts/>
                        <Route path=path!("/detectors") view=Detectors/>
                        <Route path=path!("/sensor") view=Sensor/>
                        <Route path=path!("/lab") view=Lab/>
                    </Routes>
                </Show>
            </main>
        </Router>
    }
}

#[component]
fn ThemeButton() -> impl IntoView {
    let dark = RwSignal::new(starts_dark());
    let toggle = move |_| {
        dark.update(|dark| *dark = !*dark);
        let theme = if dark.get_untracked() { "dark" } else { "light" };
        if let Some(root) = document().document_element() {
            // Neither call can fail for these names; without storage the choice lasts until the next visit.
            let _ = root.set_attribute("data-theme", theme);
        }
        if let Ok(Some(storage)) = window().local_storage() {
            let _ = storage.set_item(THEME_KEY, theme);
        }
    };
    let label = move || {
        if dark.get() {
            "Use the light theme"
        } else {
            "Use the dark theme"
        }
    };
    view! {
        <button class="icon" type="button" on:click=toggle aria-label=label title=label>
            {move || if dark.get() { "☀" } else { "☾" }}
        </button>
    }
}

fn starts_dark() -> bool {
    let chosen = document()
        .document_element()
        .and_then(|root| root.get_attribute("data-theme"));
    match chosen.as_deref() {
        Some("dark") => true,
        Some("light") => false,
        _ => {
            let query = window()
                .match_media("(prefers-color-scheme: dark)")
                .ok()
                .flatten();
            query.is_some_and(|query| query.matches())
        }
    }
}
