//! NetSage's dashboard: four pages on what the host sees, and a laboratory in the browser.
//!
//! It talks to nothing but the host's API, keeps no secret (a host with a token gives the browser a cookie that no script can
//! read), and works under a content security policy without inline scripts. Figures come from the library beside it. Start
//! with `app`.

#![allow(
    clippy::needless_pass_by_value,
    reason = "components and callbacks own what they are given"
)]
// The macro for components writes `pub` functions of its own.
#![allow(unreachable_pub)]

#[cfg(target_arch = "wasm32")]
mod api;
#[cfg(target_arch = "wasm32")]
mod app;
#[cfg(target_arch = "wasm32")]
mod chart;
#[cfg(target_arch = "wasm32")]
mod common;
#[cfg(target_arch = "wasm32")]
mod events;
#[cfg(target_arch = "wasm32")]
mod pages;
#[cfg(target_arch = "wasm32")]
mod session;

#[cfg(target_arch = "wasm32")]
fn main() {
    console_error_panic_hook::set_once();
    leptos::mount::mount_to_body(app::App);
}

/// The dashboard runs in a browser; `cargo xtask build` builds it for one.
#[cfg(not(target_arch = "wasm32"))]
fn main() {}
