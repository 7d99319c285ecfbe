//! The measures and the window against what they are defined to be.

mod measures;
mod rows;
mod state;
mod windows;
