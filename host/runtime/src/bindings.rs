//! The contract in `wit/`, as typed calls.

// Generated code: its `unsafe impl`s are what wasmtime's macro derives from the WIT, checked against the
// component's types before the first call.
#![allow(unsafe_code, unreachable_pub, missing_docs, clippy::all)]

wasmtime::component::bindgen!({
    path: "../../wit",
    world: "netsage-detector",
    ownership: Borrowing { duplicate_if_necessary: false },
});
