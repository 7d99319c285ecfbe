//! Exporters of NetFlow and IPFIX over a real socket, and real exporters.

pub(crate) mod exporters;

use std::net::{Ipv4Addr, SocketAddr, UdpSocket};

use netsage_schema::{FlowBatch, RECORD_V1, Schema, UNSW_NB15};
use netsage_sources::{Netflow, NetflowOptions, Pace, Reading, Source, SourceCounters, SourceError};
use netsage_testkit::datagrams::{Head, v5, v5_flow};

/// Datagrams that are sent before each read.
const BURST: usize = 4;

/// An address of this machine, its port for the system to choose.
pub(crate) fn any_port() -> SocketAddr {
    SocketAddr::new(Ipv4Addr::LOCALHOST.into(), 0)
}

fn open(options: NetflowOptions) -> Netflow {
    Netflow::open(options, &RECORD_V1).unwrap()
}

/// A socket that is sent these datagrams, and that is asked to stop once all of them were taken in: an end, which
/// exporters do not have.
pub(crate) struct Fed {
    inner: Netflow,
    sender: UdpSocket,
    datagrams: std::vec::IntoIter<Vec<u8>>,
    records: u64,
}

impl Fed {
    pub(crate) fn new(options: NetflowOptions, datagrams: Vec<Vec<u8>>, records: u64) -> Self {
        Self {
            inner: open(options),
            sender: UdpSocket::bind(any_port()).unwrap(),
            datagrams: datagrams.into_iter(),
            records,
        }
    }
}

impl Source for Fed {
    fn name(&self) -> &str {
        self.inner.name()
    }

    fn schema(&self) -> &'static Schema {
        self.inner.schema()
    }

    fn pace(&self) -> Pace {
        self.inner.pace()
    }

    fn read(&mut self, batch: &mut FlowBatch) -> Result<Reading, SourceError> {
        for datagram in self.datagrams.by_ref().take(BURST) {
            self.sender.send_to(&datagram, self.inner.address()).unwrap();
        }
        let read = self.inner.read(batch);
        if self.inner.counters().records >= self.records {
            self.inner.stop();
        }
        read
    }

    fn stop(&mut self) {
        self.inner.stop();
    }

    fn counters(&self) -> SourceCounters {
        self.inner.counters()
    }

    fn unused(&self) -> Option<String> {
        self.inner.unused()
    }
}

/// Datagrams of v5 with both directions of each flow, and the sequence they have.
fn datagrams(flows: u32) -> Vec<Vec<u8>> {
    (0..flows)
        .step_by(15)
        .map(|first| {
            let records: Vec<Vec<u8>> = (first..flows.min(first + 15))
                .flat_map(|number| {
                    let (client, server) = ([10, 0, (number >> 8) as u8, number as u8], [192, 0, 2, 1]);
                    let port = 1_024 + (number % 60_000) as u16;
                    let times = (number, number + 50);
                    [
                        v5_flow(client, server, (port, 443), 3, times),
                        v5_flow(server, client, (443, port), 4, times),
                    ]
                })
                .collect();
            let head = Head {
                sequence: first * 2,
                ..Head::default()
            };
            v5(&head, records.len() as u16, &records)
        })
        .collect()
}

/// Reads until the source has taken in so many records, or ends.
fn read_until(source: &mut impl Source, records: u64) -> FlowBatch {
    let mut all = FlowBatch::new(&RECORD_V1);
    let mut batch = FlowBatch::new(&RECORD_V1);
    while source.counters().records < records {
        let reading = source.read(&mut batch).unwrap();
        all.append(&mut batch);
        if reading == Reading::End {
            break;
        }
    }
    all
}

#[test]
fn exporters_from_elsewhere_are_counted_and_not_read() {
    let datagrams = datagrams(15);
    let check = |from: &str, expected: (u64, u64)| {
        let options = NetflowOptions {
            from: vec![from.parse().unwrap()],
            ..NetflowOptions::new(any_port())
        };
        let records = expected.0;
        let mut source = Fed::new(options, datagrams.clone(), records);
        read_until(&mut source, records);
        let counters = source.counters();
        assert_eq!((counters.records, counters.rejected), expected, "{from}");
    };
    check("127.0.0.0/8", (30, 0));
    check("192.0.2.0/24", (1, 1));
}

#[test]
fn flows_of_a_quiet_stream_are_handed_over_by_the_clock() {
    let options = NetflowOptions {
        lateness: std::time::Duration::from_millis(200),
        ..NetflowOptions::new(any_port())
    };
    // Nothing ends this source: what it hands over was brought by the clock.
    let mut source = Fed::new(options, datagrams(15), u64::MAX);
    let mut all = FlowBatch::new(&RECORD_V1);
    let mut batch = FlowBatch::new(&RECORD_V1);
    while all.len() < 15 {
        assert_eq!(source.read(&mut batch).unwrap(), Reading::GoesOn);
        all.append(&mut batch);
    }
    let mut names: Vec<u16> = all.identities.iter().map(|flow| flow.destination_port).collect();
    names.dedup();
    assert_eq!(names, [443]);
}

#[test]
fn gaps_and_the_drops_of_the_kernel_are_lost() {
    // Two datagrams of 30 records each are missing.
    let mut sent = datagrams(150);
    sent.remove(4);
    sent.remove(4);
    let mut source = Fed::new(NetflowOptions::new(any_port()), sent, 240);
    while source.read(&mut FlowBatch::new(&RECORD_V1)).unwrap() == Reading::GoesOn {}
    assert_eq!(source.counters().lost, 60, "{:?}", source.unused());

    // A buffer that holds a few datagrams, and nobody who takes them out before the last one was sent.
    let options = NetflowOptions {
        receive_buffer: 16 << 10,
        ..NetflowOptions::new(any_port())
    };
    let mut source = open(options);
    let sender = UdpSocket::bind(any_port()).unwrap();
    let junk = vec![0; 1_400];
    for _ in 0..200 {
        sender.send_to(&junk, source.address()).unwrap();
    }
    let mut batch = FlowBatch::new(&RECORD_V1);
    source.read(&mut batch).unwrap();
    // How many were dropped comes with the next datagram that is not.
    while source.counters().lost == 0 {
        sender.send_to(&junk, source.address()).unwrap();
        source.read(&mut batch).unwrap();
    }
    let counters = source.counters();
    assert!(counters.records + counters.lost >= 200, "{counters:?}");
}

#[test]
fn what_cannot_be_opened_is_refused() {
    let taken = UdpSocket::bind(any_port()).unwrap();
    let address = taken.local_addr().unwrap();
    let refusal = |address, schema| {
        Netflow::open(NetflowOptions::new(address), schema)
            .err()
            .unwrap()
            .to_string()
    };
    let in_use = refusal(address, &RECORD_V1);
    assert!(
        in_use.starts_with(&format!("netflow:{address}: cannot listen")),
        "{in_use}"
    );
    let other = refusal(any_port(), &UNSW_NB15);
    assert!(other.contains("record-v1"), "{other}");
}
