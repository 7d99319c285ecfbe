//! What a gateway that forwards has beside its pipeline: the spool, and what empties it.

use std::io;
use std::sync::Arc;

use netsage_forward::Forwarder;
use netsage_forward::spool::{Spool, SpoolError};
use netsage_records::BytesOf;

use crate::config::Resolved;
use crate::pipeline::Forwarding;

/// The folder of the spool in the data folder.
const SPOOL: &str = "forward";

/// Opens the spool, where flows are forwarded.
///
/// # Errors
/// When it cannot be read or written.
pub(crate) fn open_spool(settings: &Resolved) -> Result<Option<Forwarding>, SpoolError> {
    let Some(forward) = &settings.forward else {
        return Ok(None);
    };
    let spool = Spool::open(&settings.data_dir.join(SPOOL), forward.spool)?;
    Ok(Some(Forwarding {
        spool: Arc::new(spool),
        bytes_of: if settings.meter.count_link_bytes {
            BytesOf::Link
        } else {
            BytesOf::Network
        },
    }))
}

/// Starts what empties the spool, where there is one.
///
/// # Errors
/// When the system gives no thread.
pub(crate) fn start(
    settings: &Resolved,
    forwarding: Option<&Forwarding>,
) -> io::Result<Option<Arc<Forwarder>>> {
    let Some((forward, forwarding)) = settings.forward.as_ref().zip(forwarding) else {
        return Ok(None);
    };
    let spool = Arc::clone(&forwarding.spool);
    let forwarder = Forwarder::start(spool, forward.target.clone(), settings.records.site.clone())?;
    Ok(Some(Arc::new(forwarder)))
}
