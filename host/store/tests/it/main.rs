//! One suite of checks, run over every kind of store.

mod backends;
mod opening;
mod sample;
mod suite;
