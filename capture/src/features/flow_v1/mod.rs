//! How a finished record becomes a row of `flow-v1`.
//!
//! [`Measures`] adds up what the packets of a record say, [`netsage_windows::Windows`] counts what flows that began lately
//! have in common with it, and [`row_of`] puts both into the columns that [`netsage_schema::flow_v1`] declares.

mod early;
mod measures;
mod numbers;
mod row;
mod set;
mod state;
mod summary;
#[cfg(test)]
mod tests;

use early::Early;
use measures::Measures;
pub(crate) use measures::{Observed, ObservedTcp};
pub(crate) use numbers::InitialNumbers;
use row::{RowInput, row_of};
pub(crate) use set::FlowV1;
pub(crate) use state::{Facts, State};

/// A row of the schema.
pub(crate) type Row = [f64; netsage_schema::FLOW_V1.width()];
