//! The figures of a gateway that forwards, and of those that forward to this one.

use std::fmt::Error;

use netsage_api_types::SenderStatus;
use netsage_forward::spool::SpoolStatus;
use netsage_forward::{ForwardStatus, Forwarder};
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric as _};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;

use super::family::family;

/// Name, help and value.
type Figure<T, V> = (&'static str, &'static str, fn(&T) -> V);

type Both = (ForwardStatus, SpoolStatus);

const COUNTERS: [Figure<Both, u64>; 6] = [
    (
        "forward_sent",
        "Flows that the receiver has taken, repeats included",
        |(forward, _)| forward.sent,
    ),
    (
        "forward_failures",
        "Attempts after which the receiver had not taken everything",
        |(forward, _)| forward.failures,
    ),
    (
        "forward_given_up",
        "Flows that left the spool before they were sent, over all runs",
        |(_, spool)| spool.given_up,
    ),
    (
        "forward_set_aside",
        "Flows that the receiver will never take, over all runs",
        |(_, spool)| spool.set_aside,
    ),
    (
        "forward_cut_off",
        "Flows whose writing was cut off by a kill",
        |(_, spool)| spool.cut_off,
    ),
    (
        "forward_unreadable",
        "Segments of the spool of which not all could be read",
        |(_, spool)| spool.unreadable,
    ),
];

const GAUGES: [Figure<Both, f64>; 5] = [
    (
        "forward_waiting_flows",
        "Flows in the spool that the receiver does not have yet",
        |(_, spool)| spool.waiting as f64,
    ),
    (
        "forward_waiting_bytes",
        "Bytes that these take on the disk",
        |(_, spool)| spool.waiting_bytes as f64,
    ),
    (
        "forward_spool_bytes",
        "Bytes of the spool on the disk",
        |(_, spool)| spool.bytes as f64,
    ),
    (
        "forward_lag_seconds",
        "How long the oldest flow in the spool has waited",
        |(_, spool)| spool.age().as_secs_f64(),
    ),
    (
        "forward_up",
        "Whether nothing keeps flows from the receiver",
        |(forward, _)| f64::from(u8::from(forward.trouble.is_none())),
    ),
];

const SENDER_COUNTERS: [Figure<SenderStatus, u64>; 2] = [
    (
        "sender_given_up",
        "Flows that a gateway that forwards here had to give up",
        |sender| sender.given_up,
    ),
    (
        "sender_set_aside",
        "Flows of a gateway that forwards here that were refused for good",
        |sender| sender.set_aside,
    ),
];

const SENDER_GAUGES: [Figure<SenderStatus, f64>; 3] = [
    (
        "sender_last_seen_timestamp_seconds",
        "When a gateway that forwards here was heard last",
        |sender| sender.last_seen as f64 / 1e3,
    ),
    (
        "sender_waiting_flows",
        "Flows that waited in the spool of a gateway that forwards here",
        |sender| sender.waiting as f64,
    ),
    (
        "sender_lag_seconds",
        "How long the oldest of them had waited",
        |sender| sender.lag_ms as f64 / 1e3,
    ),
];

/// The figures of the forwarder, where there is one.
pub(super) fn encode(
    forwarder: Option<&Forwarder>,
    encoder: &mut DescriptorEncoder<'_>,
) -> Result<(), Error> {
    let Some(forwarder) = forwarder else {
        return Ok(());
    };
    let both = (forwarder.status(), forwarder.spool());
    for (name, help, value) in COUNTERS {
        let place = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
        ConstCounter::new(value(&both)).encode(place)?;
    }
    for (name, help, value) in GAUGES {
        let place = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
        ConstGauge::new(value(&both)).encode(place)?;
    }
    Ok(())
}

/// The figures of the senders, where there are some.
pub(super) fn encode_senders(
    senders: &[SenderStatus],
    encoder: &mut DescriptorEncoder<'_>,
) -> Result<(), Error> {
    let labels = |sender: &SenderStatus| {
        vec![
            ("network", sender.network.clone()),
            ("sensor", sender.sensor.clone()),
        ]
    };
    for (name, help, value) in SENDER_COUNTERS {
        let samples = senders
            .iter()
            .map(|sender| (labels(sender), ConstCounter::new(value(sender))));
        family(encoder, name, help, MetricType::Counter, samples)?;
    }
    for (name, help, value) in SENDER_GAUGES {
        let samples = senders
            .iter()
            .map(|sender| (labels(sender), ConstGauge::new(value(sender))));
        family(encoder, name, help, MetricType::Gauge, samples)?;
    }
    Ok(())
}
