//! A toy source in one file: a followed log, whose lines are flows. Its checkpoint is the offset of the first line that
//! is not stored.

use std::fs::File;
use std::io::{BufRead as _, BufReader, Seek as _, SeekFrom};
use std::net::Ipv4Addr;
use std::path::Path;
use std::thread;
use std::time::Duration;

use netsage_schema::{CommunityId, FlowBatch, Identity, Schema, UNSW_NB15};
use netsage_sources::{Pace, Position, Reading, Source, SourceCounters, SourceError};

/// Lines of one read.
const LINES: usize = 100;
/// How long a read waits for lines.
const WAIT: Duration = Duration::from_millis(10);

/// Each line is `SECOND BYTES`: a datagram of as many bytes at that second, from an address made of the second.
pub struct ToyLog {
    name: String,
    log: BufReader<File>,
    /// Where the next line begins.
    place: u64,
    /// For each flow that is not stored yet the offset of the next line.
    ends: std::collections::VecDeque<u64>,
    stored: u64,
    counters: SourceCounters,
    /// Whether more lines may come.
    grows: bool,
    stops: bool,
}

impl ToyLog {
    /// Opens the log at its beginning.
    pub fn open(path: &Path) -> Self {
        Self {
            name: path.display().to_string(),
            log: BufReader::new(File::open(path).unwrap()),
            place: 0,
            ends: std::collections::VecDeque::new(),
            stored: 0,
            counters: SourceCounters::default(),
            grows: false,
            stops: false,
        }
    }

    /// Opens a log that somebody writes on, whose end is not that of the source.
    pub fn follow(path: &Path) -> Self {
        Self {
            grows: true,
            ..Self::open(path)
        }
    }

    fn flow(line: &str) -> Option<(i64, f64)> {
        let (second, bytes) = line.trim_end().split_once(' ')?;
        Some((second.parse().ok()?, bytes.parse().ok()?))
    }
}

impl Source for ToyLog {
    fn name(&self) -> &str {
        &self.name
    }

    fn schema(&self) -> &'static Schema {
        &UNSW_NB15
    }

    fn pace(&self) -> Pace {
        Pace::Waits
    }

    fn read(&mut self, batch: &mut FlowBatch) -> Result<Reading, SourceError> {
        let before = batch.len();
        let mut line = String::new();
        while !self.stops && batch.len() < before + LINES {
            line.clear();
            let length = self.log.read_line(&mut line).unwrap() as u64;
            if self.grows && !line.ends_with('\n') {
                // The rest of the line is still to be written.
                self.log.seek(SeekFrom::Start(self.place)).unwrap();
                if batch.len() == before {
                    thread::sleep(WAIT);
                }
                return Ok(Reading::GoesOn);
            }
            if length == 0 {
                self.stops = true;
                break;
            }
            self.place += length;
            self.counters.records += 1;
            self.counters.bytes += length;
            let Some((second, bytes)) = Self::flow(&line) else {
                self.counters.rejected += 1;
                continue;
            };
            let identity = Identity {
                start_ns: second * 1_000_000_000,
                end_ns: second * 1_000_000_000,
                source: Ipv4Addr::from_bits(0x0a00_0000 | second as u32).into(),
                source_port: 40_000,
                destination: Ipv4Addr::new(192, 0, 2, 1).into(),
                destination_port: 9_999,
                protocol: 17,
            };
            let mut row = [0.0; UNSW_NB15.width()];
            row[const { UNSW_NB15.position("proto") }] = 1.0;
            row[const { UNSW_NB15.position("spkts") }] = 1.0;
            row[const { UNSW_NB15.position("sbytes") }] = bytes;
            batch.push(&row, identity, CommunityId::of(&identity));
            self.counters.flows += 1;
            self.ends.push_back(self.place);
        }
        let is_over = self.stops && batch.len() == before;
        Ok(if is_over { Reading::End } else { Reading::GoesOn })
    }

    fn stop(&mut self) {
        self.stops = true;
    }

    fn counters(&self) -> SourceCounters {
        self.counters
    }

    fn stored(&mut self, flows: u64) -> Option<Position> {
        let end = self.ends.drain(..(flows - self.stored) as usize).next_back()?;
        self.stored = flows;
        Some(Position(end.to_le_bytes().to_vec()))
    }

    fn begin_at(&mut self, place: &Position) -> Result<(), SourceError> {
        self.place = u64::from_le_bytes(place.0.as_slice().try_into().unwrap());
        self.log.seek(SeekFrom::Start(self.place)).unwrap();
        Ok(())
    }
}
