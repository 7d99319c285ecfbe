//! Unix sockets that senders of bytes connect to.

/// What stands before the path of a socket where a file can be named.
pub(crate) const PREFIX: &str = "unix:";

/// Makes a socket at that path. One that an earlier run has left is replaced.
///
/// # Errors
/// When the socket cannot be made, or something else lies there.
#[cfg(unix)]
pub(crate) fn listen(path: &std::path::Path) -> std::io::Result<std::os::unix::net::UnixListener> {
    use std::os::unix::fs::FileTypeExt as _;
    use std::os::unix::net::{UnixListener, UnixStream};

    let is_socket = std::fs::symlink_metadata(path).is_ok_and(|found| found.file_type().is_socket());
    // Of a program that has ended nobody answers.
    if is_socket && UnixStream::connect(path).is_err() {
        // Where that fails the next line does, and says why.
        let _ = std::fs::remove_file(path);
    }
    UnixListener::bind(path)
}
