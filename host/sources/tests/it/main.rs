//! Tests of the sources: the contract suite, and its members.

mod contract;
mod members;
mod toy;
