//! `GET /metrics` for Prometheus. The figures are read when asked for; nothing is counted twice.

mod detectors;
mod family;
mod forwarding;
mod text_format;

use axum::extract::State;
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};
use netsage_api_types::InterfaceHealth;
use netsage_outputs::{OutputCounts, event_stream};
use netsage_sources::{PartitionStatus, SourceCounters, StreamStatus};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric as _};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Registry;

use super::problem::ApiError;
use super::state::AppState;
use family::{counters, family, level};

/// Figures in OpenMetrics for who asks for it, as Prometheus does, and otherwise in the older text format.
pub(crate) async fn get_metrics(
    State(state): State<AppState>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let mut registry = Registry::with_prefix("netsage");
    registry.register_collector(Box::new(Figures { state }));
    let mut text = String::new();
    prometheus_client::encoding::text::encode(&mut text, &registry).map_err(ApiError::internal)?;
    let accept = headers
        .get(header::ACCEPT)
        .and_then(|accept| accept.to_str().ok());
    let (kind, text) = match text_format::takes_open_metrics(accept) {
        true => (text_format::OPEN_METRICS, text),
        false => (text_format::OLDER, text_format::older(&text)),
    };
    let headers = [(header::CONTENT_TYPE, kind), (header::VARY, "accept")];
    Ok((headers, text).into_response())
}

struct Figures {
    state: AppState,
}

impl std::fmt::Debug for Figures {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Figures")
    }
}

impl Collector for Figures {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        let flows = self.state.counters.snapshot();
        let details = self.state.counters.details();
        for (name, help, value) in [
            ("packets", "Packets read", flows.packets),
            ("bytes", "Bytes read, on the wire", flows.bytes),
            ("flows", "Flows that the meter finished", flows.flows),
            (
                "flows_scored",
                "Stored flows that every active detector scored",
                flows.flows_scored,
            ),
            (
                "flows_failed",
                "Stored flows that a detector failed to score",
                flows.flows_failed,
            ),
            (
                "flows_alerted",
                "Stored flows above a threshold",
                flows.flows_alerted,
            ),
            (
                "tcp_gaps",
                "Times that TCP acknowledged data that was never seen",
                flows.tcp_gaps,
            ),
            (
                "tcp_gap_bytes",
                "Bytes that TCP acknowledged and that were never seen",
                flows.tcp_gap_bytes,
            ),
            (
                "store_retries",
                "Deliveries to the store that had to be repeated",
                details.store_retries,
            ),
            (
                "flows_reread",
                "Flows read again for detectors that remember hosts; they are neither stored nor among the flows",
                details.flows_reread,
            ),
        ] {
            let metric = ConstCounter::new(value);
            metric.encode(encoder.encode_descriptor(name, help, None, MetricType::Counter)?)?;
        }
        let waited = ConstCounter::new(details.reader_waited.as_secs_f64());
        let help = "Time that readers of sources that can wait waited because every block was under way";
        waited.encode(encoder.encode_descriptor(
            "reader_waited_seconds",
            help,
            None,
            MetricType::Counter,
        )?)?;
        let version = vec![("version", env!("CARGO_PKG_VERSION").to_owned())];
        let help = "1, with the version of the program";
        let build = [(version, ConstGauge::new(1_i64))];
        family(&mut encoder, "build_info", help, MetricType::Gauge, build)?;
        for (name, help, value) in [
            (
                "inbox_bytes",
                "Bytes of records in the inbox, which wait for the store",
                self.state.inbox.as_ref().map_or(0, |inbox| inbox.room().0),
            ),
            ("active_flows", "Flows in the meter's table", details.active_flows),
            (
                "flows_waiting",
                "Flows on their way: to be scored, to be put in order, or to be stored",
                flows.flows_waiting,
            ),
            (
                "blocks_under_way",
                "Blocks of flows between the meter and the store",
                details.blocks_under_way,
            ),
            (
                "blocks_to_score",
                "Of these, blocks that wait for a scoring thread",
                details.blocks_to_score,
            ),
            (
                "blocks_out_of_order",
                "Of these, blocks that are scored and wait for an earlier one",
                details.blocks_out_of_order,
            ),
            (
                "problems",
                "What needs an operator now; the health says what",
                self.state.condition.problems().len() as u64,
            ),
            (
                "store_up",
                "Whether the store answers and takes what is recorded",
                u64::from(self.state.condition.is_store_well()),
            ),
            (
                "uptime_seconds",
                "Seconds since the start",
                self.state.started.elapsed().as_secs(),
            ),
        ] {
            let metric = ConstGauge::new(level(value));
            metric.encode(encoder.encode_descriptor(name, help, None, MetricType::Gauge)?)?;
        }
        counters(
            &mut encoder,
            "flows_ended_early",
            "Flows ended early because memory for flows was short, by what they were",
            "kind",
            details
                .ended_early
                .iter()
                .map(|&(kind, count)| (kind.to_owned(), count)),
        )?;
        counters(
            &mut encoder,
            "packets_not_metered",
            "Packets in no flow, by reason",
            "reason",
            details
                .not_metered
                .iter()
                .map(|(&reason, &count)| (reason.to_owned(), count)),
        )?;
        let dropped_flows = flows
            .flows_dropped_by
            .named()
            .map(|(reason, flows)| (format!("{reason}_flows"), flows));
        counters(
            &mut encoder,
            "dropped",
            "What was lost on purpose or for lack of time: packets by kernel and interface, flows by reason",
            "queue",
            [
                ("kernel_packets".to_owned(), flows.kernel_drops),
                ("interface_packets".to_owned(), flows.interface_drops),
            ]
            .into_iter()
            .chain(dropped_flows),
        )?;
        let refused = self.state.guard.refusals().counts();
        counters(
            &mut encoder,
            "refused",
            "Connections and calls that were refused, by reason",
            "reason",
            refused.map(|(refusal, count)| (refusal.name().to_owned(), count)),
        )?;
        self.sources(&mut encoder)?;
        self.partitions(&mut encoder)?;
        self.exporters(&mut encoder)?;
        self.interfaces(&mut encoder)?;
        self.outputs(&mut encoder)?;
        forwarding::encode(self.state.forwarder.as_deref(), &mut encoder)?;
        forwarding::encode_senders(&self.state.senders.list(), &mut encoder)?;
        detectors::encode(&self.state.lifecycle, &self.state.counters, &mut encoder)
    }
}

/// A figure of a partition: kind, name, help, value.
type PartitionFigure = (
    MetricType,
    &'static str,
    &'static str,
    fn(&PartitionStatus) -> Option<u64>,
);

const PARTITION_FIGURES: [PartitionFigure; 4] = [
    (
        MetricType::Gauge,
        "source_partition_lag",
        "Messages of a partition whose flows are not all stored",
        PartitionStatus::lag,
    ),
    (
        MetricType::Gauge,
        "source_partition_waiting",
        "Records of a partition that wait for their turn",
        |partition| Some(partition.waiting as u64),
    ),
    (
        MetricType::Gauge,
        "source_partition_held",
        "Whether a batch that cannot be unpacked holds a partition up",
        |partition| Some(partition.state.is_held().into()),
    ),
    (
        MetricType::Counter,
        "source_partition_passed_over",
        "Messages of a partition that cannot be unpacked and were passed over by command",
        |partition| Some(partition.passed_over),
    ),
];

/// A counter of an exporter: name, help, value.
type ExporterCounter = (&'static str, &'static str, fn(&StreamStatus) -> u64);

const EXPORTER_COUNTERS: [ExporterCounter; 2] = [
    (
        "exporter_records",
        "Records of an exporter of NetFlow or IPFIX that were read",
        |exporter| exporter.records,
    ),
    (
        "exporter_lost",
        "What is missing of an exporter by its sequence numbers, in the unit that the version counts",
        |exporter| exporter.lost,
    ),
];

/// A counter of an interface: name, help, value.
type InterfaceCounter = (&'static str, &'static str, fn(&InterfaceHealth) -> u64);

const INTERFACE_COUNTERS: [InterfaceCounter; 4] = [
    (
        "interface_packets",
        "Packets that passed the filter on an interface, those dropped by the kernel included",
        |interface| interface.received,
    ),
    (
        "interface_kernel_drops",
        "Packets of an interface that the kernel dropped",
        |interface| interface.kernel_drops,
    ),
    (
        "interface_drops",
        "Packets that an interface or its driver dropped",
        |interface| interface.interface_drops,
    ),
    (
        "interface_failures",
        "Times that an interface went away",
        |interface| interface.failures,
    ),
];

/// A figure of an output: name, help, value.
type OutputFigure = (&'static str, &'static str, fn(&OutputCounts) -> u64);

const OUTPUT_COUNTERS: [OutputFigure; 4] = [
    (
        "output_alerts_received",
        "Changes of alerts that an output has read from the store",
        |counts| counts.received,
    ),
    (
        "output_alerts_delivered",
        "Messages that receivers have taken, repeats included",
        |counts| counts.delivered,
    ),
    (
        "output_alerts_refused",
        "Messages that a receiver will never take and that were set aside",
        |counts| counts.refused,
    ),
    (
        "output_alerts_filtered",
        "Changes of alerts that the filter of an output left out",
        |counts| counts.filtered,
    ),
];

/// What an output fails by: the label `kind`, value.
type OutputFailure = (&'static str, fn(&OutputCounts) -> u64);

const OUTPUT_FAILURES: [OutputFailure; 3] = [
    ("receiver", |counts| counts.receiver_failures),
    ("sender", |counts| counts.sender_failures),
    ("store", |counts| counts.store_failures),
];

const OUTPUT_GAUGES: [OutputFigure; 2] = [
    ("output_receivers", "Receivers that are fed now", |counts| {
        counts.receivers
    }),
    (
        "output_lag_revisions",
        "Revisions between the newest and the last one that a receiver has taken, summed over receivers",
        |counts| counts.lag,
    ),
];

impl Figures {
    fn sources(&self, encoder: &mut DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        let sources = self.state.counters.sources();
        for (index, (name, help, _)) in SourceCounters::default().named().into_iter().enumerate() {
            let values = sources
                .iter()
                .map(|(source, counted)| (source.clone(), counted.named()[index].2));
            counters(encoder, &format!("source_{name}"), help, "source", values)?;
        }
        let troubled: Vec<String> = self
            .state
            .counters
            .troubles()
            .into_iter()
            .map(|(source, _)| source)
            .collect();
        let up = sources.into_iter().map(|(source, _)| {
            let is_up = !troubled.contains(&source);
            (vec![("source", source)], ConstGauge::new(i64::from(is_up)))
        });
        let help = "Whether nothing keeps a source from reading";
        family(encoder, "source_up", help, MetricType::Gauge, up)
    }

    /// The figures of each partition of a broker; the lag is absent while nothing was committed.
    fn partitions(&self, encoder: &mut DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        let sources = self.state.counters.partitions();
        let of = |value: fn(&PartitionStatus) -> Option<u64>| {
            let partitions = sources
                .iter()
                .flat_map(|(source, partitions)| partitions.iter().map(move |partition| (source, partition)));
            partitions.filter_map(move |(source, partition)| {
                let number = partition.partition.to_string();
                let labels = vec![("source", source.clone()), ("partition", number)];
                Some((labels, value(partition)?))
            })
        };
        for (kind, name, help, value) in PARTITION_FIGURES {
            if matches!(kind, MetricType::Counter) {
                let samples = of(value).map(|(labels, value)| (labels, ConstCounter::new(value)));
                family(encoder, name, help, kind, samples)?;
            } else {
                let samples = of(value).map(|(labels, value)| (labels, ConstGauge::new(level(value))));
                family(encoder, name, help, kind, samples)?;
            }
        }
        Ok(())
    }

    /// What each exporter of NetFlow and IPFIX has sent, and what is missing of it.
    fn exporters(&self, encoder: &mut DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        let sources = self.state.counters.exporters();
        for (name, help, value) in EXPORTER_COUNTERS {
            let exporters = sources
                .iter()
                .flat_map(|(source, exporters)| exporters.iter().map(move |exporter| (source, exporter)));
            let samples = exporters.map(|(source, exporter)| {
                let labels = vec![
                    ("source", source.clone()),
                    ("exporter", exporter.exporter.to_string()),
                    ("domain", exporter.domain.to_string()),
                    ("version", exporter.version.name().to_owned()),
                    ("unit", exporter.version.unit().to_owned()),
                ];
                (labels, ConstCounter::new(value(exporter)))
            });
            family(encoder, name, help, MetricType::Counter, samples)?;
        }
        Ok(())
    }

    fn interfaces(&self, encoder: &mut DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        let interfaces = self.state.counters.interfaces();
        for (name, help, value) in INTERFACE_COUNTERS {
            let values = interfaces
                .iter()
                .map(|interface| (interface.name.clone(), value(interface)));
            counters(encoder, name, help, "interface", values)?;
        }
        let up = interfaces.iter().map(|interface| {
            let labels = vec![("interface", interface.name.clone())];
            (labels, ConstGauge::new(i64::from(interface.up)))
        });
        let help = "Whether packets are captured on an interface";
        family(encoder, "interface_up", help, MetricType::Gauge, up)
    }

    /// What outputs count, in the names of `docs/contracts.md`.
    fn outputs(&self, encoder: &mut DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        let mut outputs = vec![(event_stream::NAME, self.state.event_stream.snapshot())];
        let running = self.state.outputs.all();
        let others = running.iter();
        outputs.extend(others.map(|output| (output.name.as_str(), output.counters.snapshot())));
        for (name, help, count) in OUTPUT_COUNTERS {
            let values = outputs
                .iter()
                .map(|(output, counts)| ((*output).to_owned(), count(counts)));
            counters(encoder, name, help, "output", values)?;
        }
        let of_output = |output: &str| vec![("output", output.to_owned())];
        for (name, help, value) in OUTPUT_GAUGES {
            let samples = outputs
                .iter()
                .map(|(output, counts)| (of_output(output), ConstGauge::new(level(value(counts)))));
            family(encoder, name, help, MetricType::Gauge, samples)?;
        }
        let failures = outputs.iter().flat_map(|(output, counts)| {
            OUTPUT_FAILURES.map(|(kind, count)| {
                let mut labels = of_output(output);
                labels.push(("kind", kind.to_owned()));
                (labels, ConstCounter::new(count(counts)))
            })
        });
        let help = "Times that an output failed: a receiver or the way to it, the receiver's refusal of this sender, the store";
        family(encoder, "output_failures", help, MetricType::Counter, failures)?;
        let behind = outputs
            .iter()
            .map(|(output, counts)| (of_output(output), ConstGauge::new(counts.behind.as_secs_f64())));
        let help = "For how long the change of an alert that has been due longest is due already";
        family(encoder, "output_lag_seconds", help, MetricType::Gauge, behind)
    }
}
