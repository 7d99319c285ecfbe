//! What commands make of files as others have them: one answer to one question, whoever is asked, and a word about all that
//! was not used.

use std::path::Path;

use netsage_lab::dataset::Dataset;
use netsage_schema::{FLOW_V1, UNSW_NB15};

use super::support::{Home, lz4, packages_built, stderr, stdout, zstd};

/// A command that reads a file, with the file in place of `FILE`.
const READERS: [&[&str]; 7] = [
    &["flows", "FILE"],
    &["score", "FILE"],
    &["evaluate", "FILE"],
    &["train", "iforest", "--from", "FILE", "--out", "model.wasm"],
    &["detector", "pack", "--artifact", "FILE", "--out", "packed.wasm"],
    &[
        "run",
        "--listen",
        "127.0.0.1:0",
        "--pcap",
        "FILE",
        "--exit-when-done",
    ],
    &["baseline", "--pcap", "FILE"],
];

#[test]
fn all_commands_and_the_lab_name_a_file_alike() {
    let home = Home::new();
    let utf_16: Vec<u8> = "\u{feff}id,dur"
        .encode_utf16()
        .flat_map(u16::to_le_bytes)
        .collect();
    for (name, bytes, expected) in [
        (
            "pointer.csv",
            &b"version https://git-lfs.github.com/spec/v1\noid sha256:ab\nsize 9\n"[..],
            "a Git LFS pointer",
        ),
        ("page.csv", b"<!DOCTYPE html><html></html>", "a web page"),
        ("archive.pcap", b"PK\x03\x04\x14\0\0\0", "a zip archive"),
        ("rows.parquet", b"PAR1\x15\x04\x15\0", "a Parquet table"),
        (
            "day.pcap.xz",
            b"\xfd7zXZ\0\0\x04",
            "xz -dc FILE | netsage score -",
        ),
        ("powershell.csv", &utf_16, "iconv -f UTF-16"),
    ] {
        home.file(name, bytes);
        for command in READERS {
            let arguments: Vec<&str> = command
                .iter()
                .map(|&word| if word == "FILE" { name } else { word })
                .collect();
            let output = home.run(&arguments);
            let message = stderr(&output);
            assert_eq!(output.status.code(), Some(1), "{arguments:?}: {message}");
            assert!(message.contains(expected), "{arguments:?}: {message}");
            assert!(output.stdout.is_empty(), "{arguments:?}");
        }
        let error = Dataset::read(name, bytes, &UNSW_NB15).unwrap_err().to_string();
        assert!(error.contains(expected), "the Lab: {error}");
    }
}

/// A capture with the magic number of old Linux tools: eight bytes more in each record.
fn modified(capture: &[u8]) -> Vec<u8> {
    let mut file = vec![0x34, 0xcd, 0xb2, 0xa1];
    file.extend_from_slice(&capture[4..24]);
    let mut rest = &capture[24..];
    while let Some((header, behind)) = rest.split_first_chunk::<16>() {
        let length = u32::from_le_bytes([header[8], header[9], header[10], header[11]]) as usize;
        file.extend_from_slice(header);
        file.extend_from_slice(&[0; 8]);
        file.extend_from_slice(&behind[..length]);
        rest = &behind[length..];
    }
    file
}

#[test]
fn a_capture_is_one_for_all_and_gives_the_same_flows() {
    if !packages_built() {
        return;
    }
    let home = Home::new();
    let plain = std::fs::read(home.capture(60)).unwrap();
    assert_eq!(plain[..4], [0xd4, 0xc3, 0xb2, 0xa1]);
    let files = [
        ("plain.pcap", plain.clone()),
        ("other.pcap", modified(&plain)),
        ("packed.zst", zstd(&plain)),
        ("packed.lz4", lz4(&plain)),
    ];
    for (file, bytes) in &files {
        home.file(file, bytes);
    }
    for command in [&["flows"][..], &["score"]] {
        let rows = files.each_ref().map(|(file, _)| {
            let output = home.run(&[command, &[file, "--schema", "flow-v1"]].concat());
            assert!(output.status.success(), "{command:?} {file}: {}", stderr(&output));
            stdout(&output)
        });
        assert!(rows[0].lines().count() > 60, "{command:?}");
        assert!(rows.iter().all(|other| *other == rows[0]), "{command:?}");
    }
    let [one, others @ ..] = files.map(|(file, bytes)| Dataset::read(file, &bytes, &FLOW_V1).unwrap());
    for other in others {
        assert_eq!(one.rows.values(), other.rows.values());
        assert_eq!(one.identities, other.identities);
    }
    // Training takes it too; a training of so few rows is refused for their number and nothing else.
    let output = home.run(&[
        "train",
        "iforest",
        "--from",
        "other.pcap",
        "--out",
        "model.wasm",
        "--schema",
        "flow-v1",
    ]);
    assert!(!stderr(&output).contains("capture"), "{}", stderr(&output));
}

#[test]
fn what_was_not_used_is_said_without_being_asked() {
    if !packages_built() {
        return;
    }
    let home = Home::new();
    let plain = std::fs::read(home.capture(40)).unwrap();
    let mut bluetooth = plain.clone();
    bluetooth[20] = 201;
    home.file("padded.pcap", &[&plain[..], &vec![0; 65_536]].concat());
    home.file("cut.pcap", &plain[..plain.len() - 3]);
    home.file("bluetooth.pcap", &bluetooth);
    for (file, status, expected) in [
        (
            "padded.pcap",
            0,
            "65536 bytes of zeros in place of packets were passed over",
        ),
        ("cut.pcap", 0, "the capture is truncated"),
        ("bluetooth.pcap", 1, "the link type is not read, link type 201: "),
    ] {
        let run = ["run", "--listen", "127.0.0.1:0", "--exit-when-done", "--pcap"];
        for command in [&["flows"][..], &["score"], &run] {
            let output = home.run(&[command, &[file]].concat());
            let message = stderr(&output);
            assert_eq!(
                output.status.code(),
                Some(status),
                "{command:?} {file}: {message}"
            );
            assert!(message.contains(expected), "{command:?} {file}: {message}");
        }
        match Dataset::read(file, &std::fs::read(home.path().join(file)).unwrap(), &UNSW_NB15) {
            Ok(data) => assert!(
                data.notes.iter().any(|note| note.contains(expected)),
                "{:?}",
                data.notes
            ),
            Err(error) => assert!(error.to_string().contains(expected), "{error}"),
        }
    }
}

#[test]
fn a_baseline_is_refused_before_it_learns() {
    let home = Home::new();
    home.file("empty.pcap", &[0; 4]);
    let output = home.run(&[
        "baseline",
        "--schema",
        "unsw-nb15",
        "--pcap",
        "empty.pcap",
        "--detector",
        "rhythm",
    ]);
    let message = stderr(&output);
    // Status 2 and no word about the file, which was not opened.
    assert_eq!(output.status.code(), Some(2), "{message}");
    assert!(
        message.contains("rhythm") && message.contains("unsw-nb15"),
        "{message}"
    );
    assert!(!message.contains("empty.pcap"), "{message}");
}

#[test]
fn what_cannot_be_written_is_said_before_the_work() {
    let home = Home::new();
    home.file("file", b"");
    for (command, expected) in [
        (
            "train iforest --from missing.csv --out nowhere/model.wasm",
            "nowhere/model.wasm",
        ),
        ("train iforest --from missing.csv --out . ", "cannot write ."),
        (
            "train autoencoder --from missing.csv --out model.wasm --onnx nowhere/model.onnx",
            "nowhere/model.onnx",
        ),
        (
            "train iforest --from missing.csv --out model.wasm --exclude colour",
            "colour",
        ),
        (
            "detector pack --artifact missing --out nowhere/packed.wasm",
            "nowhere/packed.wasm",
        ),
        ("evaluate missing.csv --report file/report", "file/report"),
    ] {
        let words: Vec<&str> = command.split_whitespace().collect();
        let output = home.run(&words);
        let message = stderr(&output);
        assert_eq!(output.status.code(), Some(1), "{command}: {message}");
        // What is read first was not looked for.
        assert!(
            message.contains(expected) && !message.contains("missing"),
            "{command}: {message}"
        );
    }
}

/// The cases that were reported, read in place where they are.
#[test]
fn reported_cases_have_their_answers() {
    let cases = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data/cases");
    if !cases.is_dir() || !packages_built() {
        println!(
            "skipped: there is no folder {}, or no package was built",
            cases.display()
        );
        return;
    }
    let home = Home::new();
    /// Command, file, status, lines on standard output, a part of standard error (all of it where that is empty).
    type Case = (&'static [&'static str], &'static str, i32, usize, &'static str);
    let answers: [Case; 25] = [
        (&["flows"], "captures/b00_reference.pcap", 0, 2, ""),
        (
            &["flows"],
            "captures/b13_tail_64k_zeros.pcap",
            0,
            2,
            "bytes of zeros",
        ),
        (
            &["flows"],
            "captures/b20_bluetooth_h4.pcap",
            1,
            1,
            "link type 201",
        ),
        (
            &["score"],
            "captures/b20_bluetooth_h4.pcap",
            1,
            1,
            "link type 201",
        ),
        (&["flows"], "captures/b09_modified_le.pcap", 0, 2, ""),
        (&["score"], "captures/b09_modified_le.pcap", 0, 2, ""),
        (&["flows"], "captures/b08_dsb_2MiB.pcapng.gz", 0, 2, ""),
        // Two ICMP flows, and the GRE flow of what is no IP inside.
        (
            &["flows", "--decapsulate"],
            "captures/bc_arkime_gre-erspan.pcap",
            0,
            4,
            "",
        ),
        (&["score"], "tables/a00_reference.csv", 0, 201, ""),
        (
            &["score"],
            "tables/a01_raw_49_columns_no_header.csv",
            0,
            301,
            "the file has no header",
        ),
        (
            &["score"],
            "tables/a02_raw_renamed_only_ports_odd.csv",
            0,
            301,
            "",
        ),
        (&["score"], "tables/a03_pandas_floats_label_1.0.csv", 0, 201, ""),
        (
            &["score"],
            "tables/a03_unnamed_index.csv",
            0,
            201,
            "column 1 has no name",
        ),
        (&["score"], "tables/a04_semicolon.csv", 0, 201, "';'"),
        (&["score"], "tables/a05_utf16le_powershell.csv", 1, 0, "iconv"),
        (
            &["score"],
            "tables/a05_lfs_pointer.csv",
            1,
            0,
            "a Git LFS pointer",
        ),
        (
            &["score"],
            "tables/a06_header_shuffled_to_row_120.csv",
            1,
            0,
            "line 121 is the header",
        ),
        (
            &["score"],
            "tables/a07_beyond_f32.csv",
            0,
            206,
            "line 106, column `sload`: `1e400` is not a finite number",
        ),
        (&["score"], "tables/own_quoted_comma_category.csv", 0, 201, ""),
        (
            &["evaluate", "--bootstrap", "0"],
            "tables/a08_attack_cat_spellings.csv",
            0,
            0,
            "contradict themselves",
        ),
        (&["flows"], "captures/c20_snaplen_40.pcap", 0, 2, ""),
        (&["flows"], "captures/c20_options_whole.pcap", 0, 2, ""),
        (
            &[
                "detector",
                "pack",
                "--columns",
                "dur",
                "--out",
                "x.wasm",
                "--onnx",
            ],
            "onnx/d_Makayacine_xgb_lfs_pointer.onnx",
            1,
            0,
            "a Git LFS pointer",
        ),
        (
            &[
                "detector",
                "pack",
                "--artifact",
                "empty",
                "--out",
                "x.wasm",
                "--component",
            ],
            "components/e16_columns_unknown.wasm",
            1,
            0,
            "build it again against wit/detector.wit",
        ),
        (&["score"], "captures/c20_snaplen_40.pcap", 0, 2, ""),
    ];
    home.file("empty", b"");
    let mut wrong = Vec::new();
    for (command, file, status, lines, said) in answers {
        let path = cases.join(file);
        let output = home.run(&[command, &[path.to_str().unwrap()]].concat());
        let (message, found) = (stderr(&output), stdout(&output).lines().count());
        let is_said = message.contains(said) && (!said.is_empty() || message.is_empty());
        if output.status.code() != Some(status) || !is_said || (lines > 0 && found != lines) {
            wrong.push(format!(
                "{command:?} {file}: {:?}, {found} lines, {message}",
                output.status.code()
            ));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
