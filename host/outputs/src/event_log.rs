//! What happened to the program itself, in a file of the data folder: so that outputs can tell of it while the store is away.

use std::collections::VecDeque;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use netsage_messages::{Event, EventKind, EventSeverity};

use crate::News;

/// Events that are kept; the file is written anew when it has twice as many.
const MOST: usize = 1_000;
/// Most characters of what an event says.
const LONGEST_TEXT: usize = 1_024;

/// The events of one program, numbered from one.
#[derive(Debug)]
pub struct EventLog {
    path: PathBuf,
    program: String,
    news: News,
    log: Mutex<Log>,
}

#[derive(Debug)]
struct Log {
    /// `None` when it cannot be written: events are kept in memory then.
    file: Option<File>,
    events: VecDeque<Event>,
    lines: usize,
    next: u64,
}

impl EventLog {
    /// Opens the log in a file, which is made when it is absent. What a kill has left of a line is dropped.
    ///
    /// # Errors
    /// When the file cannot be read or written.
    pub fn open(path: &Path, program: &str, news: News) -> io::Result<Self> {
        let mut text = Vec::new();
        match File::open(path) {
            Ok(mut file) => drop(file.read_to_end(&mut text)?),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
        let lines = text.split(|byte| *byte == b'\n');
        let mut events: VecDeque<Event> = lines
            .filter_map(|line| serde_json::from_slice(line).ok())
            .collect();
        events.drain(..events.len().saturating_sub(MOST));
        let next = events.back().map_or(1, |event| event.number.saturating_add(1));
        let mut log = Log {
            file: None,
            lines: 0,
            events,
            next,
        };
        log.write_anew(path)?;
        Ok(Self {
            path: path.to_owned(),
            program: program.to_owned(),
            news,
            log: Mutex::new(log),
        })
    }

    /// The id of the program.
    pub fn program(&self) -> &str {
        &self.program
    }

    /// Notes that something happened, and wakes the outputs. The event is on disk when this returns, unless the disk takes
    /// nothing. Waits for the disk: not to be called where others wait.
    pub fn say(&self, kind: EventKind, severity: EventSeverity, subject: &str, text: &str, at_ms: i64) {
        let mut log = self.log();
        let event = Event {
            program: self.program.clone(),
            number: log.next,
            at_ms,
            kind,
            severity,
            subject: subject.chars().take(LONGEST_TEXT).collect(),
            text: text.chars().take(LONGEST_TEXT).collect(),
        };
        log.next += 1;
        log.events.push_back(event);
        let is_long = log.events.len() > MOST;
        if is_long {
            log.events.pop_front();
        }
        let written = match log.lines >= 2 * MOST || log.file.is_none() {
            true => log.write_anew(&self.path),
            false => log.append(),
        };
        if let Err(error) = written {
            log.file = None;
            let path = self.path.display();
            tracing::warn!(%error, %path, "event not written, kept in memory");
        }
        drop(log);
        self.news.ring();
    }

    /// Events of this severity and worse after a number, at most so many.
    pub fn after(&self, number: u64, least: EventSeverity, most: usize) -> Vec<Event> {
        let log = self.log();
        let begin = log.events.partition_point(|event| event.number <= number);
        let events = log.events.range(begin..).filter(|event| event.severity >= least);
        events.take(most).cloned().collect()
    }

    /// The number of the last event; 0 when nothing has happened yet.
    pub fn newest(&self) -> u64 {
        self.log().next - 1
    }

    fn log(&self) -> MutexGuard<'_, Log> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Log {
    fn append(&mut self) -> io::Result<()> {
        if let (Some(file), Some(event)) = (&mut self.file, self.events.back()) {
            file.write_all(&line(event)?)?;
            file.sync_data()?;
            self.lines += 1;
        }
        Ok(())
    }

    /// Writes all events that are kept into a new file, which then takes the place of the old one.
    fn write_anew(&mut self, path: &Path) -> io::Result<()> {
        let mut text = Vec::new();
        for event in &self.events {
            text.extend(line(event)?);
        }
        write_whole(path, &text)?;
        self.file = Some(OpenOptions::new().append(true).open(path)?);
        self.lines = self.events.len();
        Ok(())
    }
}

fn line(event: &Event) -> io::Result<Vec<u8>> {
    let mut line = serde_json::to_vec(event)?;
    line.push(b'\n');
    Ok(line)
}

/// Writes a file so that it is either the old one or the new one, for its owner alone.
pub(crate) fn write_whole(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut beside = path.as_os_str().to_owned();
    beside.push(".new");
    let beside = PathBuf::from(beside);
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(&beside)?;
    file.write_all(bytes)?;
    file.sync_data()?;
    fs::rename(&beside, path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(log: &EventLog, after: u64) -> Vec<(u64, String)> {
        let events = log.after(after, EventSeverity::Info, usize::MAX);
        events
            .into_iter()
            .map(|event| (event.number, event.text))
            .collect()
    }

    #[test]
    fn events_outlast_kills_at_any_byte() {
        let folder = tempfile::TempDir::new().unwrap();
        let path = folder.path().join("events.jsonl");
        let open = || EventLog::open(&path, "p", News::default()).unwrap();
        let say =
            |log: &EventLog, text: &str| log.say(EventKind::Problem, EventSeverity::Warning, "s", text, 1);
        let log = open();
        say(&log, "one");
        say(&log, "two\n\"quoted\"");
        drop(log);
        let whole = fs::read(&path).unwrap();
        let expected = [(1, "one".to_owned()), (2, "two\n\"quoted\"".to_owned())];
        let first_line = whole.iter().position(|byte| *byte == b'\n').unwrap();
        for length in 0..=whole.len() {
            fs::write(&path, &whole[..length]).unwrap();
            let log = open();
            // A line without its end is whole all the same.
            let lines = usize::from(length >= first_line) + usize::from(length + 1 >= whole.len());
            assert_eq!(said(&log, 0), expected[..lines], "after {length} bytes");
            say(&log, "next");
            drop(log);
            let numbers: Vec<u64> = said(&open(), 0).into_iter().map(|(number, _)| number).collect();
            assert_eq!(numbers, (1..=lines as u64 + 1).collect::<Vec<_>>());
        }
    }

    #[test]
    fn the_log_is_bounded_and_numbers_go_on() {
        let folder = tempfile::TempDir::new().unwrap();
        let path = folder.path().join("events.jsonl");
        let log = EventLog::open(&path, "p", News::default()).unwrap();
        for number in 0..2_500 {
            log.say(
                EventKind::Problem,
                EventSeverity::Info,
                "s",
                &number.to_string(),
                number,
            );
        }
        assert_eq!(said(&log, 0).first(), Some(&(1_501, "1500".to_owned())));
        assert_eq!(
            said(&log, 2_498),
            [(2_499, "2498".to_owned()), (2_500, "2499".to_owned())]
        );
        drop(log);
        assert!(fs::read_to_string(&path).unwrap().lines().count() <= 2 * MOST);
        let log = EventLog::open(&path, "p", News::default()).unwrap();
        assert_eq!((log.newest(), said(&log, 0).len()), (2_500, MOST));
    }
}
