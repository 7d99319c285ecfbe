//! A detector package for a browser: an ES module, and the core modules that it instantiates.
//!
//! The generator writes names of the component into JavaScript. A package may come from anywhere, so every
//! name is checked before: nothing but letters, digits and `: / @ . - +` gets through.
//!
//! This crate must never run a detector, and the runtime must never depend on it. Start with [`transpile`].

use std::panic::AssertUnwindSafe;

use js_component_bindgen::{BindingsMode, InstantiationMode, TranspileOpts};
use netsage_package::Package;
use netsage_runtime::check::{self, CheckError, check_name};
use wit_component::DecodedWasm;
use wit_parser::{Resolve, TypeDefKind, WorldItem, WorldKey};

/// Name of the ES module. It exports `instantiate(getCoreModule, imports)`, which calls `getCoreModule` with
/// the name of each core module and gives a promise of the component's exports.
pub const MODULE_NAME: &str = "detector.js";

/// A detector for the browser. The artifact is not in it: the page opens a session with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BrowserModule {
    /// [`MODULE_NAME`] and the core modules (`detector.core.wasm`, `detector.core2.wasm`, ...).
    pub files: Vec<BrowserFile>,
}

/// One file of a [`BrowserModule`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BrowserFile {
    /// Name, without a folder.
    pub name: String,
    /// Content.
    pub bytes: Vec<u8>,
}

/// Why a package cannot be turned into an ES module.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BrowserError {
    /// It could not be a detector on the host either.
    #[error(transparent)]
    Check(#[from] CheckError),
    /// The generator cannot read it.
    #[error("the component cannot be turned into JavaScript: {0}")]
    Transpile(String),
}

/// Makes the ES module of a package. The types of its functions are not compared with the contract: a host
/// that hands the module to a browser has loaded the package itself before.
///
/// # Errors
/// See [`BrowserError`].
pub fn transpile(package: &Package) -> Result<BrowserModule, BrowserError> {
    let code = package.code();
    check::check_component(&code)?;
    // Decoding and generating are written for trusted input; on a hostile one they may panic, which must
    // not cost the process. Nothing outlives the call, so nothing is left half-changed.
    std::panic::catch_unwind(AssertUnwindSafe(|| generate(&code)))
        .unwrap_or_else(|_| Err(BrowserError::Transpile("the generator gave up on it".to_owned())))
}

fn generate(code: &[u8]) -> Result<BrowserModule, BrowserError> {
    let failed = |error: &dyn std::fmt::Display| BrowserError::Transpile(format!("{error:#}"));
    match wit_component::decode(code).map_err(|error| failed(&error))? {
        DecodedWasm::Component(resolve, _) => check_names(&resolve)?,
        DecodedWasm::WitPackage(..) => return Err(failed(&"it holds types and no code")),
    }
    let options = TranspileOpts::builder()
        .name("detector".to_owned())
        .no_typescript(true)
        .instantiation_mode(InstantiationMode::Async)
        .import_bindings(BindingsMode::Js)
        .nodejs_compat_disabled(true)
        .base64_cutoff(0)
        .build();
    let transpiled =
        js_component_bindgen::transpile(code, options).map_err(|error| failed(&format!("{error:#}")))?;
    let files = transpiled
        .files
        .into_iter()
        .map(|(name, bytes)| BrowserFile { name, bytes })
        .collect();
    Ok(BrowserModule { files })
}

/// Checks every name that the generator can meet.
fn check_names(resolve: &Resolve) -> Result<(), CheckError> {
    for (_, package) in &resolve.packages {
        check_name("package", &package.name.to_string())?;
    }
    for (_, world) in &resolve.worlds {
        for (key, item) in world.imports.iter().chain(&world.exports) {
            if let WorldKey::Name(name) = key {
                check_name("world item", name)?;
            }
            if let WorldItem::Function(function) = item {
                check_function(function)?;
            }
        }
    }
    for (_, interface) in &resolve.interfaces {
        if let Some(name) = &interface.name {
            check_name("interface", name)?;
        }
        for function in interface.functions.values() {
            check_function(function)?;
        }
    }
    for (_, definition) in &resolve.types {
        if let Some(name) = &definition.name {
            check_name("type", name)?;
        }
        let members: Vec<&str> = match &definition.kind {
            TypeDefKind::Record(record) => record.fields.iter().map(|field| field.name.as_str()).collect(),
            TypeDefKind::Variant(variant) => variant.cases.iter().map(|case| case.name.as_str()).collect(),
            TypeDefKind::Enum(list) => list.cases.iter().map(|case| case.name.as_str()).collect(),
            TypeDefKind::Flags(flags) => flags.flags.iter().map(|flag| flag.name.as_str()).collect(),
            _ => Vec::new(),
        };
        members
            .into_iter()
            .try_for_each(|name| check_name("member", name))?;
    }
    Ok(())
}

fn check_function(function: &wit_parser::Function) -> Result<(), CheckError> {
    // `[method]session.score`: the brackets are the format's own.
    check_name("function", function.item_name())?;
    function
        .params
        .iter()
        .try_for_each(|param| check_name("parameter", &param.name))
}
