//! The measures against what they are defined to be.

mod measures;
mod rows;
mod state;
