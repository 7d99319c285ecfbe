//! The packets of an alert's flow, where the host keeps packets.

use leptos::prelude::*;
use leptos::task::spawn_local;
use netsage_api_types::Health;
use wasm_bindgen::{JsCast as _, JsValue};

use crate::api::{self, Asked, Remote};

/// A button that saves the packets of an alert as a file, and what the host says when the packets are gone. Shows
/// nothing when the host keeps no packets.
#[component]
pub(crate) fn AlertPackets(id: String) -> impl IntoView {
    let health = Asked::<Health>::new();
    health.ask("/health".to_owned());
    let kept = move || matches!(health.get(), Remote::Ready(health) if health.kept_packets.is_some());
    let busy = RwSignal::new(false);
    let trouble = RwSignal::new(None::<String>);
    let id = StoredValue::new(id);
    let download = move |_| {
        busy.set(true);
        let id = id.get_value();
        spawn_local(async move {
            // By a request and not by a link: what the host says instead of a file is then shown here.
            let answer = api::get_bytes(&format!("/alerts/{id}/pcap")).await;
            let saved = answer.and_then(|bytes| {
                save(&bytes, &format!("alert-{id}.pcapng"))
                    .map_err(|_| "The browser did not take the file.".to_owned())
            });
            // The drawer may be closed by now.
            busy.try_set(false);
            trouble.try_set(saved.err());
        });
    };
    view! {
        <Show when=kept>
            <h3>"Packets"</h3>
            <p>
                <button type="button" disabled=busy on:click=download>"Save the flow's packets"</button>
                <span class="muted">" for Wireshark (pcapng)"</span>
            </p>
            {move || trouble.get().map(|why| view! { <p class="trouble" role="alert">{why}</p> })}
        </Show>
    }
}

/// Has the browser save bytes as a file.
fn save(bytes: &[u8], name: &str) -> Result<(), JsValue> {
    let parts = js_sys::Array::of1(&js_sys::Uint8Array::from(bytes));
    let blob = web_sys::Blob::new_with_u8_array_sequence(&parts)?;
    let url = web_sys::Url::create_object_url_with_blob(&blob)?;
    let link: web_sys::HtmlAnchorElement = document().create_element("a")?.unchecked_into();
    link.set_href(&url);
    link.set_download(name);
    link.click();
    web_sys::Url::revoke_object_url(&url)
}
