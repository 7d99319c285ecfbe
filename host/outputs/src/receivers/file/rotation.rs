//! Rotated files: their names, how many are kept, and packing.
//!
//! The crates that rotate files were looked at: `file-rotate` (0.8) rotates by size or by time and not by both, never brings
//! a file to the disk, and assumes that nobody else moves files; `firo` (0.2) knows one trigger too, and `tracing-appender`
//! time alone. What an acknowledgement needs is missing in each.

use std::cmp::Reverse;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use flate2::Compression;
use flate2::write::GzEncoder;

use super::options::Names;

/// The end of the name of a packed file.
const PACKED: &str = "gz";

/// The end of the name of a file that is being packed.
const PACKING: &str = "gz.part";

/// What becomes of a file that is full.
#[derive(Debug, Clone)]
pub(super) struct Rotation {
    /// How rotated files are named.
    pub(super) names: Names,
    /// How many are kept.
    pub(super) keep: usize,
    /// Whether they are packed.
    pub(super) gzip: bool,
}

/// A rotated file. They are ordered by age, the oldest first.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Age {
    /// By number, of which the highest is the oldest.
    Numbered(Reverse<u64>),
    /// By time, and among those of the same second by number.
    Dated(String, u64),
}

impl Rotation {
    /// Moves the file out of the way, deletes what is older than is kept, and packs. The time is in seconds since the epoch.
    ///
    /// # Errors
    /// When the file is still there. What fails afterwards is logged, and done at the next rotation.
    pub(super) fn rotate(&self, path: &Path, at_s: i64) -> io::Result<()> {
        match self.names {
            Names::Numbered => self.number(path)?,
            Names::Dated => fs::rename(path, dated(path, at_s)?)?,
        }
        if let Err(error) = self.tidy(path) {
            tracing::warn!(path = %path.display(), %error, "rotated files not tidied up");
        }
        Ok(())
    }

    /// Raises the numbers of rotated files, and gives the file the first one.
    fn number(&self, path: &Path) -> io::Result<()> {
        for (number, is_packed) in row(path)?.into_iter().rev() {
            let (from, to) = (numbered_name(path, number), numbered_name(path, number + 1));
            match is_packed {
                true => fs::rename(with_end(&from, PACKED), with_end(&to, PACKED))?,
                false => fs::rename(from, to)?,
            }
        }
        fs::rename(path, numbered_name(path, 1))
    }

    /// Deletes what is older than is kept, and packs what is not packed.
    pub(super) fn tidy(&self, path: &Path) -> io::Result<()> {
        let mut files: Vec<(Age, bool)> = match self.names {
            Names::Numbered => (row(path)?.into_iter())
                .map(|(number, is_packed)| (Age::Numbered(Reverse(number)), is_packed))
                .collect(),
            Names::Dated => (rotated(path)?.into_iter())
                .filter(|(age, _)| matches!(age, Age::Dated(..)))
                .collect(),
        };
        files.sort_unstable();
        // A kill while packing leaves both; the one that is not packed is whole, and comes first.
        files.dedup_by(|second, first| second.0 == first.0);
        let too_many = files.len().saturating_sub(self.keep);
        for (place, (age, is_packed)) in files.iter().enumerate() {
            let name = name_of(path, age);
            match (place < too_many, is_packed) {
                (true, true) => fs::remove_file(with_end(&name, PACKED))?,
                (true, false) => fs::remove_file(&name)?,
                (false, false) if self.gzip => pack(&name)?,
                (false, _) => {}
            }
        }
        bring_folder_to_disk(path)
    }
}

/// The numbers of rotated files from 1 on without a gap, and whether each is packed. A number behind a gap is somebody else's,
/// such as a year, and is left alone.
fn row(path: &Path) -> io::Result<Vec<(u64, bool)>> {
    let mut numbered: Vec<(u64, bool)> = rotated(path)?
        .into_iter()
        .filter_map(|(age, is_packed)| match age {
            Age::Numbered(number) => Some((number.0, is_packed)),
            Age::Dated(..) => None,
        })
        .collect();
    numbered.sort_unstable();
    let row = (1..).zip(numbered.chunk_by(|a, b| a.0 == b.0));
    Ok(row
        .take_while(|(number, files)| files[0].0 == *number)
        .flat_map(|(_, files)| files.to_vec())
        .collect())
}

/// The rotated files of a file, and whether each is packed.
fn rotated(path: &Path) -> io::Result<Vec<(Age, bool)>> {
    let Some(name) = path.file_name().map(|name| name.to_string_lossy().into_owned()) else {
        return Ok(Vec::new());
    };
    let mut found = Vec::new();
    for entry in fs::read_dir(folder(path))? {
        let entry = entry?.file_name();
        let Some(end) = entry
            .to_str()
            .and_then(|entry| entry.strip_prefix(&name)?.strip_prefix('.'))
        else {
            continue;
        };
        let (end, is_packed) = end.strip_suffix(".gz").map_or((end, false), |end| (end, true));
        if let Some(age) = age(end) {
            found.push((age, is_packed));
        }
    }
    Ok(found)
}

/// Reads the end of a rotated file's name.
fn age(end: &str) -> Option<Age> {
    let is_number = |text: &str| {
        !text.is_empty() && !text.starts_with('0') && text.bytes().all(|byte| byte.is_ascii_digit())
    };
    if is_number(end) {
        return Some(Age::Numbered(Reverse(end.parse().ok()?)));
    }
    let (time, number) = end.split_once('-').unwrap_or((end, "1"));
    let digits = |range: std::ops::Range<usize>| {
        time.get(range)
            .is_some_and(|text| text.bytes().all(|byte| byte.is_ascii_digit()))
    };
    let is_time =
        time.len() == 16 && digits(0..8) && digits(9..15) && &time[8..9] == "T" && time.ends_with('Z');
    (is_time && is_number(number)).then(|| Some(Age::Dated(time.to_owned(), number.parse().ok()?)))?
}

fn name_of(path: &Path, age: &Age) -> PathBuf {
    match age {
        Age::Numbered(number) => numbered_name(path, number.0),
        Age::Dated(time, 1) => with_end(path, time),
        Age::Dated(time, number) => with_end(path, &format!("{time}-{number}")),
    }
}

fn numbered_name(path: &Path, number: u64) -> PathBuf {
    with_end(path, &number.to_string())
}

/// A name by time that nothing has yet.
fn dated(path: &Path, at_s: i64) -> io::Result<PathBuf> {
    let at = jiff::Timestamp::from_second(at_s).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
    let time = at.strftime("%Y%m%dT%H%M%SZ").to_string();
    for number in 1..=u64::MAX {
        let name = name_of(path, &Age::Dated(time.clone(), number));
        if !name.try_exists()? && !with_end(&name, PACKED).try_exists()? {
            return Ok(name);
        }
    }
    Err(io::ErrorKind::AlreadyExists.into())
}

/// Packs a file. The packed one is whole before it has its name, and only then the other one goes.
fn pack(file: &Path) -> io::Result<()> {
    let part = with_end(file, PACKING);
    let mut from = File::open(file)?;
    let mut packing = GzEncoder::new(super::log::create(&part, true)?, Compression::default());
    io::copy(&mut from, &mut packing)?;
    let mut packed = packing.finish()?;
    packed.flush()?;
    packed.sync_all()?;
    fs::rename(&part, with_end(file, PACKED))?;
    fs::remove_file(file)
}

/// What was renamed or deleted outlasts a crash of the machine.
pub(super) fn bring_folder_to_disk(path: &Path) -> io::Result<()> {
    match cfg!(unix) {
        true => File::open(folder(path))?.sync_all(),
        false => Ok(()),
    }
}

/// The folder that a file lies in.
pub(super) fn folder(path: &Path) -> &Path {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    parent.unwrap_or(Path::new("."))
}

/// A path with something more behind a full stop.
pub(super) fn with_end(path: &Path, end: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".");
    name.push(end);
    PathBuf::from(name)
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let entries = fs::read_dir(folder).unwrap();
        let mut names: Vec<String> = entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    /// Rotates files that hold the numbers 1, 2, and so on.
    fn check(names_are: Names, keep: usize, gzip: bool, times: &[i64], expected: &[(&str, &str)]) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.jsonl");
        // Not rotated files of this one.
        for other in [
            "a.jsonl.old",
            "a.jsonl.01",
            "a.jsonl.2024",
            "b.jsonl.1",
            "a.jsonl.1.bz2",
        ] {
            fs::write(folder.path().join(other), "other").unwrap();
        }
        let rotation = Rotation {
            names: names_are,
            keep,
            gzip,
        };
        for (number, at) in (1..).zip(times) {
            fs::write(&path, format!("{number}")).unwrap();
            rotation.rotate(&path, *at).unwrap();
        }
        for (name, content) in expected {
            let bytes = fs::read(folder.path().join(name)).unwrap();
            let mut text = String::new();
            match name.ends_with(".gz") {
                true => flate2::read::GzDecoder::new(&*bytes)
                    .read_to_string(&mut text)
                    .unwrap(),
                false => (&*bytes).read_to_string(&mut text).unwrap(),
            };
            assert_eq!(text, *content, "{name}");
        }
        let others = names(folder.path()).len() - 5;
        assert_eq!(others, expected.len(), "{:?}", names(folder.path()));
    }

    #[test]
    fn files_are_rotated() {
        let noon = 1_706_702_400;
        check(
            Names::Numbered,
            3,
            false,
            &[noon; 2],
            &[("a.jsonl.1", "2"), ("a.jsonl.2", "1")],
        );
        check(
            Names::Numbered,
            2,
            true,
            &[noon; 5],
            &[("a.jsonl.1.gz", "5"), ("a.jsonl.2.gz", "4")],
        );
        check(
            Names::Dated,
            3,
            false,
            &[noon, noon + 1, noon + 1, noon + 2],
            &[
                ("a.jsonl.20240131T120001Z", "2"),
                ("a.jsonl.20240131T120001Z-2", "3"),
                ("a.jsonl.20240131T120002Z", "4"),
            ],
        );
        check(
            Names::Dated,
            1,
            true,
            &[noon, noon + 1],
            &[("a.jsonl.20240131T120001Z.gz", "2")],
        );
    }

    #[test]
    fn packing_goes_on_where_a_kill_has_ended_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        fs::write(with_end(&path, "1"), "one").unwrap();
        fs::write(with_end(&path, "1.gz.part"), "half").unwrap();
        let rotation = Rotation {
            names: Names::Numbered,
            keep: 5,
            gzip: true,
        };
        rotation.tidy(&path).unwrap();
        assert_eq!(names(folder.path()), ["a.1.gz"]);
    }
}
