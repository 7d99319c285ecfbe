//! The program as its users meet it: the real binary, real files, the real API on a free port.

mod api;
mod bad_input;
mod captures;
mod replay;
mod support;
