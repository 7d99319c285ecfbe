//! TLS as far as it is readable: the two hellos and the headers of records.

use rand::RngExt;

use crate::dialogue::{Dialogue, Payload, noise};
use crate::random::{MILLISECOND, Random, delay, size};

/// Longest record: 16 KiB of content, the content type and the authentication tag.
const LONGEST_RECORD: usize = 16_384 + 17;

/// Writes the headers of application records over `bytes`, which stand at `offset` of a stream of `total`
/// bytes.
pub(crate) fn mark_records(bytes: &mut [u8], offset: usize, total: usize) {
    let stride = LONGEST_RECORD + 5;
    let mut record = offset / stride * stride;
    while record < offset + bytes.len() {
        let content = (total - record).saturating_sub(5).min(LONGEST_RECORD);
        let [high, low] = (content as u16).to_be_bytes();
        for (place, value) in [0x17, 3, 3, high, low].into_iter().enumerate() {
            if let Some(byte) = (record + place)
                .checked_sub(offset)
                .and_then(|at| bytes.get_mut(at))
            {
                *byte = value;
            }
        }
        record += stride;
    }
}

/// The handshake of TLS 1.3 as a client and a server make it, up to the first application data.
pub(crate) fn handshake(dialogue: &mut Dialogue, name: &str, random: &mut Random) {
    let think = delay(random, MILLISECOND, 0.6);
    dialogue.client(
        delay(random, MILLISECOND / 4, 0.5),
        Payload::Bytes(client_hello(name, random)),
    );
    // The certificates come encrypted behind the hello.
    let certificates = size(random, 2_300.0, 0.25, 900, 5_000);
    let mut hello = server_hello(random);
    record(&mut hello, 0x17, certificates as usize, random);
    dialogue.server(think, Payload::Bytes(hello));
    let mut finished = vec![0x14, 3, 3, 0, 1, 1];
    record(&mut finished, 0x17, 53, random);
    dialogue.client(delay(random, MILLISECOND, 0.5), Payload::Bytes(finished));
}

fn record(out: &mut Vec<u8>, kind: u8, length: usize, random: &mut Random) {
    out.extend_from_slice(&[kind, 3, 3]);
    out.extend_from_slice(&(length as u16).to_be_bytes());
    noise(out, length, random);
}

/// Bytes behind their own length, which takes `width` bytes.
fn counted(out: &mut Vec<u8>, width: usize, write: impl FnOnce(&mut Vec<u8>)) {
    let place = out.len();
    out.resize(place + width, 0);
    write(out);
    let length = (out.len() - place - width) as u32;
    out[place..place + width].copy_from_slice(&length.to_be_bytes()[4 - width..]);
}

fn extension(out: &mut Vec<u8>, kind: u16, write: impl FnOnce(&mut Vec<u8>)) {
    out.extend_from_slice(&kind.to_be_bytes());
    counted(out, 2, write);
}

fn client_hello(name: &str, random: &mut Random) -> Vec<u8> {
    let mut out = vec![0x16, 3, 1];
    counted(&mut out, 2, |out| {
        out.push(1);
        counted(out, 3, |out| {
            out.extend_from_slice(&[3, 3]);
            noise(out, 32, random);
            counted(out, 1, |out| noise(out, 32, random));
            counted(out, 2, |out| {
                for suite in [
                    0x1301u16, 0x1303, 0x1302, 0xc02b, 0xc02f, 0xcca9, 0xcca8, 0xc02c, 0xc030,
                ] {
                    out.extend_from_slice(&suite.to_be_bytes());
                }
            });
            out.extend_from_slice(&[1, 0]);
            counted(out, 2, |out| {
                extension(out, 0, |out| {
                    counted(out, 2, |out| {
                        out.push(0);
                        counted(out, 2, |out| out.extend_from_slice(name.as_bytes()));
                    });
                });
                extension(out, 10, |out| out.extend_from_slice(&[0, 4, 0, 0x1d, 0, 0x17]));
                extension(out, 13, |out| out.extend_from_slice(&[0, 6, 4, 3, 8, 4, 4, 1]));
                extension(out, 16, |out| out.extend_from_slice(b"\0\x0c\x02h2\x08http/1.1"));
                extension(out, 43, |out| out.extend_from_slice(&[4, 3, 4, 3, 3]));
                extension(out, 51, |out| {
                    counted(out, 2, |out| {
                        out.extend_from_slice(&[0, 0x1d, 0, 32]);
                        noise(out, 32, random);
                    });
                });
                // Browsers pad their hello; how much depends on the rest of it.
                let padding = random.random_range(60..220);
                extension(out, 21, |out| out.resize(out.len() + padding, 0));
            });
        });
    });
    out
}

fn server_hello(random: &mut Random) -> Vec<u8> {
    let mut out = vec![0x16, 3, 3];
    counted(&mut out, 2, |out| {
        out.push(2);
        counted(out, 3, |out| {
            out.extend_from_slice(&[3, 3]);
            noise(out, 32, random);
            counted(out, 1, |out| noise(out, 32, random));
            out.extend_from_slice(&[0x13, 0x01, 0]);
            counted(out, 2, |out| {
                extension(out, 43, |out| out.extend_from_slice(&[3, 4]));
                extension(out, 51, |out| {
                    out.extend_from_slice(&[0, 0x1d, 0, 32]);
                    noise(out, 32, random);
                });
            });
        });
    });
    out.extend_from_slice(&[0x14, 3, 3, 0, 1, 1]);
    out
}
