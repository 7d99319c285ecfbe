//! Data frames of 802.11.

use super::frame::Frame;
use super::link::{Layer, Next};
use crate::stats::NotMetered;

/// Frame control, duration, three addresses, sequence.
const HEADER: usize = 24;
const ADDRESS: usize = 6;
const QUALITY: usize = 2;
const HIGH_THROUGHPUT: usize = 4;

const DATA: u8 = 2;
/// Bits of the subtype of a data frame.
const NO_DATA: u8 = 0b0100;
const HAS_QUALITY: u8 = 0b1000;
/// Bits of the flags.
const TO_DISTRIBUTION: u8 = 0x01;
const FROM_DISTRIBUTION: u8 = 0x02;
const PROTECTED: u8 = 0x40;
const ORDER: u8 = 0x80;
/// In the quality field: several packets in one frame.
const AGGREGATE: u8 = 0x80;

/// `alignment`: what the header is padded to a multiple of, 0 for no padding.
pub(super) fn parse(frame: Frame<'_>, alignment: usize) -> Next<'_> {
    let [control, flags, ..] = *frame.bytes else {
        return Err(NotMetered::LinkHeader);
    };
    let (version, kind, subtype) = (control & 3, control >> 2 & 3, control >> 4);
    if version != 0 {
        return Err(NotMetered::LinkHeader);
    }
    if kind != DATA || subtype & NO_DATA != 0 {
        return Err(NotMetered::WirelessNoData);
    }
    if flags & PROTECTED != 0 {
        return Err(NotMetered::WirelessEncrypted);
    }
    let mut header = HEADER;
    if flags & TO_DISTRIBUTION != 0 && flags & FROM_DISTRIBUTION != 0 {
        header += ADDRESS;
    }
    if subtype & HAS_QUALITY != 0 {
        let quality = frame.bytes.get(header).ok_or(NotMetered::LinkHeader)?;
        if quality & AGGREGATE != 0 {
            return Err(NotMetered::WirelessAggregate);
        }
        header += QUALITY;
        if flags & ORDER != 0 {
            header += HIGH_THROUGHPUT;
        }
    }
    if alignment > 0 {
        header = header.next_multiple_of(alignment);
    }
    Ok((Layer::Llc, frame.skip(header).ok_or(NotMetered::LinkHeader)?))
}
