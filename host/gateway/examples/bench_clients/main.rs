//! What clients that mean no good cost the others, as JSON lines: `bench_clients PROGRAM connections`, or `readers`.

// A benchmark reports on the terminal.
#![allow(clippy::print_stdout, clippy::unwrap_used)]

mod connections;
mod readers;
mod server;

use std::env;
use std::path::PathBuf;

use netsage_gateway::descriptors;

fn main() {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [program, clients] = &arguments[..] else {
        panic!("the arguments are the path of netsage, and `connections` or `readers`");
    };
    descriptors::raise().unwrap();
    let program = PathBuf::from(program);
    match clients.as_str() {
        "connections" => connections::measure(&program),
        "readers" => println!("{}", readers::measure(&program)),
        other => panic!("`{other}` is neither `connections` nor `readers`"),
    }
}
