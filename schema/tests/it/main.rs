//! Tests of the schema crate through its public interface.

mod csv;
mod features;
mod tables;
mod vocabularies;
