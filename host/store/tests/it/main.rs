//! One suite of checks, run over every kind of store.

mod alerts;
mod bounds;
mod changes;
mod cuts;
mod damage;
mod delivery;
mod kept;
mod listings;
mod migrations;
mod opening;
mod over_time;
mod provenance;
mod series;
mod shared;
mod side_by_side;
mod suite;
