//! The window against a list of flows that is searched from end to end.
#![allow(clippy::unwrap_used, reason = "a test states its expectations by panicking")]

use std::collections::HashSet;
use std::net::{IpAddr, Ipv4Addr};

use netsage_schema::flow_v1::{ANSWER_NS, WINDOW_NS};
use netsage_windows::{Answer, Counts, Host, Pair, Service, Ticket};
use proptest::prelude::*;

/// Keys as a meter has them.
type Opening = netsage_windows::Opening<IpAddr, u32>;
type Windows = netsage_windows::Windows<IpAddr, u32>;

const MIB: usize = 1 << 20;

fn opening(time_ns: i64, source: u32, destination: u32, port: u16) -> Opening {
    Opening {
        time_ns,
        source: IpAddr::V4(Ipv4Addr::from_bits(source)),
        destination: IpAddr::V4(Ipv4Addr::from_bits(destination)),
        service: u32::from(port),
    }
}

struct Known {
    opening: Opening,
    began_ns: i64,
    answer: Option<Answer>,
    is_gone: bool,
}

/// What the window is defined to be.
struct Slow {
    flows: Vec<Known>,
    now_ns: i64,
    most: usize,
}

impl Slow {
    fn new(most: usize) -> Self {
        Self {
            flows: Vec::new(),
            now_ns: i64::MIN,
            most,
        }
    }

    fn advance(&mut self, time_ns: i64) {
        if self.now_ns.saturating_sub(time_ns) > WINDOW_NS {
            self.flows.iter_mut().for_each(|flow| flow.is_gone = true);
            self.now_ns = time_ns;
        }
        self.now_ns = self.now_ns.max(time_ns);
        for flow in &mut self.flows {
            flow.is_gone |= self.now_ns - flow.began_ns >= WINDOW_NS;
        }
    }

    fn began(&mut self, opening: Opening) -> Counts {
        self.advance(opening.time_ns);
        self.flows.push(Known {
            opening,
            began_ns: self.now_ns,
            answer: None,
            is_gone: false,
        });
        while self.flows.iter().filter(|flow| !flow.is_gone).count() > self.most {
            self.flows.iter_mut().find(|flow| !flow.is_gone).unwrap().is_gone = true;
        }
        self.count(&opening, self.flows.len() - 1)
    }

    fn count(&self, of: &Opening, itself: usize) -> Counts {
        let select = |same: &dyn Fn(&Opening) -> bool| -> Vec<(usize, &Known)> {
            let flows = self.flows.iter().enumerate();
            flows
                .filter(|(_, flow)| !flow.is_gone && same(&flow.opening))
                .collect()
        };
        let number = |flows: &[(usize, &Known)]| u32::try_from(flows.len()).unwrap();
        let failed = |flows: &[(usize, &Known)]| {
            let others = flows.iter().filter(|(index, _)| *index != itself);
            let is_failed = |flow: &Known| match flow.answer {
                Some(answer) => answer == Answer::Refused,
                None => self.now_ns - flow.began_ns >= ANSWER_NS,
            };
            u32::try_from(others.filter(|(_, flow)| is_failed(flow)).count()).unwrap()
        };
        let sources = |flows: &[(usize, &Known)]| distinct(flows, |opening| opening.source);
        let destinations = |flows: &[(usize, &Known)]| distinct(flows, |opening| opening.destination);
        let ports = |flows: &[(usize, &Known)]| distinct(flows, |opening| opening.service);
        let source = select(&|other| other.source == of.source);
        let destination = select(&|other| other.destination == of.destination);
        let service = select(&|other| other.service == of.service);
        let pair = select(&|other| (other.source, other.destination) == (of.source, of.destination));
        Counts {
            source: Host {
                flows: number(&source),
                peers: destinations(&source),
                ports: ports(&source),
                failed: failed(&source),
            },
            destination: Host {
                flows: number(&destination),
                peers: sources(&destination),
                ports: ports(&destination),
                failed: failed(&destination),
            },
            service: Service {
                flows: number(&service),
                sources: sources(&service),
                destinations: destinations(&service),
                failed: failed(&service),
            },
            pair: Pair {
                flows: number(&pair),
                ports: ports(&pair),
                failed: failed(&pair),
            },
            includes_itself: !self.flows[itself].is_gone,
        }
    }
}

fn distinct<T: Eq + std::hash::Hash>(flows: &[(usize, &Known)], of: impl Fn(&Opening) -> T) -> u32 {
    let different: HashSet<_> = flows.iter().map(|(_, flow)| of(&flow.opening)).collect();
    u32::try_from(different.len()).unwrap()
}

#[derive(Debug, Clone)]
enum Step {
    Begin {
        wait_ns: i64,
        source: u32,
        destination: u32,
        port: u16,
    },
    GoOn {
        flow: usize,
        wait_ns: i64,
    },
    Turn {
        flow: usize,
        wait_ns: i64,
        port: u16,
    },
    Answer {
        flow: usize,
        refused: bool,
    },
}

fn step() -> impl Strategy<Value = Step> {
    let wait = || {
        prop_oneof![
            10 => 0..2_000_000_000i64,
            2 => prop_oneof![Just(ANSWER_NS), Just(WINDOW_NS), Just(-WINDOW_NS)],
            1 => -5_000_000_000..70_000_000_000i64,
            1 => -100_000_000_000..0i64,
        ]
    };
    prop_oneof![
        6 => (wait(), 0..4u32, 2..6u32, 0..3u16).prop_map(|(wait_ns, source, destination, port)| Step::Begin {
            wait_ns,
            source,
            destination,
            port,
        }),
        1 => (0..64usize, wait()).prop_map(|(flow, wait_ns)| Step::GoOn { flow, wait_ns }),
        1 => (0..64usize, wait(), 0..3u16).prop_map(|(flow, wait_ns, port)| Step::Turn { flow, wait_ns, port }),
        4 => (0..64usize, any::<bool>()).prop_map(|(flow, refused)| Step::Answer { flow, refused }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]
    #[test]
    fn counts_are_what_a_search_finds(
        steps in proptest::collection::vec(step(), 1..120),
        most in prop_oneof![1..12usize, Just(1000)],
    ) {
        let mut windows = Windows::new(most * Windows::MOST_BYTES_PER_FLOW);
        let mut slow = Slow::new(most);
        let mut tickets: Vec<Ticket> = Vec::new();
        let mut time_ns = 1_000_000_000_000;
        for step in steps {
            match step {
                Step::Begin { wait_ns, source, destination, port } => {
                    time_ns += wait_ns;
                    let opening = opening(time_ns, source, destination, port);
                    let (ticket, counts) = windows.began(&opening);
                    tickets.push(ticket);
                    prop_assert_eq!(counts, slow.began(opening));
                }
                Step::GoOn { flow, wait_ns } if flow < tickets.len() => {
                    time_ns += wait_ns;
                    let opening = Opening { time_ns, ..slow.flows[flow].opening };
                    slow.advance(time_ns);
                    prop_assert_eq!(windows.went_on(tickets[flow], &opening), slow.count(&opening, flow));
                }
                Step::Answer { flow, refused } if flow < tickets.len() => {
                    let answer = if refused { Answer::Refused } else { Answer::Given };
                    windows.answered(tickets[flow], answer);
                    slow.flows[flow].answer = Some(answer);
                }
                Step::Turn { flow, wait_ns, port } if flow < tickets.len() => {
                    time_ns += wait_ns;
                    let before = slow.flows[flow].opening;
                    let opening = Opening {
                        time_ns,
                        source: before.destination,
                        destination: before.source,
                        service: u32::from(port),
                    };
                    slow.advance(time_ns);
                    slow.flows[flow].opening = opening;
                    slow.flows[flow].answer = Some(Answer::Given);
                    prop_assert_eq!(windows.turned(tickets[flow], &opening), slow.count(&opening, flow));
                }
                Step::GoOn { .. } | Step::Turn { .. } | Step::Answer { .. } => {}
            }
        }
    }
}

#[test]
fn a_scan_of_500_000_flows_is_counted_within_the_memory() {
    let memory = 16 * MIB;
    let mut windows = Windows::new(memory);
    let mut most = 0;
    for index in 0..500_000_u32 {
        let (_, counts) = windows.began(&opening(
            i64::from(index) * 1_000,
            1,
            2 + index / 1000,
            (index % 1000) as u16,
        ));
        most = most.max(counts.source.flows);
        assert!(counts.pair.flows <= 1000);
        assert!(
            windows.memory() <= memory,
            "{} bytes at flow {index}",
            windows.memory()
        );
    }
    assert_eq!(u64::from(most) + windows.left_early(), 500_000);
    assert!(
        most >= 40_000,
        "{most} is less than the schema promises for a quarter of 64 MiB"
    );
}

#[test]
fn flows_that_share_nothing_stay_within_the_memory() {
    let memory = MIB;
    let mut windows = Windows::new(memory);
    for index in 0..30_000_u32 {
        let address = |side: u32| IpAddr::V6((u128::from(side) << 64 | u128::from(index)).into());
        windows.began(&Opening {
            time_ns: i64::from(index) * 1_000_000,
            source: address(1),
            destination: address(2),
            service: index,
        });
        assert!(
            windows.memory() <= memory,
            "{} bytes at flow {index}",
            windows.memory()
        );
    }
    assert!(windows.left_early() > 0);
    // All of them leave by their age, and nothing stays behind.
    let (_, counts) = windows.began(&opening(i64::MAX, 1, 2, 3));
    assert_eq!((counts.source.flows, counts.service.flows), (1, 1));
}

#[test]
fn times_at_the_ends_of_the_scale() {
    let mut windows = Windows::new(MIB);
    for time_ns in [i64::MIN, i64::MAX, i64::MIN, 0, i64::MAX, i64::MAX - WINDOW_NS] {
        let (_, counts) = windows.began(&opening(time_ns, 1, 2, 3));
        let expected = if time_ns == i64::MAX - WINDOW_NS { 2 } else { 1 };
        assert_eq!(counts.source.flows, expected, "at {time_ns}");
    }
}
