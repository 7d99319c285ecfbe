//! What goes out: alerts by outputs, and flows to another program.

use leptos::prelude::*;
use netsage_api_types::{ForwardHealth, OutputInfo};
use netsage_web::format;

use super::{number, span, table, text};
use crate::common::moment;

/// Where this program forwards flows to.
pub(super) fn forwarding(forward: ForwardHealth) -> impl IntoView {
    let (class, words) = match forward.trouble {
        None => ("state active", "sending".to_owned()),
        Some(trouble) => ("badge critical", trouble),
    };
    let columns = [
        text("Receiver"),
        text("State"),
        number("Waiting", "Flows in the spool that the receiver does not have"),
        number("On disk", "Bytes that these take"),
        number("Lag", "How long the oldest of them has waited"),
        number("Sent", "Flows taken since the start, repeats included"),
        number(
            "Given up",
            "Flows that left the spool before they were sent, over all runs",
        ),
        number(
            "Refused",
            "Flows that the receiver will never take, over all runs",
        ),
    ];
    let row = view! {
        <tr>
            <td><code>{forward.target}</code></td>
            <td><span class=class>{words}</span></td>
            <td class="number">{format::count(forward.waiting)}</td>
            <td class="number">{format::bytes(forward.waiting_bytes)}</td>
            <td class="number">{span(forward.lag_ms)}</td>
            <td class="number">{format::count(forward.sent)}</td>
            <td class="number">{format::count(forward.given_up)}</td>
            <td class="number">{format::count(forward.set_aside)}</td>
        </tr>
    };
    table("Forwarding".to_owned(), &columns, row)
}

/// Where alerts go.
pub(super) fn outputs(outputs: Vec<OutputInfo>) -> impl IntoView {
    let columns = [
        text("Output"),
        text("Type"),
        text("State"),
        text("Last taken"),
        number(
            "Waiting",
            "Alerts that wait for their turn, e.g. for the end of quiet hours",
        ),
        number("Behind", "For how long a message has been due"),
        number("Delivered", "Messages taken since the start, repeats included"),
        number("Left out", "Changes of alerts that the filter left out"),
        number(
            "Refused",
            "Messages that the receiver will never take; `netsage output refused NAME` lists them",
        ),
    ];
    table(
        "Outputs".to_owned(),
        &columns,
        outputs.into_iter().map(output).collect_view(),
    )
}

fn output(output: OutputInfo) -> impl IntoView {
    let (class, words) = match (output.paused, output.failure) {
        (Some(why), _) => ("badge critical", format!("paused: {why}")),
        (None, Some(why)) => ("badge high", why),
        (None, None) if output.is_leading => ("state active", "sending".to_owned()),
        (None, None) => ("state", "another program sends".to_owned()),
    };
    view! {
        <tr>
            <td><code>{output.name}</code></td>
            <td>{output.kind}</td>
            <td><span class=class>{words}</span></td>
            <td>{output.last_taken.map_or_else(|| "–".to_owned(), moment)}</td>
            <td class="number">{format::count(output.waiting)}</td>
            <td class="number">{span(output.behind_ms)}</td>
            <td class="number">{format::count(output.delivered)}</td>
            <td class="number">{format::count(output.filtered)}</td>
            <td class="number">{format::count(output.refused)}</td>
        </tr>
    }
}
