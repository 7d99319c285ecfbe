//! The steps of a command: a progress bar on a terminal, a line for each otherwise.

use std::io::IsTerminal as _;
use std::time::{Duration, Instant};

use anyhow::Result;
use indicatif::{ProgressBar, ProgressStyle};

/// Shows how far a command has come, on standard error.
#[derive(Debug)]
pub(crate) struct Steps {
    bar: Option<ProgressBar>,
    started: Instant,
}

impl Steps {
    /// `total` is the number of steps to come.
    pub(crate) fn new(total: u64) -> Self {
        let bar = std::io::stderr().is_terminal().then(|| {
            let style = ProgressStyle::with_template(
                "{bar:24.cyan/dim} {pos}/{len} {prefix} {wide_msg:.dim} {elapsed}",
            );
            let bar = ProgressBar::new(total);
            bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
            bar.enable_steady_tick(Duration::from_millis(200));
            bar
        });
        Self {
            bar,
            started: Instant::now(),
        }
    }

    /// Does one step. What it is given takes the line to show beside the name of the step.
    pub(crate) fn run<T>(
        &self,
        name: &str,
        step: impl FnOnce(&mut dyn FnMut(&str)) -> Result<T>,
    ) -> Result<T> {
        let started = Instant::now();
        match &self.bar {
            Some(bar) => {
                bar.set_prefix(name.to_owned());
                bar.set_message("");
            }
            None => eprintln!("{name} ..."),
        }
        let outcome = step(&mut |line| {
            if let Some(bar) = &self.bar {
                bar.set_message(line.trim().to_owned());
            }
        });
        let word = if outcome.is_ok() { "done" } else { "failed" };
        let line = format!("{name}: {word} in {:.1} s", started.elapsed().as_secs_f64());
        self.print(&line);
        if let Some(bar) = &self.bar {
            bar.inc(1);
        }
        outcome
    }

    /// Prints a line without disturbing the bar.
    pub(crate) fn print(&self, line: &str) {
        match &self.bar {
            Some(bar) => bar.suspend(|| eprintln!("{line}")),
            None => eprintln!("{line}"),
        }
    }

    /// Takes the bar away. Returns the time since the first step began.
    pub(crate) fn finish(self) -> Duration {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
        self.started.elapsed()
    }
}
