//! Progress bars: on a terminal only, and on standard error.

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use netsage_sources::Progress;

/// A bar for reading a file. indicatif draws nothing when standard error is no terminal.
pub fn reading(progress: &Progress, what: &str) -> ProgressBar {
    let bar = counted(progress.total, what);
    bar.set_style(style("{msg} {wide_bar} {bytes}/{total_bytes} {eta}"));
    bar
}

/// A bar for a known number of steps.
pub fn counted(total: u64, what: &str) -> ProgressBar {
    let bar = ProgressBar::with_draw_target(Some(total), ProgressDrawTarget::stderr());
    bar.set_style(style("{msg} {wide_bar} {pos}/{len} {eta}"));
    bar.set_message(what.to_owned());
    bar
}

/// A bar for steps whose rate matters, of a known number or without end; its message may change.
pub fn rated(total: Option<u64>, what: &str) -> ProgressBar {
    let bar = ProgressBar::with_draw_target(total, ProgressDrawTarget::stderr());
    bar.set_style(style(match total {
        Some(_) => "{prefix} {wide_bar} {pos}/{len} {per_sec} {msg} {eta}",
        None => "{prefix} {pos} {per_sec} {msg}",
    }));
    bar.set_prefix(what.to_owned());
    bar
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}
