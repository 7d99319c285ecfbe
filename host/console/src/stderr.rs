//! Standard error that never ends the program: a full disk behind it, or a reader that has gone, costs the line.

use std::fmt;
use std::io::{self, Write};

/// Says a line on standard error, in the words of [`format!`]. What cannot be written is lost: `eprintln!` would end the
/// program.
#[macro_export]
macro_rules! say {
    ($($words:tt)*) => {
        $crate::stderr::line(::std::format_args!($($words)*))
    };
}

/// Says a line; [`say!`](crate::say) is the short form.
pub fn line(words: fmt::Arguments<'_>) {
    // In one piece, so that lines of several threads do not mix.
    let line = format!("{words}\n");
    let _ = io::stderr().write_all(line.as_bytes());
}

/// Standard error for the log.
#[derive(Debug, Clone, Copy, Default)]
pub struct Log;

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let _ = io::stderr().write_all(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
