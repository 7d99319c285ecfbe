//! A running conversation: its packets, one after another, and its label.

use std::collections::VecDeque;
use std::net::IpAddr;

use crate::datagrams::Exchange;
use crate::hosts::Host;
use crate::label::{Behaviour, FlowLabel};
use crate::random::{MICROSECOND, Random, fork};
use crate::tcp::Connection;
use crate::wire;

#[derive(Debug)]
enum Body {
    Tcp(Connection),
    Udp(Exchange),
    /// Short enough to have been made at once.
    Made,
}

/// A conversation whose packets are made when they are due.
#[derive(Debug)]
pub(crate) struct Conversation {
    body: Body,
    behaviour: Behaviour,
    ends: [(IpAddr, u16); 2],
    protocol: u8,
    random: Random,
    pending: VecDeque<(i64, Vec<u8>)>,
    last_ns: i64,
    /// Position of its label, once it has sent a packet.
    pub(crate) label: Option<usize>,
}

impl Conversation {
    fn new(
        behaviour: Behaviour,
        body: Body,
        ends: [(Host, u16); 2],
        protocol: u8,
        random: &mut Random,
    ) -> Self {
        Self {
            body,
            behaviour,
            ends: ends.map(|(host, port)| (host.address, port)),
            protocol,
            random: fork(random),
            pending: VecDeque::new(),
            last_ns: i64::MIN,
            label: None,
        }
    }

    pub(crate) fn tcp(behaviour: Behaviour, connection: Connection, random: &mut Random) -> Self {
        let ends = connection.ends();
        Self::new(behaviour, Body::Tcp(connection), ends, wire::TCP, random)
    }

    pub(crate) fn udp(behaviour: Behaviour, exchange: Exchange, random: &mut Random) -> Self {
        let ends = exchange.ends();
        Self::new(behaviour, Body::Udp(exchange), ends, wire::UDP, random)
    }

    /// Packets without ports that have been made already; protocol 0 is ARP.
    pub(crate) fn made(
        behaviour: Behaviour,
        hosts: (Host, Host),
        protocol: u8,
        packets: VecDeque<(i64, Vec<u8>)>,
        random: &mut Random,
    ) -> Self {
        let ends = [(hosts.0, 0), (hosts.1, 0)];
        let mut conversation = Self::new(behaviour, Body::Made, ends, protocol, random);
        conversation.pending = packets;
        conversation
    }

    /// The next packet. Times are whole microseconds and never go back.
    pub(crate) fn next_packet(&mut self) -> Option<(i64, Vec<u8>)> {
        if self.pending.is_empty() {
            match &mut self.body {
                Body::Tcp(connection) => connection.advance(&mut self.random, &mut self.pending),
                Body::Udp(exchange) => exchange.advance(&mut self.random, &mut self.pending),
                Body::Made => {}
            }
        }
        let (time, bytes) = self.pending.pop_front()?;
        let whole = time / MICROSECOND * MICROSECOND;
        self.last_ns = whole.max(self.last_ns.saturating_add(MICROSECOND));
        Some((self.last_ns, bytes))
    }

    pub(crate) fn label_at(&self, time_ns: i64) -> FlowLabel {
        let [(source, source_port), (destination, destination_port)] = self.ends;
        FlowLabel {
            source,
            source_port,
            destination,
            destination_port,
            protocol: self.protocol,
            start_ns: time_ns,
            end_ns: time_ns,
            behaviour: self.behaviour.name(),
            attack: self.behaviour.is_attack(),
        }
    }
}
