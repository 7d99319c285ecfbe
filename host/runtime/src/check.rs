//! Checks of a component before it is compiled.
//!
//! Compiling costs time, and a person who uploads the wrong file wants to know what is wrong with it, so the
//! imports and exports are read first. The exact types are compared by wasmtime when the code is loaded.

use netsage_package::Package;
use wasmparser::{ComponentExternalKind, Parser, Payload};

/// The namespace of the contract. The host must know every export in it, since such an export is a promise to the host.
const NAMESPACE: &str = "netsage:";
/// The package of the contract, and the interface in it that every detector exports.
const PACKAGE: &str = "netsage:detector/";
const DETECTOR: &str = "detector";
/// The interfaces that a detector may export besides.
const OPTIONAL: [&str; 3] = ["explainer", MEMORY, LEARNER];
const MEMORY: &str = "memory";
const LEARNER: &str = "learner";
/// The version of the contract. A host accepts this minor version and all earlier ones.
const VERSION: (u32, u32) = (1, 0);
/// Names are quoted in messages and in generated JavaScript; nothing longer is a name.
const MAX_NAME_BYTES: usize = 128;

/// Limits on the code that is compiled. Compiling takes time and memory in proportion to the code, and more than that
/// for one very long function.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CodeLimits {
    /// The component without artifact, card and golden vectors, bytes.
    pub bytes: usize,
    /// Functions, those of all modules together.
    pub functions: usize,
    /// The body of one function, bytes.
    pub function_bytes: usize,
    /// Modules and components in it.
    pub modules: usize,
}

impl Default for CodeLimits {
    fn default() -> Self {
        Self {
            bytes: 32 << 20,
            functions: 100_000,
            function_bytes: 1 << 20,
            modules: 64,
        }
    }
}

/// Why a component cannot be a detector here.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CheckError {
    /// The bytes do not parse.
    #[error("the component is damaged at byte {offset}: {reason}; copy or build it again")]
    Damaged {
        /// Where, from the start of the code without artifact and card.
        offset: u64,
        /// What is wrong there.
        reason: String,
    },
    /// The component exceeds a limit on code.
    #[error(
        "the component has {found} {what}, and {limit} are allowed; build it with less code, or raise the limit"
    )]
    TooLarge {
        /// What there is too much of, with its unit.
        what: &'static str,
        /// How much, at least.
        found: usize,
        /// The most there may be.
        limit: usize,
    },
    /// The component has imports.
    #[error("a detector may import nothing, but this one imports {}; build it for wasm32-unknown-unknown", list(.0))]
    Imports(Vec<RefusedImport>),
    /// A name holds characters that are not allowed.
    #[error(
        "the {what} name {name:?} holds other characters than a-z A-Z 0-9 : / @ . - + or is longer than 128 bytes"
    )]
    BadName {
        /// `import`, `export`, ...
        what: &'static str,
        /// The name, cut to 128 characters.
        name: String,
    },
    /// The component does not export the interface.
    #[error(
        "the component is built for another world: it exports {exports}, not `netsage:detector/detector@{}.{}`; build \
         it against wit/detector.wit", VERSION.0, VERSION.1
    )]
    OtherWorld {
        /// What it exports, in words.
        exports: String,
    },
    /// The component exports a version that this host does not support.
    #[error(
        "the component is built for `netsage:detector` version {found}, and this host speaks {}.0 to {}.{}; build it \
         against the wit/detector.wit of this version, or use a newer host", VERSION.0, VERSION.0, VERSION.1
    )]
    OtherVersion {
        /// The version it exports.
        found: String,
    },
    /// The component exports a name in the namespace `netsage:` that this host does not know.
    #[error(
        "the component exports `{name}`, which `netsage:detector` {}.{} does not have; build it against wit/detector.wit",
        VERSION.0, VERSION.1
    )]
    UnknownExport {
        /// The export.
        name: String,
    },
    /// The detector learns and has no `memory` to save.
    #[error("the component exports `learner` without `memory`, so that what it learns is lost; export both")]
    LearnerWithoutMemory,
}

/// An import that is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefusedImport {
    /// Its name.
    pub name: String,
    /// Why a detector must not have it.
    pub reason: &'static str,
    /// How to do without.
    pub advice: &'static str,
}

fn list(imports: &[RefusedImport]) -> String {
    let items: Vec<String> = imports
        .iter()
        .map(|import| format!("`{}` ({}; {})", import.name, import.reason, import.advice))
        .collect();
    items.join(", ")
}

/// Checks imports, exports and names of a package's code.
///
/// # Errors
/// See [`CheckError`].
pub fn check(package: &Package) -> Result<(), CheckError> {
    check_component(&package.code())
}

/// As [`check`], for the bytes of a component.
///
/// # Errors
/// See [`CheckError`].
pub fn check_component(code: &[u8]) -> Result<(), CheckError> {
    check_code(code, &CodeLimits::default())
}

/// As [`check_component`], with the given limits.
///
/// # Errors
/// See [`CheckError`].
pub fn check_code(code: &[u8], limits: &CodeLimits) -> Result<(), CheckError> {
    let surface = Surface::read(code, limits)?;
    if !surface.imports.is_empty() {
        let refused = surface.imports.into_iter().map(|name| {
            let (reason, advice) = refusal(&name);
            RefusedImport { name, reason, advice }
        });
        return Err(CheckError::Imports(refused.collect()));
    }
    let interfaces = surface.interfaces()?;
    if !interfaces.contains(&DETECTOR) {
        let names: Vec<String> = surface
            .exports
            .iter()
            .take(8)
            .map(|(name, _)| format!("`{name}`"))
            .collect();
        return Err(CheckError::OtherWorld {
            exports: if names.is_empty() {
                "nothing".to_owned()
            } else {
                names.join(", ")
            },
        });
    }
    if interfaces.contains(&LEARNER) && !interfaces.contains(&MEMORY) {
        return Err(CheckError::LearnerWithoutMemory);
    }
    Ok(())
}

/// Whether a host accepts interfaces of this version: the major version must be that of the host, the minor version at
/// most that of the host.
fn is_taken(version: &str) -> bool {
    let mut parts = version.split('.').map(|part| part.parse::<u32>().ok());
    let numbers = [parts.next(), parts.next(), parts.next()].map(Option::flatten);
    let [Some(major), Some(minor), Some(_)] = numbers else {
        return false;
    };
    parts.next().is_none() && major == VERSION.0 && minor <= VERSION.1
}

/// Refuses names with characters that have a meaning on a terminal or in generated code. `what` is the kind of the
/// name, for the error.
///
/// # Errors
/// [`CheckError::BadName`] unless the name has 1 to 128 bytes, all of them letters, digits or `: / @ . - +`.
pub fn check_name(what: &'static str, name: &str) -> Result<(), CheckError> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b":/@.-+".contains(&byte);
    if (1..=MAX_NAME_BYTES).contains(&name.len()) && name.bytes().all(plain) {
        Ok(())
    } else {
        Err(CheckError::BadName {
            what,
            name: name.chars().take(MAX_NAME_BYTES).collect(),
        })
    }
}

/// What a component shows at its top level.
#[derive(Default)]
struct Surface {
    imports: Vec<String>,
    exports: Vec<(String, ComponentExternalKind)>,
}

impl Surface {
    /// The interfaces of the contract that it exports, without package and version.
    fn interfaces(&self) -> Result<Vec<&str>, CheckError> {
        let mut interfaces = Vec::new();
        for (name, kind) in self
            .exports
            .iter()
            .filter(|(name, _)| name.starts_with(NAMESPACE))
        {
            let unknown = || CheckError::UnknownExport { name: name.clone() };
            let (interface, version) = name
                .strip_prefix(PACKAGE)
                .and_then(|rest| rest.split_once('@'))
                .ok_or_else(unknown)?;
            if !is_taken(version) {
                return Err(CheckError::OtherVersion {
                    found: version.to_owned(),
                });
            }
            let is_known = interface == DETECTOR || OPTIONAL.contains(&interface);
            if !is_known || *kind != ComponentExternalKind::Instance {
                return Err(unknown());
            }
            interfaces.push(interface);
        }
        Ok(interfaces)
    }

    fn read(code: &[u8], limits: &CodeLimits) -> Result<Self, CheckError> {
        within("bytes of code", code.len(), limits.bytes)?;
        let mut surface = Self::default();
        let mut depth = 0_u32;
        let (mut functions, mut modules) = (0_usize, 0);
        for payload in Parser::new(0).parse_all(code) {
            match payload.map_err(damaged)? {
                Payload::ModuleSection { .. } | Payload::ComponentSection { .. } => {
                    depth += 1;
                    modules += 1;
                    within("modules", modules, limits.modules)?;
                }
                Payload::CodeSectionStart { count, .. } => {
                    functions = functions.saturating_add(count as usize);
                    within("functions", functions, limits.functions)?;
                }
                Payload::CodeSectionEntry(body) => {
                    let range = body.range();
                    let bytes = usize::try_from(range.end - range.start).unwrap_or(usize::MAX);
                    within("bytes of code in one function", bytes, limits.function_bytes)?;
                }
                Payload::End(_) => depth = depth.saturating_sub(1),
                Payload::ComponentImportSection(section) if depth == 0 => {
                    for import in section {
                        let name = import.map_err(damaged)?.name.name;
                        check_name("import", name)?;
                        surface.imports.push(name.to_owned());
                    }
                }
                Payload::ComponentExportSection(section) if depth == 0 => {
                    for export in section {
                        let export = export.map_err(damaged)?;
                        check_name("export", export.name.name)?;
                        surface.exports.push((export.name.name.to_owned(), export.kind));
                    }
                }
                _ => {}
            }
        }
        Ok(surface)
    }
}

fn within(what: &'static str, found: usize, limit: usize) -> Result<(), CheckError> {
    if found > limit {
        return Err(CheckError::TooLarge { what, found, limit });
    }
    Ok(())
}

#[expect(clippy::needless_pass_by_value, reason = "used as a function in `map_err`")]
fn damaged(error: wasmparser::BinaryReaderError) -> CheckError {
    CheckError::Damaged {
        offset: error.offset(),
        reason: error.message().to_owned(),
    }
}

/// Why an import is refused, by what it would give, and how to do without it.
fn refusal(import: &str) -> (&'static str, &'static str) {
    const REFUSALS: [(&str, &str, &str); 7] = [
        (
            "wasi:clocks/",
            "a clock: scores would depend on when they are made",
            "ask for the context `start-time`",
        ),
        (
            "wasi:random/",
            "random numbers: scores could not be repeated",
            "seed a generator from the artifact, and hash maps with a constant",
        ),
        (
            "wasi:filesystem/",
            "files: a detector sees only the rows it is given",
            "put what it reads into the artifact",
        ),
        (
            "wasi:sockets/",
            "the network: what it sees must not leave the host",
            "leave out what connects",
        ),
        (
            "wasi:http/",
            "the network: what it sees must not leave the host",
            "leave out what connects",
        ),
        (
            "wasi:cli/",
            "the process: a detector sees only the rows it is given",
            "leave out arguments, variables and printing; a panic's message is such printing too",
        ),
        (
            "wasi:io/",
            "streams: a detector sees only the rows it is given",
            "leave out printing and reading",
        ),
    ];
    REFUSALS
        .iter()
        .find(|(prefix, ..)| import.starts_with(prefix))
        .map_or(
            (
                "this host gives a detector nothing but its rows",
                "leave out what calls it",
            ),
            |(_, reason, advice)| (*reason, *advice),
        )
}
