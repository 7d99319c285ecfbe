//! Puts the records of a file in the order of their ends, on disk where they are many.

use std::io;

use netsage_records::{FlowId, Key, Origin, Queue, Record};

/// Records that are sorted in memory; more of them are written to the disk in sorted runs. About 70 MB.
const MOST_IN_MEMORY: usize = 1 << 18;

/// Takes records in any order.
pub(super) struct Sorter {
    most: usize,
    /// Of records that do not say another one.
    origin: Origin,
    records: Vec<(Key, Record)>,
    #[cfg(not(target_family = "wasm"))]
    runs: Vec<run::Run>,
}

impl Sorter {
    /// Sorts records of this origin.
    pub(super) fn new(origin: Origin) -> Self {
        Self::with_most(MOST_IN_MEMORY, origin)
    }

    /// Holds fewer records than `most` in memory.
    fn with_most(most: usize, origin: Origin) -> Self {
        Self {
            most,
            origin,
            records: Vec::new(),
            #[cfg(not(target_family = "wasm"))]
            runs: Vec::new(),
        }
    }

    /// # Errors
    /// When the disk does not take a run.
    pub(super) fn push(&mut self, record: Record) -> io::Result<()> {
        let id = record.id(&self.origin.of(&record));
        let end_us = record.end_us;
        self.records.push((Key { end_us, id }, record));
        if self.records.len() >= self.most {
            self.spill()?;
        }
        Ok(())
    }

    /// Writes the records in memory to the disk.
    #[cfg(not(target_family = "wasm"))]
    fn spill(&mut self) -> io::Result<()> {
        self.records.sort_by_key(|(key, _)| *key);
        self.runs
            .push(run::Run::write(self.records.drain(..), self.origin)?);
        Ok(())
    }

    /// A browser has no disk.
    #[cfg(target_family = "wasm")]
    fn spill(&mut self) -> io::Result<()> {
        Ok(())
    }

    /// # Errors
    /// When a run cannot be read.
    pub(super) fn sorted(mut self) -> io::Result<Sorted> {
        self.records.sort_by_key(|(key, _)| *key);
        let mut sorted = Sorted {
            rest: self.records.into_iter(),
            #[cfg(not(target_family = "wasm"))]
            runs: self.runs,
            first: Queue::default(),
        };
        #[cfg(not(target_family = "wasm"))]
        for place in 0..sorted.runs.len() {
            sorted.refill(Some(place))?;
        }
        sorted.refill(None)?;
        Ok(sorted)
    }
}

/// Gives records in their order.
#[derive(Default)]
pub(super) struct Sorted {
    /// Those that were never on the disk.
    rest: std::vec::IntoIter<(Key, Record)>,
    #[cfg(not(target_family = "wasm"))]
    runs: Vec<run::Run>,
    /// The first of each run and of `rest`, with the run that it is of.
    first: Queue<(Record, Option<usize>)>,
}

impl Sorted {
    /// # Errors
    /// When a run cannot be read on.
    pub(super) fn next(&mut self) -> io::Result<Option<(FlowId, Record)>> {
        let Some((key, (record, run))) = self.first.pop() else {
            return Ok(None);
        };
        self.refill(run)?;
        Ok(Some((key.id, record)))
    }

    /// Puts the next record of a run, or of those in memory, among the first.
    fn refill(&mut self, run: Option<usize>) -> io::Result<()> {
        let next = match run {
            #[cfg(not(target_family = "wasm"))]
            Some(place) => match self.runs.get_mut(place) {
                Some(run) => run.next()?,
                None => None,
            },
            _ => self.rest.next(),
        };
        if let Some((key, record)) = next {
            self.first.push(key, (record, run));
        }
        Ok(())
    }
}

#[cfg(not(target_family = "wasm"))]
mod run {
    use std::fs::File;
    use std::io::{self, BufWriter, Read as _, Seek as _, Write as _};

    use netsage_records::formats::{Format, Items, Options, Reader, flow_json};
    use netsage_records::{Key, Origin, Record};

    /// Bytes of a run that are read at once.
    const STEP: usize = 1 << 16;

    /// Sorted records in a file without a name, as the project's own JSON.
    pub(super) struct Run {
        file: File,
        origin: Origin,
        reader: Reader,
        buffer: Vec<u8>,
        items: Items,
        /// How many of `items` are taken.
        taken: usize,
    }

    impl Run {
        pub(super) fn write(
            records: impl Iterator<Item = (Key, Record)>,
            origin: Origin,
        ) -> io::Result<Self> {
            let mut file = BufWriter::with_capacity(STEP, tempfile::tempfile()?);
            for (_, record) in records {
                flow_json::write(&record, &mut file)?;
                file.write_all(b"\n")?;
            }
            let mut file = file.into_inner()?;
            file.rewind()?;
            Ok(Self {
                file,
                origin,
                reader: Reader::new(Format::FlowJson, &Options::default()),
                buffer: Vec::new(),
                items: Items::default(),
                taken: 0,
            })
        }

        pub(super) fn next(&mut self) -> io::Result<Option<(Key, Record)>> {
            while self.taken == self.items.records.len() {
                self.items.clear();
                self.taken = 0;
                let read = (&mut self.file).take(STEP as u64).read_to_end(&mut self.buffer)?;
                let used = self.reader.read(&self.buffer, read == 0, &mut self.items);
                self.buffer.drain(..used);
                if !self.items.refused.is_empty() {
                    return Err(io::Error::other("a record is not as it was written"));
                }
                if read == 0 && self.items.records.is_empty() {
                    return Ok(None);
                }
            }
            let record = self.items.records.get(self.taken).cloned();
            self.taken += 1;
            Ok(record.map(|record| {
                let id = record.id(&self.origin.of(&record));
                let end_us = record.end_us;
                (Key { end_us, id }, record)
            }))
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use netsage_records::BytesOf;

    use super::*;

    fn record(end_us: i64, source_port: u16) -> Record {
        Record {
            start_us: end_us - 1,
            end_us,
            source: IpAddr::from([10, 0, 0, 1]),
            destination: IpAddr::from([10, 0, 0, 2]),
            source_port,
            destination_port: 53,
            protocol: 17,
            service: None,
            state: None,
            packets: None,
            bytes: None,
            bytes_of: BytesOf::Network,
            payload: None,
            sampling: 1,
            own_id: None,
            sensor: Some("one".into()),
            network: Some("two".into()),
            foreign: None,
        }
    }

    #[test]
    fn records_are_in_one_order_in_memory_and_on_disk() {
        let records: Vec<_> = (0..1_000_u16)
            .map(|number| record(1 + i64::from(number) * 7_919 % 331, number % 250))
            .collect();
        let sorted = |most| {
            let mut sorter = Sorter::with_most(most, Origin::default());
            for record in &records {
                sorter.push(record.clone()).unwrap();
            }
            let mut sorted = sorter.sorted().unwrap();
            std::iter::from_fn(|| sorted.next().unwrap()).collect::<Vec<_>>()
        };
        let in_memory = sorted(usize::MAX);
        assert_eq!(in_memory.len(), records.len());
        assert!(in_memory.is_sorted_by_key(|(id, record)| (record.end_us, *id)));
        // The last run is full, and not.
        for most in [1, 100, 333] {
            assert!(sorted(most) == in_memory, "{most}");
        }
    }
}
