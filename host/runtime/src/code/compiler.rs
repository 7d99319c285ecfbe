//! Compiling, in this process or in a child of it.
//!
//! A compiler cannot be interrupted, and its allocations stay with its process. So the program compiles in a child
//! process: the child has a low priority once flows are scored, so that scoring continues, is killed at its deadline, and
//! returns its memory when it ends. Library users and tests compile in place.

use std::borrow::Cow;
use std::ffi::OsString;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use netsage_package::Digest;
use wasmtime::Engine;
use wasmtime::component::Component;

use super::OwnCode;
use super::cache::compatibility;
use crate::engine::engine_config;
use crate::error::LoadError;

/// First bytes of a question and of an answer: name and version of the form.
const MAGIC: [u8; 8] = *b"NSCOMP\0\x01";
/// Bytes of a digest.
const DIGEST_BYTES: usize = 32;
/// Longest component that a child takes, bytes.
const MAX_QUESTION_BYTES: u64 = 128 << 20;
/// Longest answer that is accepted, bytes: compiled code is some three times as large as the component.
const MAX_ANSWER_BYTES: u64 = 1 << 30;
/// Longest reason of a child that refuses, bytes.
const MAX_REASON_BYTES: usize = 4096;
/// Answers.
const COMPILED: u8 = 0;
const REFUSED: u8 = 1;

/// Who compiles detectors.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Compiler {
    /// This process. It cannot be interrupted: the limits on the code's size are what bounds its time.
    #[default]
    InProcess,
    /// A child process, ended when [`crate::RuntimeConfig::compile_budget`] is over. It has the lowest priority once
    /// [`crate::Runtime::give_way`] was called.
    Process {
        /// A program that calls [`serve`] of this crate with its standard input and output. It must be this very
        /// program, because its answer is run as code: see [`Compiler::this_program`].
        program: PathBuf,
        /// Its arguments.
        arguments: Vec<OsString>,
    },
}

impl Compiler {
    /// A child that is the program which runs now, as the kernel holds it open, started with these arguments.
    /// [`Compiler::InProcess`] where the system does not say what runs.
    pub fn this_program(arguments: impl IntoIterator<Item = OsString>) -> Self {
        // The child looks this path up between `fork` and `exec`, when it still is this very program. Under the number of
        // the parent it would find nothing once privileges were given up: what `/proc` shows of a process that has
        // changed its user, or was started with capabilities, is root's.
        let running = PathBuf::from("/proc/self/exe");
        let program = if running.exists() {
            Ok(running)
        } else {
            std::env::current_exe()
        };
        match program {
            Ok(program) => Self::Process {
                program,
                arguments: arguments.into_iter().collect(),
            },
            Err(error) => {
                tracing::warn!(%error, "detectors are compiled in this process");
                Self::InProcess
            }
        }
    }

    /// Compiles a component that has passed the checks, at the lowest priority when it `gives_way`.
    pub(crate) fn compile(
        &self,
        engine: &Engine,
        component: Vec<u8>,
        budget: Duration,
        gives_way: bool,
    ) -> Result<(Component, OwnCode<'static>), LoadError> {
        match self {
            Self::InProcess => {
                let (component, compiled) = compile_here(engine, &component).map_err(LoadError::Invalid)?;
                Ok((component, OwnCode(Cow::Owned(compiled))))
            }
            Self::Process { program, arguments } => {
                let child = start(program, arguments, gives_way).map_err(|error| {
                    LoadError::Compiler(format!("{} does not start: {error}", program.display()))
                })?;
                let answer = ask(child, engine, component, budget)?;
                let code = read_answer(answer, &compatibility(engine))?;
                tracing::debug!(bytes = code.bytes().len(), "detector compiled by a child process");
                let component = super::deserialize(engine, &code)
                    .map_err(|error| LoadError::Compiler(format!("its answer is of no use: {error:#}")))?;
                Ok((component, code))
            }
        }
    }
}

fn compile_here(engine: &Engine, component: &[u8]) -> Result<(Component, Vec<u8>), String> {
    let component = Component::from_binary(engine, component).map_err(|error| format!("{error:#}"))?;
    let compiled = component.serialize().map_err(|error| format!("{error:#}"))?;
    Ok((component, compiled))
}

/// Starts the child. When it gives way its priority is lowered, where there is `renice`; the threads that compile come
/// later, with the question, and inherit the priority.
fn start(program: &Path, arguments: &[OsString], gives_way: bool) -> io::Result<Child> {
    let child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()?;
    if !gives_way {
        return Ok(child);
    }
    let lowered = Command::new("renice")
        .args(["-n", "19", "-p", &child.id().to_string()])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    if !lowered.as_ref().is_ok_and(ExitStatus::success) {
        tracing::debug!(?lowered, "detectors are compiled at the priority of this process");
    }
    Ok(child)
}

/// Sends the component to the child and waits for the answer, at most `budget`.
fn ask(
    mut child: Child,
    engine: &Engine,
    component: Vec<u8>,
    budget: Duration,
) -> Result<Vec<u8>, LoadError> {
    let (Some(mut input), Some(output)) = (child.stdin.take(), child.stdout.take()) else {
        return Err(LoadError::Compiler("it has no pipes".to_owned()));
    };
    let (answered, answer) = mpsc::channel();
    let hash = compatibility(engine);
    // Neither thread outlives the pipes, and these end with the child. They are not joined: a child of the child
    // could hold a pipe open for longer than anybody wants to wait.
    let spawn = |name: &str, work: Box<dyn FnOnce() + Send>| {
        std::thread::Builder::new()
            .name(name.to_owned())
            .spawn(work)
            .map(drop)
    };
    let started = spawn(
        "netsage-compile-in",
        Box::new(move || {
            // A child that ends early says why in its answer, or by having none.
            let _ = write_question(&mut input, &hash, &component);
        }),
    )
    .and_then(|()| {
        spawn(
            "netsage-compile-out",
            Box::new(move || {
                let mut bytes = Vec::new();
                let read = output
                    .take(MAX_ANSWER_BYTES)
                    .read_to_end(&mut bytes)
                    .map(|_| bytes);
                let _ = answered.send(read);
            }),
        )
    });
    let outcome = match started {
        Err(error) => Err(LoadError::Compiler(format!(
            "a thread for it does not start: {error}"
        ))),
        Ok(()) => match answer.recv_timeout(budget) {
            Ok(Ok(bytes)) => Ok(bytes),
            Ok(Err(error)) => Err(LoadError::Compiler(format!("its answer cannot be read: {error}"))),
            Err(_) => Err(LoadError::CompileTime { budget }),
        },
    };
    // One that has answered is ending by itself; any other must not go on.
    if outcome.is_err() {
        let _ = child.kill();
    }
    let status = child.wait();
    match (outcome, status) {
        (Ok(bytes), Ok(status)) if bytes.is_empty() => Err(LoadError::Compiler(format!(
            "it ended without an answer ({status})"
        ))),
        (outcome, _) => outcome,
    }
}

fn write_question(to: &mut impl Write, hash: &Digest, component: &[u8]) -> io::Result<()> {
    to.write_all(&MAGIC)?;
    to.write_all(hash.as_bytes())?;
    to.write_all(&(component.len() as u64).to_le_bytes())?;
    to.write_all(component)?;
    to.flush()
}

fn read_answer(mut bytes: Vec<u8>, ours: &Digest) -> Result<OwnCode<'static>, LoadError> {
    const HEAD: usize = MAGIC.len() + DIGEST_BYTES + 1 + size_of::<u64>();
    let bad = |what: &str| LoadError::Compiler(what.to_owned());
    let head = bytes
        .first_chunk::<HEAD>()
        .ok_or_else(|| bad("its answer is cut off"))?;
    let (magic, rest) = head.split_at(MAGIC.len());
    let (hash, rest) = rest.split_at(DIGEST_BYTES);
    let (kind, length) = rest.split_at(1);
    let length = length
        .iter()
        .rev()
        .fold(0, |sum, byte| sum << 8 | u64::from(*byte));
    if magic != MAGIC || hash != ours.as_bytes() {
        return Err(bad("it is another program than this one"));
    }
    if length != (bytes.len() - HEAD) as u64 {
        return Err(bad("its answer is cut off"));
    }
    let kind = kind[0];
    bytes.drain(..HEAD);
    match kind {
        COMPILED => Ok(OwnCode(Cow::Owned(bytes))),
        REFUSED => {
            bytes.truncate(MAX_REASON_BYTES);
            Err(LoadError::Invalid(String::from_utf8_lossy(&bytes).into_owned()))
        }
        _ => Err(bad("its answer is of no known kind")),
    }
}

/// What the child does: reads a component, compiles it, writes the code. Standard input and output of the process that
/// [`Compiler::Process`] names.
///
/// # Errors
/// When the pipes break or the question comes from another version of this crate. A component that cannot be compiled
/// is an answer.
pub fn serve(mut input: impl Read, mut output: impl Write) -> io::Result<()> {
    let invalid = |what: &str| io::Error::new(io::ErrorKind::InvalidData, what.to_owned());
    let mut head = [0; MAGIC.len() + DIGEST_BYTES + size_of::<u64>()];
    input.read_exact(&mut head)?;
    let (magic, rest) = head.split_at(MAGIC.len());
    let (hash, length) = rest.split_at(DIGEST_BYTES);
    let length = length
        .iter()
        .rev()
        .fold(0, |sum, byte| sum << 8 | u64::from(*byte));
    let engine = Engine::new(&engine_config(crate::RuntimeConfig::default().stack_limit))
        .map_err(|error| io::Error::other(format!("{error:#}")))?;
    let ours = compatibility(&engine);
    if magic != MAGIC || hash != ours.as_bytes() {
        return Err(invalid("the question comes from another version of this program"));
    }
    if length > MAX_QUESTION_BYTES {
        return Err(invalid("the component is too large"));
    }
    let mut component = Vec::new();
    input.take(length).read_to_end(&mut component)?;
    if component.len() as u64 != length {
        return Err(invalid("the component is cut off"));
    }
    let (kind, bytes) = match compile_here(&engine, &component) {
        Ok((_, compiled)) => (COMPILED, compiled),
        Err(reason) => (REFUSED, reason.into_bytes()),
    };
    output.write_all(&MAGIC)?;
    output.write_all(ours.as_bytes())?;
    output.write_all(&[kind])?;
    output.write_all(&(bytes.len() as u64).to_le_bytes())?;
    output.write_all(&bytes)?;
    output.flush()
}

#[cfg(test)]
mod tests {
    use super::{compatibility, read_answer, serve, write_question};
    use crate::RuntimeConfig;
    use crate::engine::engine_config;

    #[test]
    fn a_child_answers_a_whole_question_and_nothing_else() {
        let engine = wasmtime::Engine::new(&engine_config(RuntimeConfig::default().stack_limit)).unwrap();
        let hash = compatibility(&engine);
        let answer = |component: &[u8]| {
            let (mut question, mut answer) = (Vec::new(), Vec::new());
            write_question(&mut question, &hash, component).unwrap();
            serve(question.as_slice(), &mut answer).unwrap();
            for end in [0, 5, 47, question.len() - 1] {
                assert!(serve(&question[..end], &mut Vec::new()).is_err());
            }
            question[10] ^= 1;
            assert!(
                serve(question.as_slice(), &mut Vec::new()).is_err(),
                "another engine"
            );
            answer
        };
        let good = answer(b"\0asm\x0d\0\x01\0");
        let code = read_answer(good.clone(), &hash).unwrap();
        assert!(super::super::deserialize(&engine, &code).is_ok());
        let refused = |bytes: &[u8], expected: &str| {
            let error = read_answer(bytes.to_vec(), &hash)
                .map(|_| ())
                .unwrap_err()
                .to_string();
            assert!(error.contains(expected), "{error:?} does not say {expected:?}");
        };
        refused(&answer(b"\0asm\x0d\0\x01\0junk"), "not valid");
        refused(&good[..good.len() - 1], "cut off");
        refused(&good[..20], "cut off");
        refused(&[b"x", &good[1..]].concat(), "another program");
        refused(&[&good[..40], &[7], &good[41..]].concat(), "no known kind");
    }
}
