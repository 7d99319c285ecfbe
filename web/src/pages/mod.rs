//! The pages.

pub(crate) mod alert_detail;
pub(crate) mod alert_flow;
pub(crate) mod alert_packets;
pub(crate) mod alerts;
pub(crate) mod detectors;
pub(crate) mod lab;
pub(crate) mod lab_results;
pub(crate) mod lab_worker;
pub(crate) mod overview;
pub(crate) mod sensor;
