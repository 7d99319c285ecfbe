//! Giving up privileges once the interfaces are open.
//!
//! Capturing needs `CAP_NET_RAW` and nothing else. A program that root started with `--user NAME` goes on as that
//! user: [`become_user`] changes groups, group and user of the whole process, keeps `CAP_NET_RAW` as the one
//! capability, and refuses to go on when any of this did not happen. The threads of the interfaces, started next,
//! inherit that capability, because an interface that went away can only be opened again with it.
//! [`give_up_capabilities`] then takes it from the thread that goes on, and so from every thread that it starts:
//! the server, the detectors and the store have none. The same holds when the system grants `CAP_NET_RAW` to a
//! program that never was root (`AmbientCapabilities` of systemd, `setcap`).
//!
//! Capabilities belong to threads, users to processes: both functions must be called before any thread is
//! started that shall not keep what the caller had.

/// Why privileges could not be given up. The program must not go on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PrivilegeError {
    /// There is no such user.
    #[error("there is no user `{user}` on this machine; name an ordinary one with `--user`")]
    UnknownUser {
        /// The name.
        user: String,
    },
    /// The user is root.
    #[error("`{user}` is root, which gives nothing up; name an ordinary user with `--user`")]
    Root {
        /// The name.
        user: String,
    },
    /// The system refused a step.
    #[error(
        "cannot go on as user `{user}`: {step} failed: {reason}; start the program as root, or as `{user}` without `--user`"
    )]
    Refused {
        /// The name.
        user: String,
        /// What was tried.
        step: &'static str,
        /// What the system says.
        reason: String,
    },
    /// Everything was done and root is still within reach.
    #[error("cannot go on as user `{user}`: root could be had back afterwards; this is a defect of netsage")]
    StillRoot {
        /// The name.
        user: String,
    },
    /// The capabilities of a thread could not be cleared.
    #[error("cannot give up the capability to capture: {reason}")]
    Capabilities {
        /// What the system says.
        reason: String,
    },
    /// Another system than Linux, or a program without live capture.
    #[error("this program cannot change its user; start it as the user it shall have, without `--user`")]
    Unsupported,
}

#[cfg(all(target_os = "linux", feature = "live"))]
pub use linux::{become_user, give_up_capabilities};

#[cfg(all(target_os = "linux", feature = "live"))]
mod linux {
    use std::fmt::Display;

    use caps::{CapSet, Capability, CapsHashSet};
    use nix::sys::prctl;
    use nix::unistd::{Uid, User, getegid, geteuid, getgid, getuid, setgid, setgroups, setuid};

    use super::PrivilegeError;

    /// Goes on as another user, with `CAP_NET_RAW` as the only capability if it was there.
    ///
    /// # Errors
    /// When the user is unknown or root, or the system refuses a step. What was changed until then stays changed.
    pub fn become_user(name: &str) -> Result<(), PrivilegeError> {
        let refused = |step| {
            move |reason: &dyn Display| PrivilegeError::Refused {
                user: name.to_owned(),
                step,
                reason: reason.to_string(),
            }
        };
        let user = User::from_name(name)
            .map_err(|error| refused("looking the user up")(&error))?
            .ok_or_else(|| PrivilegeError::UnknownUser {
                user: name.to_owned(),
            })?;
        if user.uid.is_root() {
            return Err(PrivilegeError::Root {
                user: name.to_owned(),
            });
        }
        let kept =
            permitted(Capability::CAP_NET_RAW).map_err(|error| refused("reading capabilities")(&error))?;
        let is_user = || getuid() == user.uid && geteuid() == user.uid;
        let is_group = || getgid() == user.gid && getegid() == user.gid;
        if !is_user() || !is_group() {
            // Without this the change of the user takes every capability away.
            prctl::set_keepcaps(true).map_err(|error| refused("keeping CAP_NET_RAW")(&error))?;
            // In this order: without its privileges the program could not leave its groups any more.
            setgroups(&[user.gid]).map_err(|error| refused("leaving the groups")(&error))?;
            setgid(user.gid).map_err(|error| refused("changing the group")(&error))?;
            setuid(user.uid).map_err(|error| refused("changing the user")(&error))?;
            prctl::set_keepcaps(false).map_err(|error| refused("dropping capabilities")(&error))?;
        }
        set_capabilities(&kept).map_err(|error| refused("dropping capabilities")(&error))?;
        prctl::set_no_new_privs().map_err(|error| refused("closing the way back")(&error))?;
        if !is_user() || !is_group() || setuid(Uid::from_raw(0)).is_ok() {
            return Err(PrivilegeError::StillRoot {
                user: name.to_owned(),
            });
        }
        Ok(())
    }

    /// Takes every capability from this thread, and so from the threads and programs that it starts. A program that root started without
    /// `--user` stays root.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn give_up_capabilities() -> Result<(), PrivilegeError> {
        if geteuid().is_root() {
            return Ok(());
        }
        let refused = |reason: &dyn Display| PrivilegeError::Capabilities {
            reason: reason.to_string(),
        };
        set_capabilities(&CapsHashSet::new()).map_err(|error| refused(&error))?;
        // The child that compiles is this program again, whose file may grant what was just given up.
        prctl::set_no_new_privs().map_err(|error| refused(&error))
    }

    /// The set of this capability, empty when the program does not have it.
    fn permitted(capability: Capability) -> Result<CapsHashSet, caps::errors::CapsError> {
        let mut permitted = caps::read(None, CapSet::Permitted)?;
        permitted.retain(|held| *held == capability);
        Ok(permitted)
    }

    /// What is not permitted cannot be effective, inheritable beyond that would only serve other programs, and
    /// the ambient set follows the permitted one.
    fn set_capabilities(kept: &CapsHashSet) -> Result<(), caps::errors::CapsError> {
        caps::clear(None, CapSet::Inheritable)?;
        caps::set(None, CapSet::Effective, kept)?;
        caps::set(None, CapSet::Permitted, kept)
    }
}

/// Another system has no such means here.
///
/// # Errors
/// Always.
#[cfg(not(all(target_os = "linux", feature = "live")))]
pub fn become_user(_name: &str) -> Result<(), PrivilegeError> {
    Err(PrivilegeError::Unsupported)
}

/// There is nothing to give up.
///
/// # Errors
/// Never.
#[cfg(not(all(target_os = "linux", feature = "live")))]
pub fn give_up_capabilities() -> Result<(), PrivilegeError> {
    Ok(())
}
