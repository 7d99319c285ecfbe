//! What a file is: one answer for all who ask, by the first bytes, with advice for what is not read.

use std::io::{Cursor, Write as _};

use flate2::Compression;
use flate2::write::GzEncoder;
use netsage_sources::{Capture, Input, Kind, recognise};

fn pcap(magic: [u8; 4]) -> Vec<u8> {
    let mut bytes = magic.to_vec();
    bytes.resize(24, 0);
    bytes
}

/// A file of these bytes, plain and gzipped: the words with which it is refused.
fn check(name: &str, bytes: &[u8], expected: &str) {
    let mut packed = GzEncoder::new(Vec::new(), Compression::fast());
    packed.write_all(bytes).unwrap();
    for file in [bytes.to_vec(), packed.finish().unwrap()] {
        let error = match Input::open(name, Cursor::new(file.clone())) {
            Err(error) => error.to_string(),
            Ok(_) => panic!("{name} is read"),
        };
        assert!(error.starts_with(name) && error.contains(expected), "{error}");
        // Who wants a capture is told the same.
        let error = Capture::open(name, Cursor::new(file)).err().expect("no capture");
        let error = error.to_string();
        let is_named = matches!(recognise(bytes), Kind::Other { .. } | Kind::Json);
        assert!(error.contains(expected) || !is_named, "{error}");
    }
}

#[test]
fn every_capture_is_one_for_all() {
    let little = [
        [0xd4, 0xc3, 0xb2, 0xa1],
        [0x4d, 0x3c, 0xb2, 0xa1],
        [0x34, 0xcd, 0xb2, 0xa1],
    ];
    for magic in little {
        let mut big = magic;
        big.reverse();
        for magic in [magic, big] {
            assert_eq!(recognise(&magic), Kind::Capture, "{magic:x?}");
            assert!(matches!(
                Input::open("file", Cursor::new(pcap(magic))),
                Ok(Input::Capture(_))
            ));
            assert!(Capture::open("file", Cursor::new(pcap(magic))).is_ok());
        }
    }
}

#[test]
fn what_is_not_read_is_named() {
    let utf_16: Vec<u8> = "id,dur,proto".encode_utf16().flat_map(u16::to_le_bytes).collect();
    let mut tar = vec![b'x'; 257];
    tar.extend_from_slice(b"ustar");
    for (name, bytes, expected) in [
        (
            "pointer",
            &b"version https://git-lfs.github.com/spec/v1\noid sha256:ab\nsize 1\n"[..],
            "a Git LFS pointer",
        ),
        (
            "pointer",
            b"version https://hawser.github.com/spec/v1\n",
            "a Git LFS pointer",
        ),
        ("annex", b"/annex/objects/SHA256-s1--ab\n", "git annex get"),
        (
            "annex",
            b"../.git/annex/objects/aa/SHA256-s1--ab\n",
            "git annex get",
        ),
        ("page", b"<table><tr><td>1</td></tr></table>", "a web page"),
        ("answer", b"404: Not Found", "the answer of a server"),
        ("page", b"\n<!DOCTYPE html>\n<html>", "a web page"),
        ("page", b"<html><head>", "a web page"),
        ("error", b"<?xml version=\"1.0\"?><Error>", "an XML document"),
        ("JSON", b"{\"name\":1,\"value\":2}\n", "JSON, and no flow records"),
        ("nfdump", b"ts,te,td,sa,da,sp,dp\n", "a table of nfdump"),
        ("zip", b"PK\x03\x04\x14\0", "a zip archive"),
        ("tar", &tar, "a tar archive"),
        ("bzip2", b"BZh91AY&SY", "bzip2 -dc FILE"),
        ("xz", b"\xfd7zXZ\0\0", "xz -dc FILE"),
        (
            "zstd",
            b"\x28\xb5\x2f\xfd\0",
            "the zstd stream cannot be unpacked",
        ),
        ("lz4", b"\x04\x22\x4d\x18\0", "the lz4 stream cannot be unpacked"),
        ("parquet", b"PAR1\x15\x04", "a Parquet table"),
        ("UTF-16", &[&b"\xff\xfe"[..], &utf_16].concat(), "iconv -f UTF-16"),
        ("UTF-16", &utf_16, "iconv -f UTF-16LE"),
        (
            "UTF-16",
            &[&b"\0"[..], &utf_16[..22], b"o"].concat(),
            "iconv -f UTF-16BE",
        ),
        ("UTF-32", b"\xff\xfe\0\0i\0\0\0d\0\0\0", "iconv -f UTF-32"),
        ("snoop", b"snoop\0\0\0\0\0\0\x02", "editcap"),
        ("component", b"\0asm\x0d\0\x01\0", "--detector"),
        ("zeros", &[0; 600], "zeros, as a full disk"),
        ("ixia", b"\x12\xcb\xe2\xa1\0\0", "a capture of an Ixia"),
        ("noise", b"\x01\x02\x03\x04", "neither a capture"),
    ] {
        check(name, bytes, expected);
    }
}
