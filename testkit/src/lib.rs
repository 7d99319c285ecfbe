//! What tests, examples and benchmarks of several crates share.
//!
//! Each module is of a feature, which brings the crates that the module is about. A crate uses this one as a
//! dev-dependency, from `tests/`, `examples/` and never from its own unit tests: those would meet two copies of its types.
//!
//! This crate must never be a dependency of anything that is shipped, and holds no test itself.
//!
//! Start with [`recipe::Recipe`], by which nearly every test of a host makes its detectors.

#![allow(
    clippy::unwrap_used,
    reason = "what tests are made of states its expectations by panicking"
)]

#[cfg(feature = "store")]
pub mod backends;
#[cfg(feature = "capture")]
pub mod capture;
#[cfg(any(
    feature = "http",
    feature = "kafka",
    feature = "mail",
    feature = "nginx",
    feature = "receivers"
))]
pub mod certificates;
pub mod datagrams;
#[cfg(feature = "receivers")]
mod debian;
#[cfg(feature = "system")]
pub mod disk;
#[cfg(feature = "exporters")]
pub mod exporters;
#[cfg(feature = "store")]
pub mod faulty;
#[cfg(feature = "guests")]
pub mod guests;
#[cfg(feature = "http")]
pub mod http_receiver;
#[cfg(feature = "kafka")]
pub mod kafka;
#[cfg(feature = "mail")]
pub mod mail_server;
#[cfg(feature = "receivers")]
pub mod mosquitto;
#[cfg(feature = "nginx")]
pub mod nginx;
#[cfg(any(feature = "kafka", feature = "receivers", feature = "store"))]
pub mod proxy;
pub mod random;
#[cfg(feature = "recipe")]
pub mod recipe;
#[cfg(feature = "store")]
pub mod sample;
#[cfg(feature = "schemas")]
pub mod schemas;
#[cfg(all(feature = "kafka", feature = "store"))]
pub mod scorers;
#[cfg(any(
    feature = "http",
    feature = "kafka",
    feature = "mail",
    feature = "nginx",
    feature = "receivers",
    feature = "schemas",
    feature = "store"
))]
mod server;
#[cfg(feature = "receivers")]
pub mod syslog;
#[cfg(feature = "toy")]
pub mod toy;
#[cfg(feature = "system")]
pub mod wire;
