//! The contract in `wit/`, as typed calls.

// Generated code is not written to our lints.
#![allow(unreachable_pub, missing_docs, clippy::all)]

wasmtime::component::bindgen!({
    path: "../../wit",
    world: "netsage-detector",
    ownership: Borrowing { duplicate_if_necessary: false },
});
