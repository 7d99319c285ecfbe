//! Running other programs: their output is shown when it matters.

use std::io::{BufRead, BufReader, Read};
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::thread;

use anyhow::{Context as _, Result, bail};

/// Lines kept of a program that fails; enough for the errors of a compiler.
const LINES_KEPT: usize = 400;

/// How a program ended.
#[derive(Debug)]
pub(crate) struct Ended {
    /// Whether its exit status was 0.
    pub(crate) success: bool,
    /// The last lines it printed, on either stream.
    pub(crate) tail: Vec<String>,
}

/// Runs a program to its end and hands over each line that it prints, on either stream.
pub(crate) fn line_by_line(mut command: Command, mut on_line: impl FnMut(&str)) -> Result<Ended> {
    let name = command.get_program().to_string_lossy().into_owned();
    command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command.spawn().with_context(|| format!("cannot start {name}"))?;
    let (sender, lines) = mpsc::channel();
    let out = child.stdout.take().map(|stream| forward(stream, sender.clone()));
    let err = child.stderr.take().map(|stream| forward(stream, sender));
    let mut tail = std::collections::VecDeque::with_capacity(LINES_KEPT);
    for line in lines {
        on_line(&line);
        if tail.len() == LINES_KEPT {
            tail.pop_front();
        }
        tail.push_back(line);
    }
    for reader in [out, err].into_iter().flatten() {
        // A reader ends with its stream; there is nothing to learn from how.
        let _ = reader.join();
    }
    let status = child.wait().with_context(|| format!("cannot wait for {name}"))?;
    Ok(Ended {
        success: status.success(),
        tail: tail.into(),
    })
}

fn forward(stream: impl Read + Send + 'static, sender: mpsc::Sender<String>) -> thread::JoinHandle<()> {
    thread::spawn(move || {
        let mut reader = BufReader::new(stream);
        let mut line = Vec::new();
        // Bytes, not strings: one bad character must not hide the rest of what a program says.
        while reader.read_until(b'\n', &mut line).is_ok_and(|length| length > 0) {
            let text = String::from_utf8_lossy(&line).trim_end().to_owned();
            line.clear();
            if sender.send(text).is_err() {
                return;
            }
        }
    })
}

/// Runs a program to its end; when it fails the error holds what it printed.
pub(crate) fn quietly(command: Command, on_line: impl FnMut(&str)) -> Result<()> {
    let shown = shown(&command);
    let ended = line_by_line(command, on_line)?;
    if !ended.success {
        bail!("`{shown}` failed:\n{}", ended.tail.join("\n"));
    }
    Ok(())
}

/// Runs a program on our own terminal.
pub(crate) fn openly(mut command: Command) -> Result<()> {
    let shown = shown(&command);
    let status = command
        .status()
        .with_context(|| format!("cannot start `{shown}`"))?;
    if !status.success() {
        bail!("`{shown}` failed ({status}); what it printed says why");
    }
    Ok(())
}

/// The first line that a program prints, when it can be started and ends well.
pub(crate) fn first_line(program: &str, arguments: &[&str]) -> Option<String> {
    let output = Command::new(program)
        .args(arguments)
        .stderr(Stdio::null())
        .output()
        .ok()?;
    let text = String::from_utf8_lossy(&output.stdout);
    output
        .status
        .success()
        .then(|| text.lines().next().unwrap_or_default().to_owned())
}

/// A command as one would type it.
pub(crate) fn shown(command: &Command) -> String {
    let mut text = std::path::Path::new(command.get_program())
        .file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned();
    for argument in command.get_args() {
        text.push(' ');
        text.push_str(&argument.to_string_lossy());
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_streams_are_handed_over_and_a_failure_quotes_them() {
        let mut command = Command::new("sh");
        command.args(["-c", "echo one; echo two >&2; exit 3"]);
        let mut seen = Vec::new();
        let error = quietly(command, |line| seen.push(line.to_owned())).expect_err("status 3 is a failure");
        seen.sort();
        assert_eq!(seen, ["one", "two"]);
        assert!(error.to_string().contains("two"), "{error}");
    }

    #[test]
    fn a_command_is_shown_without_the_path_of_its_program() {
        let mut command = Command::new("/usr/bin/env");
        command.args(["-u", "X"]);
        assert_eq!(shown(&command), "env -u X");
    }
}
