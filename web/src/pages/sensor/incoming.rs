//! What comes in: sources, the partitions of a topic, interfaces, and the gateways that send.

use leptos::prelude::*;
use netsage_api_types::{Health, InterfaceHealth, PartitionHealth, SenderStatus, SourceHealth};
use netsage_web::format;

use super::{number, span, table, text};
use crate::common::{Notice, moment};

pub(super) fn parts(health: Health) -> impl IntoView {
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
    let columns = [
        text("Source"),
        number("Records", ""),
        number("Not used", ""),
        number("Late", ""),
        number("Flows", ""),
    ];
    table(
        "Sources".to_owned(),
        &columns,
        sources.iter().map(row).collect_view(),
    )
}

fn partitions(source: SourceHealth) -> impl IntoView {
    let columns = [
        number("Partition", ""),
        text("State"),
        number("Lag", "Messages whose flows are not all stored"),
        number("Position", "The message to be read next"),
        number("Committed", "The message to go on at after a restart"),
        number("End", "Where the next message will stand"),
        number("Waiting", "Records that wait for their turn"),
        number("Passed over", "Messages passed over by command"),
    ];
    let rows = source.partitions.into_iter().map(partition).collect_view();
    table(format!("Partitions of {}", source.name), &columns, rows)
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
    let columns = [
        text("Interface"),
        text("State"),
        number("Packets", ""),
        number("Dropped by the kernel", ""),
        number("Dropped by the interface", ""),
    ];
    let rows = interfaces.into_iter().map(row).collect_view();
    table("Interfaces".to_owned(), &columns, rows)
}

/// The gateways that forward flows to this one, by what each said last of itself.
pub(super) fn senders(senders: Vec<SenderStatus>) -> impl IntoView {
    let name = |name: String| if name.is_empty() { "–".to_owned() } else { name };
    let row = |sender: SenderStatus| {
        let lag = span(sender.lag_ms);
        view! {
            <tr>
                <td><code>{name(sender.sensor)}</code></td>
                <td><code>{name(sender.network)}</code></td>
                <td>{moment(sender.last_seen)}</td>
                <td class="number">{format::count(sender.waiting)}</td>
                <td class="number">{lag}</td>
                <td class="number">{format::count(sender.given_up)}</td>
                <td class="number">{format::count(sender.set_aside)}</td>
            </tr>
        }
    };
    let columns = [
        text("Sensor"),
        text("Network"),
        text("Last heard"),
        number("Waiting", "Flows in its spool when it was heard last"),
        number("Lag", "How long the oldest of them had waited then"),
        number(
            "Given up",
            "Flows that left its spool before they were sent, over all its runs",
        ),
        number("Refused", "Flows that will never be taken, over all its runs"),
    ];
    table(
        "Senders".to_owned(),
        &columns,
        senders.into_iter().map(row).collect_view(),
    )
}
