//! Compressed bytes, unpacked while they are read, in bounded memory: a window of zstd has at most 128 MiB, as `zstd -d`
//! allows, and blocks of lz4 have at most 4 MiB.

use std::io::{self, BufRead as _, BufReader, Chain, Read};

use flate2::read::MultiGzDecoder;
use lz4_flex::frame::FrameDecoder as Lz4Decoder;
use ruzstd::decoding::errors::{FrameDecoderError, ReadFrameHeaderError};
use ruzstd::decoding::{BlockDecodingStrategy, FrameDecoder as ZstdDecoder};

/// How bytes are compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Packing {
    Gzip,
    Zstd,
    Lz4,
}

impl Packing {
    /// By the first bytes; `None` for bytes that are not compressed in a way that is unpacked here.
    pub(crate) fn of(head: &[u8]) -> Option<Self> {
        match head {
            [0x1f, 0x8b, ..] => Some(Self::Gzip),
            // A frame, or one to skip, with which pzstd begins.
            [0x28, 0xb5, 0x2f, 0xfd, ..] | [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => Some(Self::Zstd),
            [0x04, 0x22, 0x4d, 0x18, ..] => Some(Self::Lz4),
            _ => None,
        }
    }

    pub(crate) fn unpack<'a>(self, bytes: impl Read + Send + 'a) -> Box<dyn Read + Send + 'a> {
        match self {
            Self::Gzip => Box::new(MultiGzDecoder::new(bytes)),
            Self::Zstd => Box::new(Zstd {
                source: BufReader::new(bytes),
                decoder: ZstdDecoder::new(),
            }),
            Self::Lz4 => Box::new(Lz4 {
                decoder: Some(Lz4Decoder::new(BufReader::new(bytes).chain(&[]))),
                is_ended: false,
            }),
        }
    }
}

/// Frames of zstd, one after another. Where a frame is damaged, what lies in its window is not handed out.
struct Zstd<R> {
    source: BufReader<R>,
    decoder: ZstdDecoder,
}

impl<R: Read> Zstd<R> {
    fn begin_frame(&mut self) -> io::Result<()> {
        match self.decoder.reset(&mut self.source) {
            Err(FrameDecoderError::ReadFrameHeaderError(ReadFrameHeaderError::SkipFrame {
                length, ..
            })) => {
                let length = u64::from(length);
                let skipped = io::copy(&mut (&mut self.source).take(length), &mut io::sink())?;
                match skipped == length {
                    true => Ok(()),
                    false => Err(failed("zstd", "it is cut off")),
                }
            }
            begun => begun.map_err(|error| failed("zstd", error)),
        }
    }

    /// Compares the checksum of a frame that was read to its end, where the frame has one.
    fn end_frame(&self) -> io::Result<()> {
        let stated = self.decoder.get_checksum_from_data();
        match stated.is_none() || stated == self.decoder.get_calculated_checksum() {
            true => Ok(()),
            false => Err(failed("zstd", "the checksum of its content differs")),
        }
    }
}

impl<R: Read> Read for Zstd<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            while self.decoder.can_collect() == 0 && !self.decoder.is_finished() {
                let one = BlockDecodingStrategy::UptoBlocks(1);
                if let Err(error) = self.decoder.decode_blocks(&mut self.source, one) {
                    return Err(match self.source.fill_buf()? {
                        [] => failed("zstd", "it is cut off or damaged at its end"),
                        _ => failed("zstd", error),
                    });
                }
            }
            let read = self.decoder.read(buffer)?;
            if read > 0 || buffer.is_empty() {
                return Ok(read);
            }
            self.end_frame()?;
            if self.source.fill_buf()?.is_empty() {
                return Ok(0);
            }
            self.begin_frame()?;
        }
    }
}

/// Frames of lz4, one after another.
struct Lz4<R: Read> {
    /// Of one frame.
    decoder: Option<Lz4Decoder<Chain<BufReader<R>, &'static [u8]>>>,
    is_ended: bool,
}

impl<R: Read> Read for Lz4<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        /// The decoder does not tell whether bytes end within a frame. There it takes the beginning of one for a block.
        const BEGINNING: &[u8] = &[0x04, 0x22, 0x4d, 0x18];
        while let Some(decoder) = &mut self.decoder {
            let read = match decoder.read(buffer) {
                Ok(read) => read,
                Err(error) if self.is_ended || error.kind() == io::ErrorKind::UnexpectedEof => {
                    return Err(failed("lz4", "it is cut off"));
                }
                Err(error) => return Err(failed("lz4", error)),
            };
            if read > 0 || buffer.is_empty() || self.is_ended {
                return Ok(read);
            }
            let (source, end) = decoder.get_mut().get_mut();
            if source.fill_buf()?.is_empty() {
                *end = BEGINNING;
                self.is_ended = true;
            } else {
                let of_next = |decoder: Lz4Decoder<_>| Lz4Decoder::new(decoder.into_inner());
                self.decoder = self.decoder.take().map(of_next);
            }
        }
        Ok(0)
    }
}

fn failed(packing: &str, reason: impl std::fmt::Display) -> io::Error {
    let message = format!("the {packing} stream cannot be unpacked: {reason}");
    io::Error::new(io::ErrorKind::InvalidData, message)
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use flate2::write::GzEncoder;
    use lz4_flex::frame::{FrameEncoder, FrameInfo};
    use ruzstd::encoding::{CompressionLevel, compress_to_vec};

    use super::*;

    const ALL: [Packing; 3] = [Packing::Gzip, Packing::Zstd, Packing::Lz4];

    impl Packing {
        fn pack(self, plain: &[u8]) -> Vec<u8> {
            match self {
                Self::Gzip => {
                    let mut packer = GzEncoder::new(Vec::new(), flate2::Compression::fast());
                    packer.write_all(plain).unwrap();
                    packer.finish().unwrap()
                }
                Self::Zstd => compress_to_vec(plain, CompressionLevel::Fastest),
                Self::Lz4 => {
                    let info = FrameInfo::new().content_checksum(true);
                    let mut packer = FrameEncoder::with_frame_info(info, Vec::new());
                    packer.write_all(plain).unwrap();
                    packer.finish().unwrap()
                }
            }
        }
    }

    /// Lines that repeat themselves in part, of several blocks of each format.
    fn plain() -> Vec<u8> {
        let line = |number: u32| format!("{number},{},tcp,http\n", number.wrapping_mul(2_654_435_761));
        (0..6_000).map(line).collect::<String>().into_bytes()
    }

    /// What is read, and what is said where reading ends early.
    fn unpack(packed: &[u8]) -> (Vec<u8>, Option<String>) {
        let mut read = Vec::new();
        let outcome = Packing::of(packed).unwrap().unpack(packed).read_to_end(&mut read);
        (read, outcome.err().map(|error| error.to_string()))
    }

    #[test]
    fn frames_one_after_another_are_unpacked() {
        let plain = plain();
        let (first, second) = plain.split_at(plain.len() / 3);
        for packing in ALL {
            let (first, second) = (packing.pack(first), packing.pack(second));
            assert_eq!(unpack(&first).1, None);
            let (read, error) = unpack(&[&first[..], &packing.pack(b""), &second].concat());
            assert!(read == plain && error.is_none(), "{packing:?}: {error:?}");
        }
        let skipped = [0x50, 0x2a, 0x4d, 0x18, 3, 0, 0, 0, 1, 2, 3];
        let packed = Packing::Zstd.pack(&plain);
        let (read, error) = unpack(&[&skipped[..], &packed, &skipped].concat());
        assert!(read == plain && error.is_none(), "{error:?}");
        let (_, error) = unpack(&skipped[..9]);
        assert!(error.unwrap().contains("cut off"));
    }

    #[test]
    fn what_is_cut_off_anywhere_is_never_whole() {
        let plain = plain();
        for packing in ALL {
            let packed = packing.pack(&plain);
            // Every place near both ends, and some between them.
            let places = (8..40).chain((40..packed.len()).step_by(4_999));
            for place in places.chain(packed.len() - 40..packed.len()) {
                let (read, error) = unpack(&packed[..place]);
                let error = error.unwrap_or_else(|| panic!("{packing:?}, {place} bytes: whole"));
                assert!(plain.starts_with(&read), "{packing:?}, {place} bytes: {error}");
            }
        }
    }

    #[test]
    fn a_flipped_bit_is_noticed() {
        let plain = plain();
        for packing in [Packing::Zstd, Packing::Lz4] {
            let packed = packing.pack(&plain);
            for place in (4..32).chain((32..packed.len()).step_by(4_999)) {
                let mut damaged = packed.clone();
                damaged[place] ^= 1 << (place % 8);
                let (read, error) = unpack(&damaged);
                assert!(read == plain || error.is_some(), "{packing:?}, byte {place}");
            }
        }
    }

    #[test]
    fn memory_is_bounded() {
        // The header of a frame with a window of 256 MiB.
        let (_, error) = unpack(&[0x28, 0xb5, 0x2f, 0xfd, 0, 18 << 3, 0, 0, 0, 0]);
        let error = error.unwrap();
        assert!(error.contains("window"), "{error}");
    }
}
