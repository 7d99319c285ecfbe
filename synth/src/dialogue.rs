//! What two hosts say to each other, before it becomes packets.

use std::collections::VecDeque;

use rand::Rng;

use crate::random::Random;
use crate::tls;

/// The two ends of a conversation; the client sends the first packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    Client,
    Server,
}

impl Side {
    pub(crate) fn index(self) -> usize {
        match self {
            Self::Client => 0,
            Self::Server => 1,
        }
    }
}

/// What is said in one go. Long contents are made when they are sent, not before.
#[derive(Debug, Clone)]
pub(crate) enum Payload {
    /// These bytes.
    Bytes(Vec<u8>),
    /// A head, then that many bytes of readable text.
    Text(Vec<u8>, u32),
    /// A head, then that many bytes that look like compressed data.
    Noise(Vec<u8>, u32),
    /// That many bytes of TLS application records, their headers included.
    Records(u32),
}

impl Payload {
    pub(crate) fn length(&self) -> usize {
        match self {
            Self::Bytes(bytes) => bytes.len(),
            Self::Text(head, body) | Self::Noise(head, body) => head.len() + *body as usize,
            Self::Records(length) => *length as usize,
        }
    }

    /// Appends `length` bytes from `offset` on.
    pub(crate) fn write(&self, offset: usize, length: usize, out: &mut Vec<u8>, random: &mut Random) {
        match self {
            Self::Bytes(bytes) => out.extend_from_slice(&bytes[offset..offset + length]),
            Self::Text(head, _) => {
                let from_head = head.len().saturating_sub(offset).min(length);
                out.extend_from_slice(&head[head.len().min(offset)..][..from_head]);
                let start = (offset + from_head).saturating_sub(head.len()) % PROSE.len();
                out.extend(PROSE.iter().cycle().skip(start).take(length - from_head));
            }
            Self::Noise(head, _) => {
                let from_head = head.len().saturating_sub(offset).min(length);
                out.extend_from_slice(&head[head.len().min(offset)..][..from_head]);
                noise(out, length - from_head, random);
            }
            Self::Records(total) => {
                let start = out.len();
                noise(out, length, random);
                tls::mark_records(&mut out[start..], offset, *total as usize);
            }
        }
    }
}

const PROSE: &[u8] = b"<p>The minutes of the meeting are below; please send corrections by Friday.</p>\n\
    <li><a href=\"/news/archive\">Archive</a></li>\n<td class=\"amount\">1,204.50</td>\n\
    <div class=\"note\">Deliveries between nine and noon, rear entrance only.</div>\n";

/// Appends bytes without a pattern.
pub(crate) fn noise(out: &mut Vec<u8>, length: usize, random: &mut Random) {
    let start = out.len();
    out.resize(start + length, 0);
    random.fill_bytes(&mut out[start..]);
}

/// One side speaks.
#[derive(Debug, Clone)]
pub(crate) struct Turn {
    pub(crate) from: Side,
    /// Time that the side takes before it speaks, nanoseconds.
    pub(crate) wait_ns: i64,
    pub(crate) payload: Payload,
    /// Least gap between two packets of this turn, nanoseconds; 0 for as fast as the line goes.
    pub(crate) pace_ns: i64,
}

/// A dialogue under construction.
#[derive(Debug, Default)]
pub(crate) struct Dialogue {
    pub(crate) turns: VecDeque<Turn>,
}

impl Dialogue {
    pub(crate) fn say(&mut self, from: Side, wait_ns: i64, payload: Payload) -> &mut Self {
        self.turns.push_back(Turn {
            from,
            wait_ns,
            payload,
            pace_ns: 0,
        });
        self
    }

    pub(crate) fn client(&mut self, wait_ns: i64, payload: Payload) -> &mut Self {
        self.say(Side::Client, wait_ns, payload)
    }

    pub(crate) fn server(&mut self, wait_ns: i64, payload: Payload) -> &mut Self {
        self.say(Side::Server, wait_ns, payload)
    }

    pub(crate) fn client_line(&mut self, wait_ns: i64, line: &str) -> &mut Self {
        self.client(wait_ns, text(line))
    }

    pub(crate) fn server_line(&mut self, wait_ns: i64, line: &str) -> &mut Self {
        self.server(wait_ns, text(line))
    }

    /// Packets of the last turn keep at least this distance.
    pub(crate) fn paced(&mut self, pace_ns: i64) -> &mut Self {
        if let Some(turn) = self.turns.back_mut() {
            turn.pace_ns = pace_ns;
        }
        self
    }
}

/// A line of a text protocol with its line break.
pub(crate) fn text(line: &str) -> Payload {
    Payload::Bytes(format!("{line}\r\n").into_bytes())
}
