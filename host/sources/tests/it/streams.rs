//! Streams of records: the contract, and rows that do not depend on the transport or on the order within the lateness.

use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use netsage_schema::{FlowBatch, Provenance, RECORD_V1};
use netsage_sources::stream::{
    Files, Inbox, InboxError, Pipe, Sender, Stream, StreamOptions, Transport, open_records,
};
use netsage_sources::{Input, Reading, RecordOptions, Site, Source, read_all};

use crate::contract::Member;
use crate::records::{FLOWS, lines};

const UNPACKED: usize = 16 << 20;
/// More than the records of [`lines`] are apart.
const LONG: Duration = Duration::from_secs(7_200);

fn patient() -> StreamOptions {
    StreamOptions {
        lateness: Some(LONG),
        ..StreamOptions::default()
    }
}

/// The flows of a source to its end.
fn flows(mut source: impl Source) -> FlowBatch {
    let mut all = FlowBatch::new(&RECORD_V1);
    let damage = read_all(&mut source, |batch| {
        all.append(batch);
        Ok::<(), ()>(())
    });
    assert!(matches!(damage, Ok(None)), "{damage:?}");
    all
}

/// The flows of the same records in a whole file.
fn of_file(text: &str) -> FlowBatch {
    let Ok(Input::Records(records)) = Input::open("file", text.as_bytes()) else {
        panic!("no records");
    };
    flows(records.into_source(&RECORD_V1).unwrap())
}

fn assert_equal(found: &FlowBatch, expected: &FlowBatch) {
    assert_eq!(found.len(), expected.len());
    assert!(found.rows.values() == expected.rows.values(), "rows");
    assert!(found.identities == expected.identities, "identities");
    assert!(found.ids == expected.ids, "ids");
}

fn inbox(folder: &Path) -> Arc<Inbox> {
    Arc::new(Inbox::open(folder, 64 << 20).unwrap())
}

fn of_inbox(inbox: &Arc<Inbox>) -> Stream {
    Stream::new("inbox", vec![Box::new(inbox.transport(true))], patient())
}

#[test]
fn an_inbox_keeps_the_contract() {
    let folder = tempfile::tempdir().unwrap();
    let all = lines();
    Member {
        open: &|| {
            let _ = fs::remove_dir_all(folder.path());
            let inbox = inbox(folder.path());
            for body in all.chunks(700) {
                // A record that is refused is counted, and not in the inbox.
                let body = body.concat() + "{\"start_us\": 1}\n";
                let accepted = inbox
                    .accept(body.as_bytes(), UNPACKED, &Sender::default())
                    .unwrap();
                assert_eq!(accepted.refused.len(), 1);
            }
            Box::new(of_inbox(&inbox))
        },
        records: FLOWS + 8,
        rejected: 8,
        flows: FLOWS,
        error: None,
    }
    .check();
}

#[test]
fn an_inbox_gives_again_what_is_not_stored() {
    let folder = tempfile::tempdir().unwrap();
    let text = lines().concat();
    let expected = of_file(&text);
    let accepted = inbox(folder.path()).accept(text.as_bytes(), UNPACKED, &Sender::default());
    assert_eq!(accepted.unwrap().counts.records, FLOWS);
    // A kill in the middle of a later write.
    let segment = fs::read_dir(folder.path())
        .unwrap()
        .next()
        .unwrap()
        .unwrap()
        .path();
    let mut file = fs::OpenOptions::new().append(true).open(segment).unwrap();
    file.write_all(b"{\"start_us\": 17000").unwrap();
    for _ in 0..2 {
        let source = of_inbox(&inbox(folder.path()));
        assert_equal(&flows(source), &expected);
    }
    let inbox = inbox(folder.path());
    let mut source = of_inbox(&inbox);
    let (before, mut batch) = (inbox.room().0, FlowBatch::new(&RECORD_V1));
    while matches!(source.read(&mut batch), Ok(Reading::GoesOn)) {}
    source.stored(FLOWS - 1);
    assert_eq!(inbox.room().0, before, "one flow is missing");
    source.stored(FLOWS);
    assert_eq!(inbox.room().0, 0);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    // What comes now is read by the same source.
    let mut going = Stream::new("inbox", vec![Box::new(inbox.transport(false))], patient());
    for round in 0..3 {
        let one = &lines()[round];
        inbox
            .accept(one.as_bytes(), UNPACKED, &Sender::default())
            .unwrap();
        batch.clear();
        assert!(matches!(going.read(&mut batch), Ok(Reading::GoesOn)));
        assert_eq!(going.counters().records, round as u64 + 1);
    }
}

#[test]
fn an_inbox_is_bounded() {
    let folder = tempfile::tempdir().unwrap();
    let inbox = Arc::new(Inbox::open(folder.path(), 200_000).unwrap());
    let all = lines();
    let send = |text: &str| inbox.accept(text.as_bytes(), UNPACKED, &Sender::default());
    assert!(matches!(send(&all.concat()), Err(InboxError::TooLarge { .. })));
    assert_eq!(inbox.room().0, 0, "nothing of it was taken");
    let mut bodies = all.chunks(100);
    let full = bodies.position(|body| send(&body.concat()).is_err()).unwrap();
    assert!(full > 2, "{full} bodies of some 25 kB");
    let (waiting, limit) = inbox.room();
    assert!(waiting <= limit);
    let body = all[..100].concat();
    assert!(matches!(send(&body), Err(InboxError::Full { .. })));
    let source = Stream::new("inbox", vec![Box::new(inbox.transport(true))], patient());
    assert_eq!(source.name(), "inbox");
    let mut source = source;
    let mut batch = FlowBatch::new(&RECORD_V1);
    while matches!(source.read(&mut batch), Ok(Reading::GoesOn)) {}
    source.stored(batch.len() as u64);
    assert!(send(&body).is_ok(), "there is room again");
}

#[test]
fn an_inbox_takes_what_files_may_hold() {
    let folder = tempfile::tempdir().unwrap();
    let inbox = inbox(folder.path());
    let check = |body: &[u8], records: u64| {
        let accepted = inbox.accept(body, UNPACKED, &Sender::default()).unwrap();
        assert_eq!(accepted.counts.records, records);
    };
    let some = &lines()[..10];
    check(some.concat().as_bytes(), 10);
    check(format!("[{}]", some.join(",")).as_bytes(), 10);
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    packed.write_all(some.concat().as_bytes()).unwrap();
    let packed = packed.finish().unwrap();
    check(&packed, 10);
    let refusal = |body: &[u8], most| {
        inbox
            .accept(body, most, &Sender::default())
            .unwrap_err()
            .to_string()
    };
    assert!(refusal(&packed, 1_000).contains("larger than 1000 bytes"));
    assert!(refusal(&packed[..packed.len() / 2], UNPACKED).contains("the body"));
    assert!(refusal(b"", UNPACKED).contains("empty"));
    assert!(refusal(b"hello\n", UNPACKED).contains("no records"));
    // A network and a sensor that the sender names.
    let sender = Sender {
        network: Some("one".into()),
        sensor: Some("tap".into()),
        ..Sender::default()
    };
    let plain = of_inbox(&inbox);
    let ids = flows(plain).ids;
    assert_eq!(ids.len(), 10, "equal records are one flow");
    inbox.accept(some.concat().as_bytes(), UNPACKED, &sender).unwrap();
    let both = flows(of_inbox(&inbox));
    assert_eq!(both.len(), 20, "of two networks");
    let named = Provenance::new("tap", "one", false);
    for (id, provenance) in both.ids.iter().zip(&both.provenances) {
        let is_plain = ids.contains(id);
        assert_eq!(
            *provenance,
            if is_plain { Provenance::NONE } else { named.clone() }
        );
    }
}

#[test]
fn shuffled_records_give_equal_rows_by_every_transport() {
    let all = lines();
    let expected = of_file(&all.concat());
    for seed in [1, 77] {
        let mut shuffled = all.clone();
        shuffled.sort_by_key(|line| {
            line.bytes().fold(seed, |hash: u64, byte| {
                (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
            })
        });
        let text = shuffled.concat();
        assert_equal(&of_file(&text), &expected);
        let folder = tempfile::tempdir().unwrap();
        let inbox = inbox(folder.path());
        for body in shuffled.chunks(301) {
            let body = body.concat();
            inbox
                .accept(body.as_bytes(), UNPACKED, &Sender::default())
                .unwrap();
        }
        assert_equal(&flows(of_inbox(&inbox)), &expected);
        #[cfg(unix)]
        assert_equal(&of_socket(&[&text]), &expected);
        #[cfg(feature = "kafka")]
        if let Some(found) = of_topic(&shuffled) {
            assert_equal(&found, &expected);
        }
    }
    // By two files, and by two connections.
    let (one, two) = all.split_at(1_234);
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("one.json"), one.concat()).unwrap();
    fs::write(folder.path().join("two.json"), two.concat()).unwrap();
    fs::write(folder.path().join("three.json"), "").unwrap();
    let names = [folder.path().join("*.json").display().to_string()];
    let opened = open_records(&names, &RecordOptions::default(), &RECORD_V1, Files::Whole).unwrap();
    assert_equal(&flows(Boxed(opened.files.unwrap())), &expected);
    #[cfg(unix)]
    assert_equal(&of_socket(&[&two.concat(), &one.concat()]), &expected);
}

/// A source behind a pointer.
struct Boxed(Box<dyn Source>);

impl Source for Boxed {
    fn name(&self) -> &str {
        self.0.name()
    }
    fn schema(&self) -> &'static netsage_schema::Schema {
        self.0.schema()
    }
    fn pace(&self) -> netsage_sources::Pace {
        self.0.pace()
    }
    fn read(&mut self, batch: &mut FlowBatch) -> Result<Reading, netsage_sources::SourceError> {
        self.0.read(batch)
    }
    fn stop(&mut self) {
        self.0.stop();
    }
    fn counters(&self) -> netsage_sources::SourceCounters {
        self.0.counters()
    }
}

/// What a topic of one partition brings, one record a message.
#[cfg(feature = "kafka")]
fn of_topic(lines: &[String]) -> Option<FlowBatch> {
    use crate::kafka::{server, to_the_end};
    use netsage_sources::kafka::{Kafka, KafkaOptions};
    use netsage_testkit::kafka::fresh;

    let server = server()?;
    let topic = server.topic("shuffled", 1);
    let values = lines.iter().map(|line| (0, Some(line.clone().into_bytes())));
    server.produce(&topic, &[], values);
    let options = KafkaOptions {
        lateness: LONG,
        ..to_the_end(server, &topic, &fresh("group"))
    };
    Some(flows(Kafka::open(options).unwrap()))
}

/// What connections of a socket bring, until the program is asked to stop.
#[cfg(unix)]
fn of_socket(connections: &[&str]) -> FlowBatch {
    use std::os::unix::net::UnixStream;

    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("records");
    let socket = Pipe::socket(&path, &RecordOptions::default()).unwrap();
    let mut source = Stream::new("socket", vec![Box::new(socket)], patient());
    let mut batch = FlowBatch::new(&RECORD_V1);
    let total: u64 = connections.iter().map(|text| text.len() as u64).sum();
    let writers: Vec<_> = connections
        .iter()
        .map(|text| {
            let (path, text) = (path.clone(), (*text).to_owned());
            std::thread::spawn(move || {
                UnixStream::connect(path)
                    .unwrap()
                    .write_all(text.as_bytes())
                    .unwrap();
            })
        })
        .collect();
    while source.counters().bytes < total {
        assert!(matches!(source.read(&mut batch), Ok(Reading::GoesOn)));
    }
    for writer in writers {
        writer.join().unwrap();
    }
    source.stop();
    while matches!(source.read(&mut batch), Ok(Reading::GoesOn)) {}
    batch
}

#[cfg(unix)]
#[test]
fn a_connection_without_records_costs_itself_alone() {
    use std::os::unix::net::UnixStream;

    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("records");
    // What an earlier run has left is replaced; what is no socket stays.
    drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
    let socket = Pipe::socket(&path, &RecordOptions::default()).unwrap();
    let file = folder.path().join("file");
    fs::write(&file, "").unwrap();
    assert!(Pipe::socket(&file, &RecordOptions::default()).is_err());
    let mut source = Stream::new("socket", vec![Box::new(socket) as Box<dyn Transport>], patient());
    let mut batch = FlowBatch::new(&RECORD_V1);
    assert!(matches!(source.read(&mut batch), Ok(Reading::GoesOn)));
    UnixStream::connect(&path)
        .unwrap()
        .write_all(b"hello\nyou\n")
        .unwrap();
    UnixStream::connect(&path)
        .unwrap()
        .write_all(lines()[0].as_bytes())
        .unwrap();
    while source.counters().records < 2 {
        assert!(matches!(source.read(&mut batch), Ok(Reading::GoesOn)));
    }
    assert_eq!(source.counters().rejected, 1);
    let said = source.unused().unwrap();
    assert!(said.contains("no format that is read: 1"), "{said}");
}

#[test]
fn the_clock_moves_a_quiet_stream_on_and_late_records_are_flows() {
    let folder = tempfile::tempdir().unwrap();
    let inbox = inbox(folder.path());
    let options = StreamOptions {
        lateness: Some(Duration::from_millis(1)),
        site: Site::new("tap", "one"),
        ..StreamOptions::default()
    };
    let mut source = Stream::new("inbox", vec![Box::new(inbox.transport(false))], options);
    let mut batch = FlowBatch::new(&RECORD_V1);
    let all = lines();
    // The second ends before the first.
    for (number, line) in [&all[1], &all[0]].into_iter().enumerate() {
        inbox
            .accept(line.as_bytes(), UNPACKED, &Sender::default())
            .unwrap();
        while batch.len() == number {
            assert!(matches!(source.read(&mut batch), Ok(Reading::GoesOn)));
        }
    }
    assert_eq!(source.counters().late, 1);
    let expected = [false, true].map(|is_late| Provenance::new("tap", "one", is_late));
    assert_eq!(batch.provenances, expected);
    let unnamed = of_file(&(all[0].clone() + &all[1]));
    assert!(
        !batch.ids.iter().any(|id| unnamed.ids.contains(id)),
        "of another network"
    );
}
