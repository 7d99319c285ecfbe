//! From what a setting names to files and streams of records.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use netsage_schema::Schema;

use super::{Follow, Pipe, Transport};
use crate::file::Progress;
use crate::{Input, RecordOptions, RecordSource, Source, SourceError, open_with, socket};

/// How files of records are read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Files {
    /// To their ends, and sorted before the first flow.
    #[default]
    Whole,
    /// While they grow and are renamed and compressed.
    Followed,
    /// The same, to where they end now.
    FollowedToTheEnd,
}

/// Opened records: files or streams, not both.
pub struct OpenedRecords {
    /// Whole files as one source.
    pub files: Option<Box<dyn Source>>,
    /// How far the files are read.
    pub progress: Option<Progress>,
    /// Inputs that go on.
    pub streams: Vec<Box<dyn Transport>>,
}

/// Opens records by their names: `-` for standard input, `unix:PATH` for a socket to be made there, else files, also with
/// wildcards, or FIFOs.
///
/// # Errors
/// When something of them cannot be opened, or files and streams are named together.
pub fn open_records(
    names: &[String],
    options: &RecordOptions,
    schema: &'static Schema,
    how: Files,
) -> Result<OpenedRecords, SourceError> {
    let mut followed = Vec::new();
    let (mut files, mut streams): (Vec<PathBuf>, Vec<Box<dyn Transport>>) = Default::default();
    for name in names {
        if name == "-" {
            streams.push(Box::new(Pipe::standard_input(options)));
        } else if let Some(path) = name.strip_prefix(socket::PREFIX) {
            #[cfg(unix)]
            streams.push(Box::new(Pipe::socket(Path::new(path), options)?));
            #[cfg(not(unix))]
            return Err(not_here(path));
        } else if how != Files::Whole && !is_fifo(Path::new(name)) {
            followed.push(name.clone());
        } else {
            for path in expand(name)? {
                if is_fifo(&path) {
                    streams.push(Box::new(Pipe::fifo(&path, options)));
                } else {
                    files.push(path);
                }
            }
        }
    }
    if !followed.is_empty() {
        let ends = how == Files::FollowedToTheEnd;
        streams.push(Box::new(Follow::new(&followed, options, ends)));
    }
    if !files.is_empty() && !streams.is_empty() {
        return Err(SourceError::Other {
            name: names.join(", "),
            what: "whole files together with streams",
            advice: "name files or streams, and give the others to a run of their own",
        });
    }
    let (files, progress) = open_files(names, &files, options, schema)?;
    Ok(OpenedRecords {
        files,
        progress,
        streams,
    })
}

type Opened = (Option<Box<dyn Source>>, Option<Progress>);

/// Whole files as one source. A file that is named alone may be anything that has rows of the schema.
fn open_files(
    names: &[String],
    files: &[PathBuf],
    options: &RecordOptions,
    schema: &'static Schema,
) -> Result<Opened, SourceError> {
    let (mut all, mut progress): (Vec<_>, Option<Progress>) = (Vec::new(), None);
    for path in files {
        let (input, read) = match open_with(path, options) {
            // A log that has just been begun.
            Err(SourceError::Empty { .. }) if files.len() > 1 => continue,
            opened => opened?,
        };
        match input {
            Input::Records(records) => all.push(records),
            Input::Table(table) if files.len() == 1 => {
                return Ok((Some(Box::new(table.into_source(schema)?)), Some(read)));
            }
            Input::Table(_) | Input::Capture(_) => {
                return Err(SourceError::Other {
                    name: path.display().to_string(),
                    what: "no file of records",
                    advice: "give captures and tables one at a time, with `--pcap`",
                });
            }
        }
        progress = Some(match progress {
            Some(progress) => progress.with(read),
            None => read,
        });
    }
    let source = match all.len() {
        0 => None,
        _ => Some(Box::new(RecordSource::of(names.join(", "), all, schema)?) as Box<dyn Source>),
    };
    Ok((source, progress))
}

/// The files of a name with wildcards, in the order of their names.
pub(super) fn expand(name: &str) -> Result<Vec<PathBuf>, SourceError> {
    let failed = |source| SourceError::Open {
        name: name.to_owned(),
        source,
    };
    // A file may have a name that looks like one with wildcards.
    if !name.contains(['*', '?', '[']) || Path::new(name).exists() {
        return Ok(vec![PathBuf::from(name)]);
    }
    let invalid = |error: glob::PatternError| failed(io::Error::new(io::ErrorKind::InvalidInput, error));
    let found: Vec<PathBuf> = glob::glob(name)
        .map_err(invalid)?
        .filter_map(Result::ok)
        .collect();
    let found: Vec<PathBuf> = found.into_iter().filter(|path| !path.is_dir()).collect();
    if found.is_empty() {
        return Err(failed(io::Error::from(io::ErrorKind::NotFound)));
    }
    Ok(found)
}

#[cfg(unix)]
fn is_fifo(path: &Path) -> bool {
    use std::os::unix::fs::FileTypeExt as _;
    fs::metadata(path).is_ok_and(|found| found.file_type().is_fifo())
}

#[cfg(not(unix))]
fn is_fifo(_: &Path) -> bool {
    false
}

#[cfg(not(unix))]
fn not_here(path: &str) -> SourceError {
    SourceError::Open {
        name: format!("{}{path}", socket::PREFIX),
        source: io::Error::from(io::ErrorKind::Unsupported),
    }
}
