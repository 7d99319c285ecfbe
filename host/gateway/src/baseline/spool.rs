//! The flows of a baseline on the disk: as `netsage flows` prints them, so that `netsage train --from` takes them too.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufRead as _, BufReader, BufWriter, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::anyhow;
use netsage_schema::{FlowBatch, Schema, csv};
use serde::{Deserialize, Serialize};

const ROWS: &str = "flows.csv";
const JOURNAL: &str = "baseline.json";

/// What is known about a baseline besides its flows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Journal {
    source: String,
    schema: String,
    learned_ms: u64,
    /// Methods whose packages are complete.
    armed: Vec<String>,
}

/// A baseline on the disk.
pub struct Spool {
    folder: PathBuf,
    schema: &'static Schema,
    rows: BufWriter<File>,
    flows: u64,
    journal: Journal,
}

impl Spool {
    /// An empty one; what was there before lies in a folder of the same name that ends in `.former`, until the next time.
    ///
    /// # Errors
    /// When the folders cannot be moved or written.
    pub fn anew(folder: &Path, schema: &'static Schema, source: &str) -> anyhow::Result<Self> {
        let mut former = folder.as_os_str().to_owned();
        former.push(".former");
        let former = PathBuf::from(former);
        let unless_absent = |result: io::Result<()>| match result {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(anyhow!(
                "cannot move {} to {}: {error}",
                folder.display(),
                former.display()
            )),
            _ => Ok(()),
        };
        if folder.exists() {
            unless_absent(fs::remove_dir_all(&former))?;
            unless_absent(fs::rename(folder, &former))?;
        }
        Self::resume(folder, schema, source)
    }

    /// Opens the existing spool, or an empty one.
    ///
    /// # Errors
    /// When what is there is damaged, was learned from another source or schema, or cannot be written.
    pub fn resume(folder: &Path, schema: &'static Schema, source: &str) -> anyhow::Result<Self> {
        let failed = |error: io::Error| {
            anyhow!(
                "cannot keep the baseline in {}: {error}; name another data folder with --data-dir",
                folder.display()
            )
        };
        fs::create_dir_all(folder).map_err(failed)?;
        let fresh = Journal {
            source: source.to_owned(),
            schema: schema.to_string(),
            learned_ms: 0,
            armed: Vec::new(),
        };
        let journal = match fs::read(folder.join(JOURNAL)) {
            Ok(bytes) => serde_json::from_slice(&bytes).map_err(|error| {
                anyhow!(
                    "{} cannot be read: {error}; begin again with --afresh",
                    folder.join(JOURNAL).display()
                )
            })?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => fresh.clone(),
            Err(error) => return Err(failed(error)),
        };
        if (&journal.source, &journal.schema) != (&fresh.source, &fresh.schema) {
            return Err(anyhow!(
                "the baseline in {} is one of {} with {}, not of {} with {}; begin again with --afresh",
                folder.display(),
                journal.source,
                journal.schema,
                fresh.source,
                fresh.schema
            ));
        }
        let (rows, flows) = open_rows(&folder.join(ROWS), schema).map_err(failed)?;
        let mut spool = Self {
            folder: folder.to_owned(),
            schema,
            rows,
            flows,
            journal,
        };
        spool.save()?;
        Ok(spool)
    }

    /// Where it lies.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// What is learned from.
    pub fn source(&self) -> &str {
        &self.journal.source
    }

    pub(super) fn schema(&self) -> &'static Schema {
        self.schema
    }

    pub(super) fn rows_path(&self) -> PathBuf {
        self.folder.join(ROWS)
    }

    /// Flows so far.
    pub fn flows(&self) -> u64 {
        self.flows
    }

    /// How long has been learned.
    pub fn learned(&self) -> Duration {
        Duration::from_millis(self.journal.learned_ms)
    }

    /// Whether the package of a method is complete.
    pub fn is_armed(&self, method: &str) -> bool {
        self.journal.armed.iter().any(|armed| armed == method)
    }

    /// The package of a method is complete.
    pub(super) fn set_armed(&mut self, method: &str) -> anyhow::Result<()> {
        if !self.is_armed(method) {
            self.journal.armed.push(method.to_owned());
        }
        self.save()
    }

    /// More is to be learned: packages of less are not complete any more.
    #[cfg(feature = "live")]
    pub(super) fn disarm(&mut self) {
        self.journal.armed.clear();
    }

    pub(super) fn push(&mut self, batch: &FlowBatch) -> anyhow::Result<()> {
        for (row, identity) in batch.rows.iter().zip(&batch.identities) {
            csv::write_fields(&mut self.rows, self.schema, identity, row)
                .and_then(|()| self.rows.write_all(b"\n"))
                .map_err(|error| self.full(&error))?;
        }
        self.flows += batch.len() as u64;
        Ok(())
    }

    pub(super) fn add_time(&mut self, time: Duration) {
        let milliseconds = u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        self.journal.learned_ms = self.journal.learned_ms.saturating_add(milliseconds);
    }

    /// Puts everything on the disk. A journal that is late by a moment costs that moment of learning.
    pub(super) fn save(&mut self) -> anyhow::Result<()> {
        let staging = self.folder.join(format!("{JOURNAL}.part"));
        let bytes = serde_json::to_vec_pretty(&self.journal)?;
        self.rows
            .flush()
            .and_then(|()| fs::write(&staging, bytes))
            .and_then(|()| fs::rename(&staging, self.folder.join(JOURNAL)))
            .map_err(|error| self.full(&error))
    }

    fn full(&self, error: &io::Error) -> anyhow::Error {
        anyhow!(
            "cannot write the baseline to {}: {error}; make room, and the same command goes on",
            self.folder.display()
        )
    }
}

/// Opens the rows behind the last whole line, and counts them.
fn open_rows(path: &Path, schema: &Schema) -> io::Result<(BufWriter<File>, u64)> {
    let mut file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(path)?;
    let (mut whole, mut lines) = (0_u64, 0_u64);
    let mut reader = BufReader::with_capacity(1 << 16, &mut file);
    let mut line = Vec::new();
    loop {
        line.clear();
        let length = reader.read_until(b'\n', &mut line)?;
        if length == 0 || line.last() != Some(&b'\n') {
            break;
        }
        whole += length as u64;
        lines += 1;
    }
    // A program that was killed may have left half a line.
    file.set_len(whole)?;
    file.seek(SeekFrom::Start(whole))?;
    let mut rows = BufWriter::new(file);
    if lines == 0 {
        writeln!(rows, "{}", csv::header(schema))?;
        lines = 1;
    }
    Ok((rows, lines - 1))
}

#[cfg(test)]
mod tests {
    use netsage_schema::{FLOW_V1, UNSW_NB15};

    use super::*;

    #[test]
    fn a_baseline_goes_on_behind_its_last_whole_flow() {
        let home = tempfile::tempdir().unwrap();
        let folder = home.path().join("b");
        let mut spool = Spool::resume(&folder, &FLOW_V1, "eth0").unwrap();
        spool.add_time(Duration::from_secs(7));
        spool.set_armed("iforest").unwrap();
        drop(spool);
        let path = folder.join(ROWS);
        let header = fs::read_to_string(&path).unwrap();
        fs::write(&path, format!("{header}1,2,3\n4,5")).unwrap();
        let spool = Spool::resume(&folder, &FLOW_V1, "eth0").unwrap();
        assert_eq!((spool.flows(), spool.learned()), (1, Duration::from_secs(7)));
        assert!(spool.is_armed("iforest"));
        drop(spool);
        assert_eq!(fs::read_to_string(&path).unwrap(), format!("{header}1,2,3\n"));
        for (schema, source) in [(&UNSW_NB15, "eth0"), (&FLOW_V1, "eth1")] {
            assert!(Spool::resume(&folder, schema, source).is_err());
        }
        let spool = Spool::anew(&folder, &UNSW_NB15, "eth1").unwrap();
        assert_eq!((spool.flows(), spool.learned()), (0, Duration::ZERO));
        let former = home.path().join("b.former").join(ROWS);
        assert_eq!(fs::read_to_string(former).unwrap(), format!("{header}1,2,3\n"));
        drop(spool);
        fs::write(folder.join(JOURNAL), "{").unwrap();
        assert!(Spool::resume(&folder, &UNSW_NB15, "eth1").is_err());
    }
}
