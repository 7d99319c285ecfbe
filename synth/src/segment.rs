//! One TCP segment: from what its sender knows to bytes.

use rand::RngExt;

use crate::dialogue::Payload;
use crate::hosts::Host;
use crate::random::{MILLISECOND, Random};
use crate::wire::{Packet, TCP, TCP_CHECKSUM};

pub(crate) const FIN: u8 = 1;
pub(crate) const SYN: u8 = 2;
pub(crate) const RST: u8 = 4;
pub(crate) const PSH: u8 = 8;
pub(crate) const ACK: u8 = 16;

/// What one side of a connection is and knows.
#[derive(Debug, Clone, Copy)]
pub(crate) struct End {
    pub(crate) host: Host,
    pub(crate) port: u16,
    /// Next sequence number that it sends.
    pub(crate) sequence: u32,
    /// Next sequence number that it waits for.
    pub(crate) expected: u32,
    pub(crate) clock_offset: u32,
    pub(crate) last_timestamp: u32,
    pub(crate) identification: u16,
}

/// What a segment says.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Segment<'a> {
    pub(crate) time_ns: i64,
    pub(crate) flags: u8,
    pub(crate) sequence: u32,
    /// A payload, and offset and length of the part that is sent.
    pub(crate) data: Option<(&'a Payload, usize, usize)>,
}

impl Segment<'_> {
    /// The frame that the side `from` sends; `timestamps` says whether both sides agreed on that option.
    pub(crate) fn write(
        &self,
        ends: &mut [End; 2],
        from: usize,
        timestamps: bool,
        random: &mut Random,
    ) -> Vec<u8> {
        let &Self {
            time_ns,
            flags,
            sequence,
            data,
        } = self;
        let to = 1 - from;
        let other = ends[to];
        let end = &mut ends[from];
        end.identification = end.identification.wrapping_add(1);
        let stack = end.host.stack;
        let opens = flags & SYN != 0;
        let mut options = [1u8; 20];
        let mut options_length = 0;
        let mut option = |bytes: &[u8]| {
            options[options_length..options_length + bytes.len()].copy_from_slice(bytes);
            options_length += bytes.len();
        };
        if opens {
            let [high, low] = stack.mss.to_be_bytes();
            option(&[2, 4, high, low, 4, 2]);
        }
        let stamped = flags & RST == 0 && (timestamps || (opens && from == 0 && stack.timestamps));
        if stamped {
            end.last_timestamp = end.clock_offset.wrapping_add((time_ns / MILLISECOND) as u32);
            if !opens {
                option(&[1, 1]);
            }
            option(&[8, 10]);
            option(&end.last_timestamp.to_be_bytes());
            option(&(if flags & ACK == 0 { 0 } else { other.last_timestamp }).to_be_bytes());
        }
        if opens {
            if !stamped {
                option(&[1, 1]);
            }
            option(&[1, 3, 3, stack.scale]);
        }
        let window = match flags {
            _ if opens => stack.first_window,
            _ if flags & RST != 0 => 0,
            _ => stack.window - random.random_range(0..stack.window / 16),
        };
        let length = data.map_or(0, |(_, _, length)| length);
        let route = end.host.route_to(&other.host, end.identification);
        let mut packet = Packet::new(&route, TCP, 20 + options_length + length);
        let bytes = &mut packet.bytes;
        bytes.extend_from_slice(&end.port.to_be_bytes());
        bytes.extend_from_slice(&other.port.to_be_bytes());
        bytes.extend_from_slice(&sequence.to_be_bytes());
        let expected = if flags & ACK == 0 { 0 } else { end.expected };
        bytes.extend_from_slice(&expected.to_be_bytes());
        bytes.extend_from_slice(&[(5 + options_length as u8 / 4) << 4, flags]);
        bytes.extend_from_slice(&window.to_be_bytes());
        bytes.extend_from_slice(&[0; 4]);
        bytes.extend_from_slice(&options[..options_length]);
        if let Some((payload, offset, length)) = data {
            payload.write(offset, length, bytes, random);
        }
        packet.finish(TCP_CHECKSUM)
    }
}
