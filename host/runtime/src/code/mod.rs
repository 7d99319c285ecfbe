//! Compiled code: where it comes from, and why it may be run.
//!
//! Loading compiled code means running it, so there is one type for bytes that may be loaded, [`OwnCode`], and only
//! the submodules here can make one: [`compiler`] of what it has just compiled, [`cache`] of what verifies as written
//! by this installation.

pub(crate) mod cache;
pub mod compiler;

use std::borrow::Cow;

use wasmtime::Engine;
use wasmtime::component::Component;

/// Output of `Component::serialize` of this program.
pub(crate) struct OwnCode<'a>(Cow<'a, [u8]>);

impl OwnCode<'_> {
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.0
    }
}

/// Turns own code into a component. The one `unsafe` of this crate that is written by hand; the benchmark that asks
/// for it: compiling takes some hundred milliseconds, loading a few (`cargo xtask bench runtime`).
#[allow(unsafe_code)]
pub(crate) fn deserialize(engine: &Engine, code: &OwnCode<'_>) -> wasmtime::Result<Component> {
    // SAFETY: `Component::deserialize` asks that the bytes are unmodified output of `Component::serialize`. They are,
    // because an `OwnCode` is made in two places only:
    //
    // 1. `Cache::load`, after the HMAC-SHA-256 under the key of this installation matched. Only `Cache::store`
    //    computes that hash, over an `OwnCode`; the key comes from the system's random source, lies in a directory
    //    with mode 0700 and never leaves the module, so no other bytes can carry a matching hash unless their author
    //    can read this user's private files, and so needs no detector to run code as that user. The hash also covers
    //    the code digest and the compatibility hash of the engine, so an old or exchanged file does not match either.
    //
    // 2. `compiler`: either of the result of `serialize` in this process, or of what a child process wrote that this
    //    process has just started. The child is the program that the embedder named in `Compiler::Process`, which must
    //    be one whose `compiler::serve` is this very crate: `netsage` names its own executable as the kernel holds it
    //    open, so a file that was exchanged meanwhile is not run. The child writes to an anonymous pipe whose other
    //    ends no third process holds, sends what `serialize` returned behind its length, and names the compatibility
    //    hash of its engine, which must be ours; an answer that is cut off, too long or of another engine makes no
    //    `OwnCode`. What a detector's author controls is the component that is compiled, and compiling it here would
    //    trust the same compiler with the same bytes.
    //
    // wasmtime checks its own version and settings once more.
    unsafe { Component::deserialize(engine, code.bytes()) }
}
