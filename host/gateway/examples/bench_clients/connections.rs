//! What clients that take connections and give nothing cost the others.
//!
//! Starts the program three times: opens 2,000 connections of each kind at a time, and asks meanwhile whether the program
//! is well; sends the halves of 100 bodies of 15 MB; sends 2,000 wrong tokens.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::server::{PATIENCE, Server};

const CONNECTIONS: usize = 2_000;
const BODIES: usize = 100;
const BODY_BYTES: usize = 15_000_000;
const GUESSES: usize = 2_000;
/// Questions whether the program is well while others keep it busy.
const QUESTIONS: usize = 50;

/// Prints a JSON line for each kind of client.
pub(crate) fn measure(program: &Path) {
    let kinds: [(&str, &[u8]); 4] = [
        ("idle", b""),
        ("half a head", b"GET / HTTP/1.1\r\nHost: loc"),
        (
            "half a body",
            b"POST /api/v1/score HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\nhalf",
        ),
        ("a byte a second", b"G"),
    ];
    {
        let server = Server::start(program, &[]);
        for (kind, first) in kinds {
            println!("{}", hold(&server, kind, first));
        }
    }
    {
        // One of its own: memory that was used once stays with the allocator.
        let server = Server::start(program, &[]);
        println!("{}", bodies(&server));
    }
    let server = Server::start(program, &["--token", "correct-horse-battery"]);
    println!("{}", guesses(&server));
}

/// Holds connections of one kind and asks the program how it is.
fn hold(server: &Server, kind: &str, first: &[u8]) -> serde_json::Value {
    let opened = Instant::now();
    let mut streams: Vec<TcpStream> = (0..CONNECTIONS).filter_map(|_| server.connect()).collect();
    let opened_now = streams.len();
    for stream in &mut streams {
        // Those pushed out by now are closed.
        let _ = stream.write_all(first);
    }
    let mut times = Vec::new();
    for question in 0..QUESTIONS {
        if kind == "a byte a second" && question % 10 == 0 {
            streams.iter_mut().for_each(|stream| drop(stream.write_all(b"E")));
        }
        let asked = Instant::now();
        if server.is_well() {
            times.push(asked.elapsed());
        }
        thread::sleep(Duration::from_millis(100));
    }
    let descriptors = server.descriptors();
    for stream in &mut streams {
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        // Ends when the program closes the connection.
        let _ = stream.read_to_end(&mut Vec::new());
    }
    times.sort_unstable();
    let milliseconds = |time: Option<&Duration>| time.map(|time| time.as_secs_f64() * 1e3);
    json!({
        "bench": "connections",
        "kind": kind,
        "opened": opened_now,
        "health_asked": QUESTIONS,
        "health_answered": times.len(),
        "health_median_ms": milliseconds(times.get(times.len() / 2)),
        "health_slowest_ms": milliseconds(times.last()),
        "descriptors_of_the_program": descriptors,
        "all_closed_after_s": opened.elapsed().as_secs_f64(),
    })
}

/// Sends the first halves of many bodies.
fn bodies(server: &Server) -> serde_json::Value {
    let before = server.memory("VmRSS:");
    let head =
        format!("POST /api/v1/detectors HTTP/1.1\r\nHost: localhost\r\nContent-Length: {BODY_BYTES}\r\n\r\n");
    let half = vec![0_u8; BODY_BYTES / 2];
    let mut streams: Vec<TcpStream> = (0..BODIES).filter_map(|_| server.connect()).collect();
    thread::scope(|scope| {
        for stream in &mut streams {
            let (head, half) = (&head, &half);
            scope.spawn(move || {
                stream.set_write_timeout(Some(PATIENCE)).unwrap();
                let _ = stream
                    .write_all(head.as_bytes())
                    .and_then(|()| stream.write_all(half));
            });
        }
    });
    let answered = server.is_well();
    let highest = server.memory("VmHWM:");
    let mut refused = 0;
    for stream in &mut streams {
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        refused += usize::from(answer.starts_with(b"HTTP/1.1 503"));
    }
    json!({
        "bench": "half-sent bodies",
        "bodies": BODIES,
        "bytes_sent": BODIES * BODY_BYTES / 2,
        "refused_for_memory": refused,
        "health_answered": answered,
        "memory_before_mb": before,
        "memory_highest_mb": highest,
    })
}

/// Guesses the token as fast as answers come.
fn guesses(server: &Server) -> serde_json::Value {
    let begun = Instant::now();
    let looked_at = (0..GUESSES)
        .filter(|guess| {
            let head = format!("GET /api/v1/alerts HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer wrong-{guess}-guess\r\nConnection: close\r\n\r\n");
            server.ask(head.as_bytes()).is_some_and(|answer| answer.starts_with("HTTP/1.1 401"))
        })
        .count();
    json!({
        "bench": "token guesses",
        "guesses": GUESSES,
        "looked_at": looked_at,
        "seconds": begun.elapsed().as_secs_f64(),
    })
}
