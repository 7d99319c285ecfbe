//! Tests of the generator through its public interface.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::net::IpAddr;

use etherparse::{NetSlice, SlicedPacket, TransportSlice};
use netsage_synth::{Behaviour, FlowLabel, Generator, SynthConfig, SynthPacket, labels_csv, pcap};
use proptest::prelude::*;

fn small(seed: u64) -> SynthConfig {
    SynthConfig {
        flows: 2_000,
        seed,
        duration_ns: 300 * 1_000_000_000,
        ..SynthConfig::default()
    }
}

fn generate(config: SynthConfig) -> (Vec<SynthPacket>, Vec<FlowLabel>) {
    let mut generator = Generator::new(config);
    let packets = generator.by_ref().collect();
    (packets, generator.labels().to_vec())
}

#[test]
fn the_same_configuration_gives_the_same_packets() {
    assert!(generate(small(5)) == generate(small(5)));
    assert!(generate(small(5)).0 != generate(small(6)).0);
}

#[test]
fn the_default_has_what_it_promises() {
    let config = SynthConfig::default();
    let end = config.start_ns + config.duration_ns;
    let mut generator = Generator::new(config.clone());
    let mut last = config.start_ns;
    for packet in generator.by_ref() {
        assert!(packet.time_ns >= last && packet.time_ns < end && packet.time_ns % 1_000 == 0);
        last = packet.time_ns;
    }
    assert!(
        end - last < 30 * 1_000_000_000,
        "the capture is as long as it was asked for"
    );
    let labels = generator.labels();
    assert!(labels.len() >= config.flows as usize, "{} flows", labels.len());
    let attacks = labels.iter().filter(|label| label.attack).count();
    let share = attacks as f64 / labels.len() as f64;
    assert!((0.15..0.25).contains(&share), "{share} of the flows are attacks");
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for label in labels {
        *counts.entry(label.behaviour).or_default() += 1;
    }
    for behaviour in Behaviour::ALL {
        assert!(
            counts.contains_key(behaviour.name()),
            "no {} in {counts:?}",
            behaviour.name()
        );
    }
}

#[test]
fn small_captures_have_every_behaviour() {
    let flows = SynthConfig { flows: 0, ..small(3) };
    let (_, labels) = generate(flows);
    let found: HashSet<&str> = labels.iter().map(|label| label.behaviour).collect();
    assert_eq!(found.len(), Behaviour::ALL.len(), "{found:?}");
    assert!(labels.len() >= 100);
}

#[test]
fn clean_traffic_has_no_attack() {
    let (_, labels) = generate(SynthConfig {
        attacks: false,
        ..small(2)
    });
    assert!(labels.len() >= 2_000);
    assert!(labels.iter().all(|label| !label.attack));
}

#[test]
fn a_clean_beginning_has_no_attack_and_what_follows_is_another_office() {
    let with = |changes| {
        let config = SynthConfig {
            clean_share: 0.5,
            changes,
            ..small(4)
        };
        let half = config.start_ns + config.duration_ns / 2;
        let (_, labels) = generate(config);
        let (first, second): (Vec<FlowLabel>, Vec<FlowLabel>) =
            labels.into_iter().partition(|label| label.start_ns < half);
        assert!(first.iter().all(|label| !label.attack));
        let attacks: HashSet<&str> = second
            .iter()
            .filter(|label| label.attack)
            .map(|l| l.behaviour)
            .collect();
        assert_eq!(attacks.len(), 6);
        let sites = |labels: &[FlowLabel]| -> HashSet<IpAddr> {
            let web = labels.iter().filter(|label| label.behaviour == "web");
            web.map(|label| label.destination).collect()
        };
        let (before, after) = (sites(&first), sites(&second));
        after.difference(&before).count() as f64 / after.len() as f64
    };
    let (new, new_when_changed) = (with(false), with(true));
    assert!(
        new_when_changed > new + 0.1,
        "{new} and {new_when_changed} of the sites are new"
    );
}

/// The 5-tuple of a packet with the lower end first; addresses only for what has no ports.
type Conversation = (u8, (IpAddr, u16), (IpAddr, u16));

fn conversation(protocol: u8, source: (IpAddr, u16), destination: (IpAddr, u16)) -> Conversation {
    (protocol, source.min(destination), source.max(destination))
}

fn of_label(label: &FlowLabel) -> Conversation {
    conversation(
        label.protocol,
        (label.source, label.source_port),
        (label.destination, label.destination_port),
    )
}

#[test]
fn packets_are_whole_and_belong_to_exactly_one_label() {
    let (packets, labels) = generate(small(1));
    let mut by_ends: HashMap<Conversation, Vec<&FlowLabel>> = HashMap::new();
    for label in &labels {
        by_ends.entry(of_label(label)).or_default().push(label);
    }
    for packet in &packets {
        let sliced = SlicedPacket::from_ethernet(&packet.bytes).unwrap();
        let Some(net) = &sliced.net else {
            panic!("neither IP nor ARP")
        };
        let (source, destination): (IpAddr, IpAddr) = match net {
            NetSlice::Ipv4(ip) => {
                let header = ip.header().to_header();
                assert_eq!(header.header_checksum, header.calc_header_checksum());
                assert_eq!(usize::from(header.total_len), packet.bytes.len() - 14);
                (header.source.into(), header.destination.into())
            }
            NetSlice::Ipv6(ip) => {
                assert_eq!(usize::from(ip.header().payload_length()), packet.bytes.len() - 54);
                (
                    ip.header().source_addr().into(),
                    ip.header().destination_addr().into(),
                )
            }
            NetSlice::Arp(_) => continue,
        };
        let (protocol, ports) = match sliced.transport.as_ref().unwrap() {
            TransportSlice::Tcp(tcp) => {
                let header = tcp.to_header();
                let expected = match (source, destination) {
                    (IpAddr::V4(a), IpAddr::V4(b)) => header
                        .calc_checksum_ipv4_raw(a.octets(), b.octets(), tcp.payload())
                        .unwrap(),
                    (IpAddr::V6(a), IpAddr::V6(b)) => header
                        .calc_checksum_ipv6_raw(a.octets(), b.octets(), tcp.payload())
                        .unwrap(),
                    _ => panic!("mixed versions"),
                };
                assert_eq!(header.checksum, expected);
                (6, (tcp.source_port(), tcp.destination_port()))
            }
            TransportSlice::Udp(udp) => {
                let header = udp.to_header();
                let expected = match (source, destination) {
                    (IpAddr::V4(a), IpAddr::V4(b)) => header
                        .calc_checksum_ipv4_raw(a.octets(), b.octets(), udp.payload())
                        .unwrap(),
                    (IpAddr::V6(a), IpAddr::V6(b)) => header
                        .calc_checksum_ipv6_raw(a.octets(), b.octets(), udp.payload())
                        .unwrap(),
                    _ => panic!("mixed versions"),
                };
                assert_eq!(header.checksum, expected);
                (17, (udp.source_port(), udp.destination_port()))
            }
            TransportSlice::Icmpv4(icmp) => {
                let header = icmp.header();
                assert_eq!(icmp.checksum(), header.icmp_type.calc_checksum(icmp.payload()));
                (1, (0, 0))
            }
            TransportSlice::Icmpv6(_) | TransportSlice::Igmp(_) => panic!("not generated"),
        };
        let key = conversation(protocol, (source, ports.0), (destination, ports.1));
        let owners = by_ends[&key]
            .iter()
            .filter(|label| (label.start_ns..=label.end_ns).contains(&packet.time_ns));
        let owners = owners.count();
        // Pings between the same two hosts may overlap: they have no ports.
        assert!(
            owners == 1 || (protocol == 1 && owners > 0),
            "{owners} labels for {key:?}"
        );
    }
}

#[test]
fn the_capture_file_holds_every_packet() {
    let (packets, _) = generate(small(4));
    let mut file = Vec::new();
    let mut last = 0.0;
    let written = pcap::write(&mut Generator::new(small(4)), &mut file, |share| {
        assert!((last..=1.0).contains(&share));
        last = share;
    })
    .unwrap();
    assert_eq!(
        (written.packets, written.bytes),
        (packets.len() as u64, file.len() as u64)
    );
    assert_eq!(last, 1.0);
    let mut rest = &file[24..];
    for packet in packets {
        let word = |at: usize| u32::from_le_bytes(rest[at..at + 4].try_into().unwrap());
        let time = i64::from(word(0)) * 1_000_000_000 + i64::from(word(4)) * 1_000;
        let length = word(8) as usize;
        assert_eq!(
            (time, &rest[16..16 + length]),
            (packet.time_ns, &packet.bytes[..])
        );
        rest = &rest[16 + length..];
    }
    assert!(rest.is_empty());
}

#[test]
fn labels_are_read_back() {
    let (_, labels) = generate(small(7));
    let mut text = Vec::new();
    labels_csv::write(&labels, &mut text).unwrap();
    assert_eq!(labels_csv::read(text.as_slice()).unwrap(), labels);
}

#[test]
fn wrong_labels_are_refused() {
    let header = "source,source_port,destination,destination_port,protocol,start_ns,end_ns,behaviour,attack";
    let check = |text: String, expected: &str| {
        assert_eq!(
            labels_csv::read(text.as_bytes()).unwrap_err().to_string(),
            expected,
            "{text}"
        );
    };
    check(
        String::new(),
        &format!("line 1: this is not a label file; its header must be `{header}`"),
    );
    check(format!("{header}\n1,2"), "line 2: 9 fields are needed");
    check(
        format!("{header}\n::1,70000,::2,1,6,0,0,web,0"),
        "line 2, column `source_port`: `70000` cannot be read",
    );
    check(
        format!("{header}\n::1,7,::2,1,6,0,0,magic,0"),
        "line 2, column `behaviour`: `magic` cannot be read",
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]
    #[test]
    fn any_configuration_is_generated(
        flows in 0..800u32,
        seed in any::<u64>(),
        start in any::<i64>(),
        duration in -1..200_000_000_000i64,
        attacks in any::<bool>(),
        attack_share in prop_oneof![Just(f64::NAN), -1.0..2.0],
        clean_share in prop_oneof![Just(f64::NAN), -1.0..2.0],
        changes in any::<bool>(),
    ) {
        let config = SynthConfig {
            flows,
            seed,
            start_ns: start,
            duration_ns: duration,
            attacks,
            attack_share,
            clean_share,
            changes,
        };
        let (packets, labels) = generate(config);
        prop_assert!(labels.len() >= flows as usize);
        prop_assert!(packets.is_sorted_by_key(|packet| packet.time_ns));
    }
}
