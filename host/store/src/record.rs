//! What the pipeline hands over.

use netsage_api_types::{Contribution, DetectorRef, Flow, Severity, StateChange};

use crate::StoreError;

/// A flow that a detector scored above its threshold.
#[derive(Debug, Clone, PartialEq)]
pub struct AlertHit {
    /// Id of the flow, 32 hexadecimal digits.
    pub flow_id: String,
    /// Source address.
    pub source: String,
    /// Source port.
    pub source_port: u16,
    /// Destination address.
    pub destination: String,
    /// Destination port.
    pub destination_port: u16,
    /// Protocol, e.g. `tcp`.
    pub protocol: String,
    /// Community ID (version 1).
    pub community_id: String,
    /// What groups hits besides their source: protocol and application, e.g. `tcp/ssh`.
    pub kind: String,
    /// The score; finite.
    pub score: f32,
    /// The threshold in force; finite.
    pub threshold: f32,
    /// How far the score lies above it.
    pub severity: Severity,
    /// The detector that gave the score.
    pub detector: DetectorRef,
    /// The schema it was scored in, e.g. `unsw-nb15@1`.
    pub schema: String,
    /// What drove the score, largest first.
    pub contributions: Vec<Contribution>,
    /// First packet, ms since the epoch.
    pub start: i64,
    /// Last packet, ms since the epoch.
    pub end: i64,
}

/// Flows that were scored together, and the hits among them.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct FlowBatchRecord {
    /// The flows.
    pub flows: Vec<Flow>,
    /// Hits; their flows are among `flows` of this batch or an earlier one.
    pub hits: Vec<AlertHit>,
}

/// An id in its compact form.
pub(crate) type Id = [u8; 16];

/// Reads 32 hexadecimal digits; `None` for anything else.
pub(crate) fn parse_id(text: &str) -> Option<Id> {
    if text.len() != 32 {
        return None;
    }
    let mut id = [0; 16];
    for (byte, pair) in id.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
        *byte = hex_digit(pair[0])? << 4 | hex_digit(pair[1])?;
    }
    Some(id)
}

/// Only lower-case digits: two spellings of one id would be two flows for a store that keeps text.
fn hex_digit(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    }
}

/// Writes bytes as lower-case hexadecimal digits.
pub(crate) fn to_hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        text.push(char::from(DIGITS[usize::from(byte >> 4)]));
        text.push(char::from(DIGITS[usize::from(byte & 15)]));
    }
    text
}

/// The rank of a severity, as stored: a number can be compared.
pub(crate) fn severity_rank(severity: Severity) -> i32 {
    match severity {
        Severity::Low => 0,
        Severity::Medium => 1,
        Severity::High => 2,
        Severity::Critical => 3,
    }
}

/// Counts and sizes, held at the largest integer the databases know.
pub(crate) fn to_signed(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

/// The counterpart of [`to_signed`].
pub(crate) fn to_unsigned(value: i64) -> u64 {
    u64::try_from(value).unwrap_or(0)
}

/// The highest score of a flow, `None` when no detector scored it.
pub(crate) fn highest_score(flow: &Flow) -> Option<f32> {
    flow.scores.iter().map(|entry| entry.score).reduce(f32::max)
}

/// Checks a whole batch before any of it is written.
pub(crate) fn check_batch(batch: &FlowBatchRecord) -> Result<(), StoreError> {
    let refuse = |flow: &str, problem| {
        Err(StoreError::InvalidRecord {
            flow: flow.to_owned(),
            problem,
        })
    };
    for flow in &batch.flows {
        if parse_id(&flow.id).is_none() {
            return refuse(&flow.id, "its id is not 32 lower-case hexadecimal digits");
        }
        if !flow.scores.iter().all(|entry| entry.score.is_finite()) {
            return refuse(&flow.id, "a score is not a finite number");
        }
    }
    for hit in &batch.hits {
        if parse_id(&hit.flow_id).is_none() {
            return refuse(&hit.flow_id, "its id is not 32 lower-case hexadecimal digits");
        }
        if !hit.score.is_finite() || !hit.threshold.is_finite() {
            return refuse(
                &hit.flow_id,
                "score or threshold of its hit is not a finite number",
            );
        }
        if !hit
            .contributions
            .iter()
            .all(|contribution| contribution.weight.is_finite())
        {
            return refuse(
                &hit.flow_id,
                "the weight of a contribution is not a finite number",
            );
        }
    }
    Ok(())
}

/// Checks a change of state.
pub(crate) fn check_change(change: &StateChange) -> Result<(), StoreError> {
    match change.by.chars().take(129).count() {
        0 => Err(StoreError::InvalidChange {
            problem: "it does not say who asks",
        }),
        129 => Err(StoreError::InvalidChange {
            problem: "the name of who asks is longer than 128 characters",
        }),
        _ => Ok(()),
    }
}
