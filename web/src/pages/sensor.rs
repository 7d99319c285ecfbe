//! Sensor: what this program reads, and how far it is: sources, the partitions of a topic, interfaces.

use std::time::Duration;

use leptos::prelude::*;
use netsage_api_types::{Health, InterfaceHealth, PartitionHealth, SourceHealth};
use netsage_web::format;

use crate::api::{Asked, Remote};
use crate::common::{Notice, set_title};

/// How often the figures are asked for again; the host looks at its sources about as often.
const REFRESH: Duration = Duration::from_secs(2);

/// The page.
#[component]
pub(crate) fn Sensor() -> impl IntoView {
    set_title("Sensor");
    let health = Asked::<Health>::new();
    let refresh = move || health.ask("/health".to_owned());
    refresh();
    if let Ok(timer) = set_interval_with_handle(refresh, REFRESH) {
        on_cleanup(move || timer.clear());
    }
    let body = move || match health.get() {
        Remote::Loading => {
            view! { <Notice kind="busy" title="Loading" text="Asking the host what it reads."/> }.into_any()
        }
        Remote::Failed(why) => {
            view! { <Notice kind="error" title="The sources cannot be shown" text=why/> }.into_any()
        }
        Remote::Ready(health) => parts(health).into_any(),
    };
    view! {
        <div class="page-head">
            <h1>"Sensor"</h1>
            <p class="muted">"What this program reads; others of the same group read other partitions."</p>
        </div>
        {body}
    }
}

fn parts(health: Health) -> impl IntoView {
    let text = health.problems.join("; ");
    let problems =
        (!text.is_empty()).then(|| view! { <Notice kind="error" title="Something needs you" text/> });
    let nothing = health.sources.is_empty().then(|| {
        view! { <Notice kind="empty" title="No source" text="The host only answers requests; start it with --pcap FILE, --interface NAME or --kafka HOST:PORT."/> }
    });
    let sources = (!health.sources.is_empty()).then(|| sources(&health.sources));
    let partitions: Vec<_> = (health.sources.into_iter())
        .filter(|source| !source.partitions.is_empty())
        .map(partitions)
        .collect();
    let interfaces = (!health.interfaces.is_empty()).then(|| interfaces(health.interfaces));
    view! { {problems} {nothing} {sources} {partitions} {interfaces} }
}

fn sources(sources: &[SourceHealth]) -> impl IntoView + use<> {
    let row = |source: &SourceHealth| {
        view! {
            <tr>
                <td><code>{source.name.clone()}</code></td>
                <td class="number">{format::count(source.records)}</td>
                <td class="number">{format::count(source.records_rejected)}</td>
                <td class="number">{format::count(source.records_late)}</td>
                <td class="number">{format::count(source.flows)}</td>
            </tr>
        }
    };
    let rows = sources.iter().map(row).collect_view();
    view! {
        <section class="group" aria-label="Sources">
            <h2>"Sources"</h2>
            <div class="table-wrap"><table>
                <thead><tr>
                    <th scope="col">"Source"</th>
                    <th scope="col" class="number">"Records"</th>
                    <th scope="col" class="number">"Not used"</th>
                    <th scope="col" class="number">"Late"</th>
                    <th scope="col" class="number">"Flows"</th>
                </tr></thead>
                <tbody>{rows}</tbody>
            </table></div>
        </section>
    }
}

fn partitions(source: SourceHealth) -> impl IntoView {
    let title = format!("Partitions of {}", source.name);
    let rows = source.partitions.into_iter().map(partition).collect_view();
    view! {
        <section class="group partitions" aria-label=title>
            <h2>{title.clone()}</h2>
            <div class="table-wrap"><table>
                <thead><tr>
                    <th scope="col" class="number">"Partition"</th>
                    <th scope="col">"State"</th>
                    <th scope="col" class="number" title="Messages whose flows are not all stored">"Lag"</th>
                    <th scope="col" class="number" title="The message to be read next">"Position"</th>
                    <th scope="col" class="number" title="The message to go on at after a restart">"Committed"</th>
                    <th scope="col" class="number" title="Where the next message will stand">"End"</th>
                    <th scope="col" class="number" title="Records that wait for their turn">"Waiting"</th>
                    <th scope="col" class="number" title="Messages passed over by command">"Passed over"</th>
                </tr></thead>
                <tbody>{rows}</tbody>
            </table></div>
        </section>
    }
}

fn partition(partition: PartitionHealth) -> impl IntoView {
    // Messages of a partition are counted from 0, so an offset is no less.
    let offset = |offset: Option<i64>| {
        offset
            .and_then(|offset| u64::try_from(offset).ok())
            .map_or_else(|| "–".to_owned(), format::count)
    };
    let (class, words) = match partition.state.as_str() {
        "starting" => ("state", "nothing has come yet"),
        "rereading" => ("state", "reading again"),
        "reading" => ("state active", "reading"),
        "at-end" => ("state", "read to its end"),
        "held" => ("badge critical", "held up"),
        "passing-over" => ("badge high", "passing over a batch"),
        _ => ("state", "unknown"),
    };
    let lag = partition.lag.map_or_else(|| "–".to_owned(), format::count);
    view! {
        <tr>
            <td class="number">{partition.partition}</td>
            <td><span class=class>{words}</span></td>
            <td class="number">{lag}</td>
            <td class="number">{offset(partition.position)}</td>
            <td class="number">{offset(partition.committed)}</td>
            <td class="number">{offset(partition.end)}</td>
            <td class="number">{format::count(partition.waiting)}</td>
            <td class="number">{format::count(partition.passed_over)}</td>
        </tr>
    }
}

fn interfaces(interfaces: Vec<InterfaceHealth>) -> impl IntoView {
    let row = |interface: InterfaceHealth| {
        let (class, words) = match (interface.up, interface.down_because) {
            (true, _) => ("state active", "up".to_owned()),
            (false, because) => ("badge critical", because.unwrap_or_else(|| "is away".to_owned())),
        };
        view! {
            <tr>
                <td><code>{interface.name}</code></td>
                <td><span class=class>{words}</span></td>
                <td class="number">{format::count(interface.received)}</td>
                <td class="number">{format::count(interface.kernel_drops)}</td>
                <td class="number">{format::count(interface.interface_drops)}</td>
            </tr>
        }
    };
    let rows = interfaces.into_iter().map(row).collect_view();
    view! {
        <section class="group" aria-label="Interfaces">
            <h2>"Interfaces"</h2>
            <div class="table-wrap"><table>
                <thead><tr>
                    <th scope="col">"Interface"</th>
                    <th scope="col">"State"</th>
                    <th scope="col" class="number">"Packets"</th>
                    <th scope="col" class="number">"Dropped by the kernel"</th>
                    <th scope="col" class="number">"Dropped by the interface"</th>
                </tr></thead>
                <tbody>{rows}</tbody>
            </table></div>
        </section>
    }
}
