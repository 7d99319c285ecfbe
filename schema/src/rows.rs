//! Rows of a schema, flat in memory.

use std::net::IpAddr;
use std::ops::Range;

use crate::{Schema, protocol};

/// The identity of a flow: addresses, ports, protocol and times. Features are kept in [`Rows`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Identity {
    /// First packet, nanoseconds since the Unix epoch.
    pub start_ns: i64,
    /// Last packet, nanoseconds since the Unix epoch.
    pub end_ns: i64,
    /// The sender of the first packet.
    pub source: IpAddr,
    /// Port of the source; 0 where the protocol has none (for ICMP see the meter).
    pub source_port: u16,
    /// The other side.
    pub destination: IpAddr,
    /// Port of the destination.
    pub destination_port: u16,
    /// IP protocol number.
    pub protocol: u8,
}

impl Identity {
    /// The port of the flow's service: that of the destination; for ICMP and ICMPv6 the type of the message.
    pub fn service_port(&self) -> u16 {
        match self.protocol {
            protocol::ICMP | protocol::ICMPV6 => self.source_port,
            _ => self.destination_port,
        }
    }
}

/// A growing table of feature rows of one schema, row-major.
///
/// Values are `f64` so that byte counts and sequence numbers stay exact; detectors get `f32`.
#[derive(Debug, Clone)]
pub struct Rows {
    schema: &'static Schema,
    values: Vec<f64>,
}

impl Rows {
    /// An empty table.
    pub fn new(schema: &'static Schema) -> Self {
        Self {
            schema,
            values: Vec::new(),
        }
    }

    /// An empty table with room for `rows` rows.
    pub fn with_capacity(schema: &'static Schema, rows: usize) -> Self {
        Self {
            schema,
            values: Vec::with_capacity(rows * schema.width()),
        }
    }

    /// The schema of the rows.
    pub fn schema(&self) -> &'static Schema {
        self.schema
    }

    /// Number of rows.
    pub fn len(&self) -> usize {
        self.values.len() / self.schema.width()
    }

    /// Whether there is no row.
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// Appends a row.
    ///
    /// # Panics
    /// When the row does not have the width of the schema: a defect of the caller, not of input.
    pub fn push(&mut self, row: &[f64]) {
        assert_eq!(
            row.len(),
            self.schema.width(),
            "a row has one value per column of its schema"
        );
        self.values.extend_from_slice(row);
    }

    /// Appends copies of the rows at `places` of another table of the same width.
    pub(crate) fn extend_from(&mut self, other: &Self, places: Range<usize>) {
        let width = self.schema.width();
        assert_eq!(width, other.schema.width(), "both tables have one schema");
        self.values
            .extend_from_slice(&other.values[places.start * width..places.end * width]);
    }

    /// Forgets the rows from `len` on.
    pub(crate) fn truncate(&mut self, len: usize) {
        self.values.truncate(len * self.schema.width());
    }

    /// The row at `index`.
    pub fn row(&self, index: usize) -> &[f64] {
        let width = self.schema.width();
        &self.values[index * width..(index + 1) * width]
    }

    /// All rows in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &[f64]> {
        self.values.chunks_exact(self.schema.width())
    }

    /// All values, row-major.
    pub fn values(&self) -> &[f64] {
        &self.values
    }

    /// Forgets the rows and keeps the memory.
    pub fn clear(&mut self) {
        self.values.clear();
    }
}
