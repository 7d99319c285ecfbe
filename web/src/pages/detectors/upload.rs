//! Bringing a package, with its signature where there is one.

use leptos::html;
use leptos::prelude::*;
use leptos::task::spawn_local;
use netsage_api_types::DetectorInfo;

use super::Shared;
use crate::api;

/// A field for files, and a place to drop them.
#[component]
pub(super) fn Upload() -> impl IntoView {
    let Shared { outcome, refresh, .. } = expect_context::<Shared>();
    let over = RwSignal::new(false);
    let input = NodeRef::<html::Input>::new();
    let send = move |files: Vec<web_sys::File>| {
        let (signatures, packages): (Vec<_>, Vec<_>) = files
            .into_iter()
            .partition(|file| file.name().ends_with(".minisig"));
        for file in packages {
            let of_file = format!("{}.minisig", file.name());
            let signature = signatures
                .iter()
                .find(|signature| signature.name() == of_file)
                .cloned();
            outcome.set(Some((true, format!("Checking {} …", file.name()))));
            spawn_local(async move {
                let answer = stage(&file, signature.as_ref()).await;
                outcome.try_set(Some(match answer {
                    Ok(info) => (
                        true,
                        format!(
                            "{} {} is here now; what comes next is below.",
                            info.detector.name, info.detector.version
                        ),
                    ),
                    Err(why) => (false, format!("{} was refused: {why}", file.name())),
                }));
                refresh.run(());
            });
        }
    };
    let picked = move |_| {
        let Some(input) = input.get() else { return };
        send(all(input.files()));
        // So that the same file can be chosen again.
        input.set_value("");
    };
    let dropped = move |event: web_sys::DragEvent| {
        event.prevent_default();
        over.set(false);
        send(all(event.data_transfer().and_then(|data| data.files())));
    };
    view! {
        <div class="upload" class:over=over on:drop=dropped on:dragleave=move |_| over.set(false)
            on:dragover=move |event| { event.prevent_default(); over.set(true); }>
            <label class="button">"Add a package"
                <input type="file" name="package" accept=".wasm,.minisig" multiple class="visually-hidden" node_ref=input on:change=picked/>
            </label>
            <span class="muted">"or drop a file made with "<code>"netsage detector pack"</code>" here, with its "<code>".minisig"</code>" if it is signed"</span>
        </div>
    }
}

fn all(files: Option<web_sys::FileList>) -> Vec<web_sys::File> {
    let Some(files) = files else { return Vec::new() };
    (0..files.length()).filter_map(|index| files.get(index)).collect()
}

async fn stage(file: &web_sys::File, signature: Option<&web_sys::File>) -> Result<DetectorInfo, String> {
    let signature = match signature {
        Some(signature) => Some(api::text_of(signature).await?),
        None => None,
    };
    let by = Some(crate::common::stored_name());
    let query = api::query(&[("by", by), ("signature", signature)]);
    api::post_raw::<DetectorInfo>(&format!("/detectors{query}"), Some(file)).await
}
