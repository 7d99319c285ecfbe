//! What bytes are, by the first of them: the one place that answers this for commands, gateway and Lab.

use netsage_capture::file::is_capture;
use netsage_records::formats::{self, Format, Recognised};

/// What bytes are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A capture: pcap of any kind, or pcapng.
    Capture,
    /// Text, which may be a table.
    Text,
    /// Flow records of another meter.
    Records(Format),
    /// JSON that is no flow records.
    Json,
    /// Something known that is none of these.
    Other {
        /// What it is, with an article.
        what: &'static str,
        /// What to do.
        advice: &'static str,
    },
    /// Nobody knows what.
    Unknown,
}

/// Bytes at a place that tell a format.
struct Signature {
    at: usize,
    bytes: &'static [u8],
    what: &'static str,
    advice: &'static str,
}

const fn signature(bytes: &'static [u8], what: &'static str, advice: &'static str) -> Signature {
    Signature {
        at: 0,
        bytes,
        what,
        advice,
    }
}

const POINTER: &str =
    "fetch the file itself: `git lfs pull` in its repository, or download it again by its raw link";
const EXTRACT: &str = "extract the capture or table that it holds, and give that";
const TO_CSV: &str = "export it as CSV, comma-separated and with a header, and give that";
const TO_PCAP: &str = "convert it first: `editcap -F pcap FILE NEW`";
const NOT_THIS: &str = "give a capture (pcap, pcapng), a CSV with the columns of a schema, or flow records";
const DOWNLOAD: &str = "a server sent this in place of the file; download the raw file";

#[rustfmt::skip]
const SIGNATURES: &[Signature] = &[
    signature(b"BZh", "compressed by bzip2", "unpack it on the way: `bzip2 -dc FILE | netsage score -`"),
    signature(b"\xfd7zXZ\0", "compressed by xz", "unpack it on the way: `xz -dc FILE | netsage score -`"),
    signature(b"LZIP", "compressed by lzip", "unpack it on the way: `lzip -dc FILE | netsage score -`"),
    signature(b"\x1f\x9d", "compressed by compress", "unpack it on the way: `zcat FILE | netsage score -`"),
    signature(b"PAR1", "a Parquet table", TO_CSV),
    signature(b"ARROW1", "an Arrow table", TO_CSV),
    signature(b"FEA1", "a Feather table", TO_CSV),
    signature(b"ORC", "an ORC table", TO_CSV),
    signature(b"Obj\x01", "an Avro table", TO_CSV),
    signature(b"\x89HDF\r\n\x1a\n", "an HDF5 file", TO_CSV),
    signature(b"\x93NUMPY", "a NumPy array", TO_CSV),
    signature(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "a document of an office program", TO_CSV),
    signature(b"SQLite format 3\0", "an SQLite database", TO_CSV),
    signature(b"PK\x03\x04", "a zip archive, or a document of an office program", EXTRACT),
    signature(b"PK\x05\x06", "an empty zip archive", EXTRACT),
    signature(b"7z\xbc\xaf\x27\x1c", "a 7z archive", EXTRACT),
    signature(b"Rar!\x1a\x07", "a RAR archive", EXTRACT),
    Signature { at: 257, bytes: b"ustar", what: "a tar archive", advice: EXTRACT },
    signature(b"snoop\0\0\0", "a capture of snoop", TO_PCAP),
    signature(b"\x12\xcb\xe2\xa1", "a capture of an Ixia device", TO_PCAP),
    signature(b"\xac\x01\0\x1c", "a capture of an Ixia device", TO_PCAP),
    signature(b"\xab\x01\0\x1c", "a capture of an Ixia device", TO_PCAP),
    signature(b"btsnoop\0", "a Bluetooth log", NOT_THIS),
    signature(b"GMBU", "a capture of Microsoft Network Monitor", TO_PCAP),
    signature(b"RTSS", "a capture of Microsoft Network Monitor", TO_PCAP),
    signature(b"XCP\0", "a capture of a Sniffer", TO_PCAP),
    signature(b"TRSNIFF data", "a capture of a Sniffer", TO_PCAP),
    signature(b"\0asm", "a WebAssembly component", "give it as --detector, and a capture or table as the file"),
    signature(b"%PDF", "a PDF document", NOT_THIS),
    signature(b"\x89PNG", "a picture", NOT_THIS),
    signature(b"\x7fELF", "a program", NOT_THIS),
    signature(b"version https://git-lfs", "a Git LFS pointer, not the file", POINTER),
    signature(b"version https://hawser", "a Git LFS pointer, not the file", POINTER),
];

/// Bytes by which all but records are known.
const MOST_OF_OTHERS: usize = 512;

/// What bytes are, by their first 4,096, unpacked, or fewer when there are no more.
pub fn recognise(head: &[u8]) -> Kind {
    // The first line of records can be longer than all that tells something else.
    let first = head.get(..MOST_OF_OTHERS).unwrap_or(head);
    match of_first(first) {
        Kind::Text => match formats::recognise(head) {
            Recognised::Format(format) => Kind::Records(format),
            Recognised::Other { what, advice } => Kind::Other { what, advice },
            Recognised::Unknown if is_json(first) => Kind::Json,
            Recognised::Unknown => Kind::Text,
        },
        other => other,
    }
}

fn of_first(head: &[u8]) -> Kind {
    if is_capture(head) {
        return Kind::Capture;
    }
    let is_at = |signature: &&Signature| {
        head.get(signature.at..)
            .is_some_and(|rest| rest.starts_with(signature.bytes))
    };
    if let Some(&Signature { what, advice, .. }) = SIGNATURES.iter().find(is_at) {
        return Kind::Other { what, advice };
    }
    if head.len() >= 16 && head.iter().all(|&byte| byte == 0) {
        return Kind::Other {
            what: "zeros, as a full disk or a copy that went wrong leaves them",
            advice: "copy or capture it again",
        };
    }
    if let Some((what, advice)) = wide_text(head) {
        return Kind::Other { what, advice };
    }
    if is_text(head) {
        of_text(head)
    } else {
        Kind::Unknown
    }
}

/// A page or records in place of a table.
fn of_text(head: &[u8]) -> Kind {
    let start = head.trim_ascii_start();
    let start = start
        .strip_prefix(b"\xef\xbb\xbf")
        .unwrap_or(start)
        .trim_ascii_start();
    let lower = start[..start.len().min(16)].to_ascii_lowercase();
    let starts = |with: &[u8]| lower.starts_with(with);
    if starts(b"<?xml") || starts(b"<error") {
        return Kind::Other {
            what: "an XML document",
            advice: DOWNLOAD,
        };
    }
    if starts(b"<") {
        return Kind::Other {
            what: "a web page",
            advice: DOWNLOAD,
        };
    }
    if starts(b"404: not found") || starts(b"404 not found") || starts(b"403 forbidden") {
        return Kind::Other {
            what: "the answer of a server that has no such file, or does not give it",
            advice: DOWNLOAD,
        };
    }
    let annex = b"/annex/objects/";
    if head.windows(annex.len()).any(|window| window == annex) {
        return Kind::Other {
            what: "a git-annex pointer, not the file",
            advice: "fetch the file itself: `git annex get FILE`",
        };
    }
    Kind::Text
}

fn is_json(head: &[u8]) -> bool {
    let start = head.strip_prefix(b"\xef\xbb\xbf").unwrap_or(head);
    matches!(start.trim_ascii_start(), [b'{' | b'[', ..])
}

/// Text in two or four bytes for each character, by its mark or because every other byte is 0, and how to convert it.
fn wide_text(head: &[u8]) -> Option<(&'static str, &'static str)> {
    const UTF_16: &str = "text in UTF-16, as PowerShell and spreadsheets write it";
    let zeros = |from: usize| head.len() >= 8 && head.iter().skip(from).step_by(2).all(|&byte| byte == 0);
    let printable = |from: usize| is_text_of(head.iter().skip(from).step_by(2));
    if head.starts_with(b"\xff\xfe\0\0") || head.starts_with(b"\0\0\xfe\xff") {
        return Some((
            "text in UTF-32",
            "save it as UTF-8: `iconv -f UTF-32 -t UTF-8 FILE > NEW`",
        ));
    }
    if head.starts_with(b"\xff\xfe") || head.starts_with(b"\xfe\xff") {
        return Some((UTF_16, "save it as UTF-8: `iconv -f UTF-16 -t UTF-8 FILE > NEW`"));
    }
    // Without the mark nobody but us can know the order of the bytes.
    if zeros(1) && printable(0) {
        return Some((
            UTF_16,
            "save it as UTF-8: `iconv -f UTF-16LE -t UTF-8 FILE > NEW`",
        ));
    }
    (zeros(0) && printable(1)).then_some((
        UTF_16,
        "save it as UTF-8: `iconv -f UTF-16BE -t UTF-8 FILE > NEW`",
    ))
}

/// Text has no control characters but blanks and line breaks. Bytes of 128 and more are left to the reader
/// of the CSV, which can say in which line the text stops being UTF-8.
fn is_text(head: &[u8]) -> bool {
    is_text_of(head.iter())
}

fn is_text_of<'a>(mut bytes: impl Iterator<Item = &'a u8>) -> bool {
    bytes.all(|&byte| byte >= 0x20 || matches!(byte, b'\t' | b'\n' | b'\r'))
}
