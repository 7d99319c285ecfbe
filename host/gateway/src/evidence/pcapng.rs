//! Writes pcapng (draft-ietf-opsawg-pcapng): one section, an interface for each link type, times in nanoseconds.

use netsage_capture::{LinkType, Packet};

const SECTION_HEADER: u32 = 0x0a0d_0d0a;
const INTERFACE_DESCRIPTION: u32 = 1;
const ENHANCED_PACKET: u32 = 6;
const BYTE_ORDER_MAGIC: u32 = 0x1a2b_3c4d;
/// Option `if_tsresol`, and its value for 10^-9 s.
const TIME_RESOLUTION: u16 = 9;
const NANOSECONDS: u8 = 9;

/// Encodes packets, one after the other.
#[derive(Debug, Default)]
pub(super) struct PcapNgWriter {
    /// Link types by interface number.
    links: Vec<LinkType>,
    begun: bool,
}

impl PcapNgWriter {
    /// Appends a packet, and before it whatever the file must have said by then.
    pub(super) fn packet(&mut self, packet: &Packet<'_>, out: &mut Vec<u8>) {
        if !self.begun {
            self.begun = true;
            block(out, SECTION_HEADER, |body| {
                body.extend_from_slice(&BYTE_ORDER_MAGIC.to_le_bytes());
                body.extend_from_slice(&1_u16.to_le_bytes());
                body.extend_from_slice(&0_u16.to_le_bytes());
                // The length of the section is not known while it is written.
                body.extend_from_slice(&u64::MAX.to_le_bytes());
            });
        }
        let interface = match self.links.iter().position(|link| *link == packet.link) {
            Some(known) => known,
            None => {
                self.links.push(packet.link);
                block(out, INTERFACE_DESCRIPTION, |body| {
                    body.extend_from_slice(&packet.link.number().to_le_bytes());
                    body.extend_from_slice(&0_u16.to_le_bytes());
                    // No limit to the bytes captured.
                    body.extend_from_slice(&0_u32.to_le_bytes());
                    body.extend_from_slice(&TIME_RESOLUTION.to_le_bytes());
                    body.extend_from_slice(&1_u16.to_le_bytes());
                    body.extend_from_slice(&[NANOSECONDS, 0, 0, 0]);
                    // The end of the options.
                    body.extend_from_slice(&0_u32.to_le_bytes());
                });
                self.links.len() - 1
            }
        };
        // There are 65,536 link types at most, no packet of the ring has 4 GiB, and a time before 1970 has no place.
        let interface = u32::try_from(interface).unwrap_or(u32::MAX);
        let captured = u32::try_from(packet.bytes.len()).unwrap_or(u32::MAX);
        let time_ns = u64::try_from(packet.time_ns).unwrap_or(0);
        block(out, ENHANCED_PACKET, |body| {
            body.extend_from_slice(&interface.to_le_bytes());
            body.extend_from_slice(&((time_ns >> 32) as u32).to_le_bytes());
            body.extend_from_slice(&(time_ns as u32).to_le_bytes());
            body.extend_from_slice(&captured.to_le_bytes());
            body.extend_from_slice(&packet.wire_length.max(captured).to_le_bytes());
            body.extend_from_slice(packet.bytes);
        });
    }
}

/// Appends a block: type, length, body up to a multiple of 4, length.
fn block(out: &mut Vec<u8>, kind: u32, fill: impl FnOnce(&mut Vec<u8>)) {
    let start = out.len();
    out.extend_from_slice(&kind.to_le_bytes());
    out.extend_from_slice(&[0; 4]);
    fill(out);
    out.resize(start + (out.len() - start).next_multiple_of(4), 0);
    let length = u32::try_from(out.len() - start + 4)
        .unwrap_or(u32::MAX)
        .to_le_bytes();
    out[start + 4..start + 8].copy_from_slice(&length);
    out.extend_from_slice(&length);
}

#[cfg(test)]
mod tests {
    use netsage_capture::file::CaptureReader;

    use super::*;

    #[test]
    fn what_is_written_is_read_back() {
        let packets = [
            (
                LinkType::Ethernet,
                1_767_603_600_123_456_789,
                60,
                &[1_u8, 2, 3][..],
            ),
            (LinkType::RawIp, 1, 20, &[4; 20][..]),
            (LinkType::Ethernet, i64::MAX, 1, &[5][..]),
            (LinkType::Other(147), 0, 0, &[][..]),
        ]
        .map(|(link, time_ns, wire_length, bytes)| Packet {
            link,
            time_ns,
            wire_length,
            bytes,
        });
        let (mut writer, mut file) = (PcapNgWriter::default(), Vec::new());
        for packet in &packets {
            writer.packet(packet, &mut file);
        }
        let mut reader = CaptureReader::new(file.as_slice()).unwrap();
        for packet in &packets {
            assert_eq!(reader.next_packet().unwrap().as_ref(), Some(packet));
        }
        assert!(reader.next_packet().unwrap().is_none());
    }
}
