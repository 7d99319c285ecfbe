//! Exchanges without connections: UDP dialogues, pings and address resolution.

use std::collections::VecDeque;
use std::net::IpAddr;

use rand::RngExt;

use crate::dialogue::{Dialogue, Turn};
use crate::hosts::Host;
use crate::random::{MICROSECOND, Random, SECOND, line_time, waiting};
use crate::wire::{ICMP, ICMP_CHECKSUM, Packet, UDP, UDP_CHECKSUM, arp, udp_header};

/// Longest content of a datagram; longer turns take several.
const LONGEST_DATAGRAM: usize = 1_250;

/// A UDP dialogue.
#[derive(Debug)]
pub(crate) struct Exchange {
    ends: [(Host, u16); 2],
    turns: VecDeque<Turn>,
    clock_ns: i64,
    last_speaker: usize,
    identification: u16,
}

impl Exchange {
    pub(crate) fn new(start_ns: i64, client: (Host, u16), server: (Host, u16), dialogue: Dialogue) -> Self {
        Self {
            ends: [client, server],
            turns: dialogue.turns,
            clock_ns: start_ns,
            last_speaker: 0,
            identification: client.1.rotate_left(5),
        }
    }

    pub(crate) fn ends(&self) -> [(Host, u16); 2] {
        self.ends
    }

    /// Makes the packets of the next turn; none when all is said.
    pub(crate) fn advance(&mut self, random: &mut Random, out: &mut VecDeque<(i64, Vec<u8>)>) {
        let Some(turn) = self.turns.pop_front() else {
            return;
        };
        let from = turn.from.index();
        let ((sender, source_port), (receiver, destination_port)) = (self.ends[from], self.ends[1 - from]);
        let travel = if self.last_speaker == from {
            0
        } else {
            sender.distance_ns
        };
        let mut time = self.clock_ns + travel + turn.wait_ns;
        let total = turn.payload.length();
        let mut offset = 0;
        loop {
            let length = LONGEST_DATAGRAM.min(total - offset);
            self.identification = self.identification.wrapping_add(1);
            let mut packet = Packet::new(&sender.route_to(&receiver, self.identification), UDP, 8 + length);
            udp_header(&mut packet.bytes, source_port, destination_port);
            turn.payload.write(offset, length, &mut packet.bytes, random);
            out.push_back((time, packet.finish(UDP_CHECKSUM)));
            self.clock_ns = time;
            offset += length;
            if offset >= total {
                break;
            }
            time += (line_time(length) + waiting(random, 20 * MICROSECOND)).max(turn.pace_ns);
        }
        self.last_speaker = from;
    }
}

/// Echo requests, one a second, and their replies.
pub(crate) fn ping(
    start_ns: i64,
    client: &Host,
    server: &Host,
    count: u32,
    answered: bool,
    random: &mut Random,
) -> VecDeque<(i64, Vec<u8>)> {
    let identifier: u16 = random.random();
    let mut out = VecDeque::new();
    for number in 0..count {
        let time = start_ns + i64::from(number) * (SECOND + waiting(random, 300 * MICROSECOND) / 10);
        let message = |kind: u8, route| {
            let mut packet = Packet::new(&route, ICMP, 64);
            packet.bytes.extend_from_slice(&[kind, 0, 0, 0]);
            packet.bytes.extend_from_slice(&identifier.to_be_bytes());
            packet.bytes.extend_from_slice(&(number as u16 + 1).to_be_bytes());
            packet.bytes.extend(0x10..0x48u8);
            packet.finish(ICMP_CHECKSUM)
        };
        let request = message(8, client.route_to(server, identifier ^ number as u16));
        let reply = message(0, server.route_to(client, identifier ^ number as u16));
        out.push_back((time, request));
        if answered {
            out.push_back((
                time + server.distance_ns + waiting(random, 80 * MICROSECOND),
                reply,
            ));
        }
    }
    out
}

/// A question for the hardware address of a host, and its answer.
pub(crate) fn resolve(
    start_ns: i64,
    asker: &Host,
    target: &Host,
    answered: bool,
    random: &mut Random,
) -> VecDeque<(i64, Vec<u8>)> {
    let (IpAddr::V4(asker4), IpAddr::V4(target4)) = (asker.address, target.address) else {
        return VecDeque::new();
    };
    let mut out = VecDeque::new();
    out.push_back((start_ns, arp(1, (asker.mac, asker4), (target.mac, target4))));
    if answered {
        let time = start_ns + target.distance_ns + waiting(random, 60 * MICROSECOND);
        out.push_back((time, arp(2, (target.mac, target4), (asker.mac, asker4))));
    }
    out
}
