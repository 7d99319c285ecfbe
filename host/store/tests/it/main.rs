//! One suite of checks, run over every kind of store.

mod alerts;
mod bounds;
mod changes;
mod damage;
mod delivery;
mod listings;
mod opening;
mod over_time;
mod side_by_side;
mod suite;
