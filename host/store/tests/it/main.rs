//! One suite of checks, run over every kind of store.

mod alerts;
mod backends;
mod changes;
mod delivery;
mod listings;
mod opening;
mod over_time;
mod sample;
mod suite;
