//! The contract in `wit/`, as typed calls.

// Generated code is not written to our lints.
#![allow(unreachable_pub, missing_docs, clippy::all)]

wasmtime::component::bindgen!({
    path: "../../wit",
    // The world with every interface; which of them a component exports is looked up for each component.
    world: "explaining-learning-detector",
    ownership: Borrowing { duplicate_if_necessary: false },
});
