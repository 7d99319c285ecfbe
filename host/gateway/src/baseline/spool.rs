//! The flows of a baseline on the disk: as `netsage flows` prints them, so that `netsage train --from` takes them too.
//!
//! A damaged file of it is set aside and said, and the learning goes on with what is whole: the flows tell for how long they
//! were learned from, and the packages are made of the flows.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufRead as _, BufReader, BufWriter, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::anyhow;
use netsage_lifecycle::SetAside;
use netsage_package::Digest;
use netsage_schema::csv::{self, CsvRow};
use netsage_schema::{FlowBatch, Schema};
use netsage_sources::{Input, open};
use serde::{Deserialize, Serialize};

const ROWS: &str = "flows.csv";
const JOURNAL: &str = "baseline.json";

/// What is known about a baseline besides its flows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Journal {
    source: String,
    schema: String,
    learned_ms: u64,
    /// Digests of the packages that are complete, by method.
    armed: BTreeMap<String, String>,
}

/// The same with the digest of it.
#[derive(Debug, Serialize, Deserialize)]
struct Sealed {
    #[serde(flatten)]
    journal: Journal,
    digest: String,
}

impl Journal {
    fn digest(&self) -> Result<String, serde_json::Error> {
        Ok(Digest::of(&serde_json::to_vec(self)?).to_string())
    }

    /// `None` when it is damaged.
    fn parse(bytes: &[u8]) -> Option<Self> {
        let Sealed { journal, digest } = serde_json::from_slice(bytes).ok()?;
        (journal.digest().ok()? == digest).then_some(journal)
    }
}

/// A baseline on the disk.
pub struct Spool {
    folder: PathBuf,
    schema: &'static Schema,
    rows: BufWriter<File>,
    flows: u64,
    journal: Journal,
    set_aside: SetAside,
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

    /// Opens the existing spool, or an empty one. What of it is damaged is set aside; see [`Self::told`].
    ///
    /// # Errors
    /// When what is there was learned from another source or schema, or cannot be written.
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
            armed: BTreeMap::new(),
        };
        let set_aside = SetAside::new(folder);
        let path = folder.join(JOURNAL);
        let found = match fs::read(&path) {
            Ok(bytes) => Journal::parse(&bytes),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Some(fresh.clone()),
            Err(error) => return Err(failed(error)),
        };
        let is_whole = found.is_some();
        let mut journal = found.unwrap_or_else(|| fresh.clone());
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
        let rows_path = folder.join(ROWS);
        mend_header(&rows_path, schema, &set_aside).map_err(failed)?;
        if !is_whole {
            let kept = set_aside.take(&path).map_err(failed)?.unwrap_or_default();
            journal.learned_ms = learned_from(&rows_path)?;
            set_aside.tell(format!(
                "what was noted about the baseline was damaged and is now {}; its flows tell of {} of learning",
                kept.display(),
                super::shown(Duration::from_millis(journal.learned_ms))
            ));
        }
        let (rows, flows) = open_rows(&rows_path, schema).map_err(failed)?;
        let mut spool = Self {
            folder: folder.to_owned(),
            schema,
            rows,
            flows,
            journal,
            set_aside,
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

    /// What was found damaged, and what became of it: a sentence each.
    pub fn told(&self) -> Vec<String> {
        self.set_aside.told()
    }

    /// Whether the package of a method is complete, and is the one in this file.
    pub fn is_armed(&self, method: &str, package: &Path) -> bool {
        let armed = self.journal.armed.get(method);
        armed.is_some_and(|digest| {
            fs::read(package).is_ok_and(|bytes| Digest::of(&bytes).to_string() == *digest)
        })
    }

    /// The package of a method is complete.
    pub(super) fn set_armed(&mut self, method: &str, package: &Digest) -> anyhow::Result<()> {
        self.journal.armed.insert(method.to_owned(), package.to_string());
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
        let sealed = Sealed {
            digest: self.journal.digest()?,
            journal: self.journal.clone(),
        };
        let bytes = serde_json::to_vec_pretty(&sealed)?;
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

/// Writes the header anew where the first line is something else. What was there is set aside.
fn mend_header(path: &Path, schema: &Schema, set_aside: &SetAside) -> io::Result<()> {
    let mut reader = match File::open(path) {
        Ok(file) => BufReader::new(file),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    let mut first = Vec::new();
    reader.read_until(b'\n', &mut first)?;
    let header = csv::header(schema);
    if first.is_empty() || first.strip_suffix(b"\n") == Some(header.as_bytes()) {
        return Ok(());
    }
    let kept = set_aside.take(path)?.unwrap_or_default();
    set_aside.tell(format!(
        "the first line of the flows of the baseline was damaged; the file as it was is now {}",
        kept.display()
    ));
    let mut rows = BufWriter::new(File::create(path)?);
    writeln!(rows, "{header}")?;
    io::copy(&mut reader, &mut rows)?;
    rows.flush()
}

/// For how long the flows of a file were learned from, ms: the minutes in which one of them ended.
fn learned_from(rows: &Path) -> anyhow::Result<u64> {
    const MINUTE_NS: i64 = 60_000_000_000;
    if !rows.exists() {
        return Ok(0);
    }
    let (Input::Table(mut table), _) = open(rows)? else {
        return Ok(0);
    };
    let mut minutes = BTreeSet::new();
    let mut row = CsvRow::default();
    while let Some(read) = table.read(&mut row) {
        if let (Ok(()), Some(identity)) = (read, row.identity) {
            minutes.insert(identity.end_ns.div_euclid(MINUTE_NS));
        }
    }
    Ok(minutes.len() as u64 * 60_000)
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
    use netsage_schema::{CommunityId, FLOW_V1, Identity, UNSW_NB15};

    use super::*;

    #[test]
    fn a_baseline_goes_on_behind_its_last_whole_flow() {
        let home = tempfile::tempdir().unwrap();
        let folder = home.path().join("b");
        let mut spool = Spool::resume(&folder, &FLOW_V1, "eth0").unwrap();
        spool.add_time(Duration::from_secs(7));
        let package = folder.join("a.wasm");
        fs::write(&package, b"a package").unwrap();
        spool.set_armed("iforest", &Digest::of(b"a package")).unwrap();
        drop(spool);
        let path = folder.join(ROWS);
        let header = fs::read_to_string(&path).unwrap();
        fs::write(&path, format!("{header}1,2,3\n4,5")).unwrap();
        let spool = Spool::resume(&folder, &FLOW_V1, "eth0").unwrap();
        assert_eq!((spool.flows(), spool.learned()), (1, Duration::from_secs(7)));
        assert!(spool.is_armed("iforest", &package));
        fs::write(&package, b"a packagf").unwrap();
        assert!(!spool.is_armed("iforest", &package), "another package");
        drop(spool);
        assert_eq!(fs::read_to_string(&path).unwrap(), format!("{header}1,2,3\n"));
        for (schema, source) in [(&UNSW_NB15, "eth0"), (&FLOW_V1, "eth1")] {
            assert!(Spool::resume(&folder, schema, source).is_err());
        }
        let spool = Spool::anew(&folder, &UNSW_NB15, "eth1").unwrap();
        assert_eq!((spool.flows(), spool.learned()), (0, Duration::ZERO));
        let former = home.path().join("b.former").join(ROWS);
        assert_eq!(fs::read_to_string(former).unwrap(), format!("{header}1,2,3\n"));
    }

    /// A baseline of four flows in two minutes, by a row each: lines and time.
    fn sample(folder: &Path) -> Vec<String> {
        let mut spool = Spool::resume(folder, &FLOW_V1, "eth0").unwrap();
        let mut batch = FlowBatch::new(&FLOW_V1);
        for second in [10, 20, 70, 80] {
            let identity = Identity {
                start_ns: 0,
                end_ns: second * 1_000_000_000,
                source: [10, 0, 0, 1].into(),
                source_port: 1,
                destination: [10, 0, 0, 2].into(),
                destination_port: 2,
                protocol: 6,
            };
            let row = vec![0.0; FLOW_V1.columns.len()];
            batch.push(&row, identity, CommunityId::of(&identity));
        }
        spool.push(&batch).unwrap();
        spool.add_time(Duration::from_secs(7));
        spool.save().unwrap();
        drop(spool);
        let text = fs::read_to_string(folder.join(ROWS)).unwrap();
        text.lines().map(str::to_owned).collect()
    }

    #[test]
    fn damage_costs_what_is_damaged_and_fails_no_start() {
        let check = |file: &str, damage: &dyn Fn(&mut Vec<u8>, usize)| {
            let whole_home = tempfile::tempdir().unwrap();
            let lines = sample(whole_home.path());
            let whole = fs::read(whole_home.path().join(file)).unwrap();
            for at in (0..whole.len()).step_by(whole.len() / 30) {
                let home = tempfile::tempdir().unwrap();
                for name in [ROWS, JOURNAL] {
                    fs::copy(whole_home.path().join(name), home.path().join(name)).unwrap();
                }
                let mut damaged = whole.clone();
                damage(&mut damaged, at);
                fs::write(home.path().join(file), &damaged).unwrap();
                let spool = Spool::resume(home.path(), &FLOW_V1, "eth0").unwrap();
                let learned = spool.learned();
                let is_kept = learned == Duration::from_secs(7);
                assert!(
                    is_kept || learned == Duration::from_secs(120),
                    "{file} at {at}: {learned:?}"
                );
                assert!(is_kept || !spool.told().is_empty(), "{file} at {at}");
                let told = spool.told().len();
                drop(spool);
                if told > 0 {
                    let kept = fs::read(home.path().join("set-aside").join(file)).unwrap();
                    assert!(kept == damaged, "{file} at {at}");
                }
                // No line of flows is lost but the damaged one, one that it was joined with, and those that were cut off.
                let text = fs::read(home.path().join(ROWS)).unwrap();
                let found = String::from_utf8_lossy(&text);
                let lost = lines
                    .iter()
                    .filter(|line| !found.lines().any(|found| found == *line));
                let is_cut = damaged.len() < whole.len() && file == ROWS;
                assert!(is_cut || lost.count() <= 2, "{file} at {at}: {found}");
            }
        };
        for file in [ROWS, JOURNAL] {
            check(file, &|bytes, at| bytes[at] ^= 0x10);
            check(file, &|bytes, at| bytes.truncate(at));
            check(file, &|bytes, at| bytes.extend_from_within(at..));
        }
    }
}
