//! The number of files and connections that the system lets this process have open.
//!
//! Many systems allow 1,024 unless asked for more, which is what one flood of connections takes.

/// Descriptors that are left to everything but connections: the store, captures, detectors, the log.
const RESERVED: u64 = 256;

/// Asks for as many as the system allows; gives the number before and after where that changed it.
///
/// # Errors
/// When the system refuses; the number stays what it was.
#[cfg(unix)]
pub fn raise() -> Result<Option<(u64, u64)>, std::io::Error> {
    use nix::sys::resource::{Resource, getrlimit, setrlimit};

    let (before, most) = getrlimit(Resource::RLIMIT_NOFILE)?;
    if before >= most {
        return Ok(None);
    }
    setrlimit(Resource::RLIMIT_NOFILE, most, most)?;
    Ok(Some((before, most)))
}

/// How many connections there may be of those that were asked for.
#[cfg(unix)]
pub(crate) fn connections(wanted: usize) -> usize {
    use nix::sys::resource::{Resource, getrlimit};

    let allowed = getrlimit(Resource::RLIMIT_NOFILE).map_or(u64::MAX, |(now, _)| now);
    // A system that allows less than the reserve still is to be asked whether it is well.
    let left = allowed.saturating_sub(RESERVED).max(allowed / 4);
    wanted.min(usize::try_from(left).unwrap_or(usize::MAX))
}

/// Another system has no such number.
///
/// # Errors
/// Never.
#[cfg(not(unix))]
pub fn raise() -> Result<Option<(u64, u64)>, std::io::Error> {
    Ok(None)
}

#[cfg(not(unix))]
pub(crate) fn connections(wanted: usize) -> usize {
    wanted
}
