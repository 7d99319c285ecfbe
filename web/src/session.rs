//! The session with a host that has a token.

use leptos::ev::SubmitEvent;
use leptos::prelude::*;
use leptos::task::spawn_local;
use netsage_api_types::Health;

use crate::api::{self, Asked, Remote};
use crate::common::set_title;

/// Asks for the token, in place of the pages.
#[component]
pub(crate) fn SignIn() -> impl IntoView {
    set_title("Sign in");
    let token = RwSignal::new(String::new());
    let busy = RwSignal::new(false);
    let trouble = RwSignal::new(None::<String>);
    let sign_in = move |event: SubmitEvent| {
        event.prevent_default();
        busy.set(true);
        spawn_local(async move {
            match api::sign_in(&token.get_untracked()).await {
                // Lists and the live connection begin anew.
                Ok(()) => reload(),
                Err(why) => {
                    busy.set(false);
                    trouble.set(Some(why));
                }
            }
        });
    };
    view! {
        <form class="sign-in" on:submit=sign_in>
            <h1>"Sign in"</h1>
            <p>"This host has a token: the one that it was started with, by "<code>"--token"</code>" or "<code>"--token-file"</code>"."</p>
            <label class="stacked">"Token"
                <input name="token" type="password" autocomplete="current-password" autofocus required
                    on:input=move |event| token.set(event_target_value(&event))/>
            </label>
            <button class="primary" type="submit" disabled=busy>"Sign in"</button>
            {move || trouble.get().map(|why| view! { <p class="trouble" role="alert">{why}</p> })}
        </form>
    }
}

/// A button that ends the session, of a host that has a token.
#[component]
pub(crate) fn SignOut() -> impl IntoView {
    let health = Asked::<Health>::new();
    health.ask("/health".to_owned());
    let has_token = move || matches!(health.get(), Remote::Ready(health) if health.token_required);
    let sign_out = move |_| {
        spawn_local(async {
            // What is not answered has not ended, and shows itself as it is after the reload.
            let _ = api::sign_out().await;
            reload();
        });
    };
    view! {
        <Show when=move || has_token() && !api::is_locked()>
            <button class="icon" type="button" on:click=sign_out>"Sign out"</button>
        </Show>
    }
}

fn reload() {
    // A browser that does not let its page be loaded again has shown why.
    let _ = window().location().reload();
}
