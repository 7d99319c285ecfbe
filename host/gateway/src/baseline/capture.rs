//! A baseline from a capture or a file of records.

use std::path::Path;
use std::time::Duration;

use netsage_capture::MeterConfig;
use netsage_schema::FlowBatch;
use netsage_sources::{Input, RecordOptions, Source, SourceError, open_with, read_all};

use super::seen::Seen;
use super::spool::Spool;
use super::{Observer, enough, shown};

/// Learns from the flows of a capture, or of records, that ended within `most` of the begin of its first one.
///
/// # Errors
/// When the file cannot be read, has too few flows before its end or its damage, or the flows cannot be kept.
pub fn learn_from_capture(
    path: &Path,
    config: &MeterConfig,
    records: &RecordOptions,
    most: Option<Duration>,
    spool: &mut Spool,
    observer: &mut dyn Observer,
) -> anyhow::Result<()> {
    let not_a_capture = || SourceError::NotACapture {
        name: path.display().to_string(),
    };
    let (mut source, read): (Box<dyn Source>, _) = match open_with(path, records) {
        Ok((Input::Capture(capture), read)) => (Box::new(capture.metered(config)), read),
        Ok((Input::Records(records), read)) => (Box::new(records.into_source(config.schema)?), read),
        Ok((Input::Table(_), _)) | Err(SourceError::Table { .. }) => return Err(not_a_capture().into()),
        Err(error) => return Err(error.into()),
    };
    let mut seen = Seen::new(config.schema);
    let mut span: Option<[i64; 2]> = None;
    let most_ns = most.map_or(i64::MAX, |most| {
        i64::try_from(most.as_nanos()).unwrap_or(i64::MAX)
    });
    let mut taken = FlowBatch::new(config.schema);
    let damage = read_all(&mut *source, |batch| {
        observer.read(&read);
        taken.clear();
        for (row, (identity, community_id)) in batch
            .rows
            .iter()
            .zip(batch.identities.iter().zip(&batch.community_ids))
        {
            let [begin, end] = span.unwrap_or([identity.start_ns; 2]);
            let begin = begin.min(identity.start_ns);
            if identity.end_ns.saturating_sub(begin) <= most_ns {
                span = Some([begin, end.max(identity.end_ns)]);
                taken.push(row, *identity, *community_id);
            }
        }
        seen.add(&taken);
        spool.push(&taken)
    })?;
    match damage {
        Some(damage) if spool.flows() == 0 => return Err(damage.into()),
        Some(damage) => observer.tell(&damage.to_string()),
        None => {}
    }
    if let Some(unused) = source.unused() {
        observer.tell(&unused);
    }
    let [begin, end] = span.unwrap_or_default();
    let length = Duration::from_nanos(u64::try_from(end.saturating_sub(begin)).unwrap_or_default());
    spool.add_time(length);
    spool.save()?;
    enough(
        spool.flows(),
        "take a longer capture, or more of this one with --for",
    )?;
    observer.tell(&format!(
        "learned from {} flows in {}: {}",
        spool.flows(),
        shown(length),
        seen.shown()
    ));
    Ok(())
}
