//! A family of figures that differ in their labels.

use std::fmt::Error;

use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;

/// Labels with their values.
pub(super) type Labels = Vec<(&'static str, String)>;

/// A value with its labels.
pub(super) type Sample<V> = (Labels, V);

/// Writes a family; nothing of one without figures.
pub(super) fn family<V: EncodeMetric>(
    encoder: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    kind: MetricType,
    samples: impl IntoIterator<Item = Sample<V>>,
) -> Result<(), Error> {
    let mut samples = samples.into_iter().peekable();
    if samples.peek().is_none() {
        return Ok(());
    }
    let mut family = encoder.encode_descriptor(name, help, None, kind)?;
    for (labels, value) in samples {
        value.encode(family.encode_family(&labels)?)?;
    }
    Ok(())
}

/// Writes a family of counters with one label.
pub(super) fn counters(
    encoder: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    label: &'static str,
    values: impl IntoIterator<Item = (String, u64)>,
) -> Result<(), Error> {
    let samples = values
        .into_iter()
        .map(|(value, count)| (vec![(label, value)], ConstCounter::new(count)));
    family(encoder, name, help, MetricType::Counter, samples)
}

/// A count as a gauge has it.
pub(super) fn level(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
