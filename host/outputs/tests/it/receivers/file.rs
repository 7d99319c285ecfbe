//! A file of lines: rotated, moved away, full, and left with half a line.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use netsage_messages::{Message, Wording};
use netsage_outputs::receivers::file::{FileOptions, FileOutput};
use netsage_outputs::{Failure, Output as _};
use netsage_testkit::disk::SmallDisk;

use super::{alerts, deliver, digest, hostile};

fn options(path: &Path, more: &str) -> FileOptions {
    toml::from_str(&format!("path = {path:?}\n{more}")).expect("options")
}

fn output(path: &Path, more: &str) -> FileOutput {
    FileOutput::new(&options(path, more), Wording::default()).expect("a file output")
}

/// The whole lines of a file; half lines are counted.
fn lines(path: &Path) -> (Vec<serde_json::Value>, usize) {
    let bytes = fs::read(path).unwrap_or_default();
    let text = String::from_utf8(bytes).expect("text");
    let read: Vec<_> = text.lines().map(serde_json::from_str).collect();
    let half = read.iter().filter(|line| line.is_err()).count();
    (read.into_iter().flatten().collect(), half)
}

fn key(line: &serde_json::Value) -> (String, u64) {
    let revision = line["revision"].as_u64().expect("a revision");
    (line["id"].as_str().expect("an id").to_owned(), revision)
}

/// Every file in the folder, the file itself last.
fn files(path: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(path.parent().expect("a folder")).expect("a folder");
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.expect("an entry").path()).collect();
    files.sort();
    files
}

fn all_there(lines: &[serde_json::Value], messages: &[Message]) {
    let mut by_key = BTreeMap::new();
    for line in lines {
        let known = by_key.entry(key(line)).or_insert(line);
        assert_eq!(*known, line, "a repeat is the same");
    }
    let expected: BTreeSet<_> = messages
        .iter()
        .map(|message| (message.id(), message.revision()))
        .collect();
    assert_eq!(by_key.into_keys().collect::<BTreeSet<_>>(), expected);
}

#[tokio::test]
async fn every_alert_is_a_line_over_rotations_and_kills() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("alerts.jsonl");
    let messages = alerts(1_000);
    let more = "rotate-size = \"64KiB\"\nkeep = 100";
    let mut done = 0;
    while done < messages.len() {
        let mut output = output(&path, more);
        let page = &messages[done..(done + 250).min(messages.len())];
        let outcome = deliver(&mut output, page, |_| {}).await;
        done += outcome.done;
        // A kill in the middle of a line that was not acknowledged.
        let mut file = fs::OpenOptions::new().append(true).open(&path).expect("a file");
        file.write_all(br#"{"id":"half of a li"#).expect("written");
    }
    let found: Vec<_> = files(&path).iter().map(|file| lines(file)).collect();
    assert!(found.len() > 5, "{}", found.len());
    let halves: usize = found.iter().map(|(_, half)| half).sum();
    assert_eq!(halves, 4, "half lines, each on a line of its own");
    let lines: Vec<_> = found.into_iter().flat_map(|(lines, _)| lines).collect();
    all_there(&lines, &messages);
    for file in files(&path) {
        assert!(
            fs::metadata(&file).expect("a file").len() <= (64 << 10) + 64,
            "{}",
            file.display()
        );
    }
}

#[tokio::test]
async fn files_are_kept_packed_and_named_as_asked() {
    let check = async |more: &str, expected: &dyn Fn(&[String])| {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("alerts.jsonl");
        let mut output = output(&path, &format!("rotate-size = \"4KiB\"\n{more}"));
        output.deliver(&alerts(40)).await.expect("written");
        let names = files(&path);
        let names: Vec<String> = names
            .iter()
            .map(|file| file.file_name().expect("a name").to_string_lossy().into_owned())
            .collect();
        expected(&names);
    };
    check("keep = 2", &|names| {
        assert_eq!(names, ["alerts.jsonl", "alerts.jsonl.1", "alerts.jsonl.2"]);
    })
    .await;
    check("keep = 2\ngzip = true", &|names| {
        assert_eq!(names, ["alerts.jsonl", "alerts.jsonl.1.gz", "alerts.jsonl.2.gz"]);
    })
    .await;
    check("keep = 3\nnames = \"dated\"", &|names| {
        assert_eq!(names.len(), 4);
        let times = names[1..]
            .iter()
            .all(|name| name.starts_with("alerts.jsonl.2") && name.contains('T'));
        assert!(times, "{names:?}");
    })
    .await;
}

#[tokio::test]
async fn time_begins_another_file() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("alerts.jsonl");
    let messages = alerts(3);
    let more = "rotate-every = \"1d\"";
    output(&path, more)
        .deliver(&messages[..1])
        .await
        .expect("written");
    // The file was last written to two days ago.
    let file = fs::OpenOptions::new().append(true).open(&path).expect("a file");
    let two_days = std::time::Duration::from_secs(2 * 86_400);
    file.set_modified(std::time::SystemTime::now() - two_days)
        .expect("a time");
    let mut output = output(&path, more);
    output.deliver(&messages[1..2]).await.expect("written");
    let there = |path: &Path| {
        lines(path)
            .0
            .iter()
            .map(key)
            .map(|(id, _)| id)
            .collect::<Vec<_>>()
    };
    assert_eq!(there(&folder.path().join("alerts.jsonl.1")), [messages[0].id()]);
    assert_eq!(there(&path), [messages[1].id()]);
}

#[tokio::test]
async fn a_file_that_was_moved_away_is_opened_anew() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("alerts.jsonl");
    let aside = folder.path().join("aside");
    let mut output = output(&path, "");
    let reopener = output.reopener();
    let messages = alerts(3);
    output.deliver(&messages[..1]).await.expect("written");
    fs::rename(&path, &aside).expect("moved");
    reopener.reopen().expect("opened");
    assert!(path.exists(), "made at once");
    output.deliver(&messages[1..2]).await.expect("written");
    // Nobody has said that this one is gone.
    fs::remove_file(&path).expect("removed");
    output.deliver(&messages[2..]).await.expect("written");
    assert_eq!((lines(&aside).0.len(), lines(&path).0.len()), (1, 1));
}

#[tokio::test]
async fn what_cannot_be_written_to_is_said_at_once() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("logs/alerts.jsonl");
    let check = |path: &Path, more: &str, expected: &str| {
        let made = FileOutput::new(&options(path, more), Wording::default());
        let error = made.map(|_| ()).expect_err(expected).to_string();
        assert!(error.contains(expected), "{error}");
    };
    check(&path, "", "logs/alerts.jsonl");
    check(folder.path(), "", "cannot be opened");
    check(Path::new("/"), "", "names no file");
    check(&path, "keep = 0", "`keep`");
    check(&path, "rotate-size = \"1B\"", "`rotate-size`");
    check(&path, "rotate-every = \"1ms\"", "`rotate-every`");
    check(&path, "format = \"slack\"", "slack");
    // The folder goes while the output is there: it is told, and goes on when the folder is back.
    fs::create_dir(path.parent().expect("a folder")).expect("made");
    let mut output = output(&path, "");
    fs::remove_dir_all(path.parent().expect("a folder")).expect("removed");
    let error = output.reopener().reopen().expect_err("no folder").to_string();
    assert!(error.contains("logs/alerts.jsonl"), "{error}");
    let undelivered = output.deliver(&alerts(1)).await.expect_err("no folder");
    assert!(
        matches!(undelivered.failure, Failure::Unavailable { .. }),
        "{undelivered}"
    );
    fs::create_dir(path.parent().expect("a folder")).expect("made");
    output.deliver(&alerts(1)).await.expect("written");
}

#[tokio::test]
async fn a_full_disk_holds_up_and_loses_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let disk = match SmallDisk::new(folder.path().join("disk"), 4 << 20) {
        Ok(disk) => disk,
        Err(why) => return println!("skipped: {why}"),
    };
    let path = disk.path().join("alerts.jsonl");
    let mut output = output(&path, "");
    let messages = alerts(300);
    let mut is_full = false;
    let mut failures = 0;
    let outcome = deliver(&mut output, &messages, |done| {
        if done >= 100 && !is_full {
            disk.fill();
            is_full = true;
        }
        if is_full {
            failures += 1;
        }
        if failures > 3 {
            disk.free();
        }
    })
    .await;
    assert!(outcome.unavailable > 0, "{outcome:?}");
    assert!(outcome.reasons[0].contains("alerts.jsonl"), "{outcome:?}");
    all_there(&lines(&path).0, &messages);
}

#[tokio::test]
async fn hostile_text_forges_no_line() {
    for format in ["json", "ecs", "ocsf", "cef"] {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("alerts");
        let mut output = output(&path, &format!("format = {format:?}\nmax-line = \"64KiB\""));
        for message in [hostile(1), hostile(2_000)] {
            output.deliver(&[message]).await.expect("written");
        }
        let text = fs::read_to_string(&path).expect("a file");
        assert_eq!(text.lines().count(), 2, "{format}");
        assert!(text.lines().all(|line| line.len() <= 64 << 10), "{format}");
        assert!(!text.contains('\r') && !text.contains('\0'), "{format}");
        for line in text.lines() {
            match format {
                "cef" => assert!(line.starts_with("CEF:"), "{line}"),
                _ => assert!(
                    serde_json::from_str::<serde_json::Value>(line).is_ok_and(|json| json.is_object())
                ),
            }
        }
    }
}

#[tokio::test]
async fn a_digest_lists_every_alert() {
    for format in ["json", "ecs", "ocsf", "cef"] {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("alerts");
        let mut output = output(&path, &format!("format = {format:?}\nmax-line = \"8KiB\""));
        output.deliver(&[digest(100)]).await.expect("written");
        let text = fs::read_to_string(&path).expect("a file");
        for number in 0..100 {
            assert!(text.contains(&format!("{number:032x}")), "{format}: {number}");
        }
    }
}
