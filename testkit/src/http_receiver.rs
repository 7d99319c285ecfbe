//! A receiver of posts by HTTP that can be told to fail.

use std::collections::VecDeque;
use std::io::{self, BufRead as _, BufReader, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use rustls::{ServerConfig, ServerConnection, StreamOwned};

/// Longest head and body that are read.
const LONGEST: u64 = 64 << 20;

/// What the receiver does with a post.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Manner {
    /// Takes it, and answers with 200 and this body.
    Takes(&'static str),
    /// Does not take it, and answers with this status, these further header lines and this body.
    Answers(u16, &'static str, String),
    /// Reads it, takes it not, and says nothing until the sender goes away or the receiver stops.
    Silent,
    /// Reads its head and closes.
    CutsPost,
    /// Takes it, and closes without an answer.
    LosesAnswer,
    /// Takes it, and closes in the middle of the answer's body.
    CutsAnswer,
    /// Closes once it has read anything.
    Closes,
}

/// A post that was taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Post {
    /// What it was posted to.
    pub target: String,
    /// Its headers, their names in small letters.
    pub headers: Vec<(String, String)>,
    /// Its body.
    pub body: Vec<u8>,
    /// The certificate that its sender has appeared with, as DER.
    pub peer: Option<Vec<u8>>,
}

impl Post {
    /// The value of a header, empty where it is missing.
    pub fn header(&self, name: &str) -> &str {
        let found = self.headers.iter().find(|(known, _)| known == name);
        found.map_or("", |(_, value)| value)
    }
}

/// A receiver; it stops when it is dropped.
pub struct HttpReceiver {
    address: SocketAddr,
    tls: Option<Arc<ServerConfig>>,
    state: Arc<State>,
    listening: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct State {
    stops: AtomicBool,
    requests: AtomicUsize,
    connections: AtomicUsize,
    manner: Mutex<Manners>,
    taken: Mutex<Vec<Post>>,
    open: Mutex<Vec<TcpStream>>,
}

struct Manners {
    usual: Manner,
    next: VecDeque<Manner>,
}

impl Default for Manners {
    fn default() -> Self {
        Self {
            usual: Manner::Takes("ok"),
            next: VecDeque::new(),
        }
    }
}

impl HttpReceiver {
    /// Starts one on the loopback interface.
    pub fn start() -> Self {
        Self::at(IpAddr::V4(Ipv4Addr::LOCALHOST), None)
    }

    /// Starts one at an address of this machine, with TLS where a configuration is given.
    pub fn at(address: IpAddr, tls: Option<Arc<ServerConfig>>) -> Self {
        let mut receiver = Self {
            address: SocketAddr::new(address, 0),
            tls,
            state: Arc::default(),
            listening: None,
        };
        receiver.restart();
        receiver
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// An address to post to.
    pub fn url(&self) -> String {
        let scheme = if self.tls.is_some() { "https" } else { "http" };
        format!("{scheme}://{}/hook", self.address)
    }

    /// What it does with every post from now on.
    pub fn set(&self, manner: Manner) {
        let mut manners = locked(&self.state.manner);
        manners.usual = manner;
        manners.next.clear();
    }

    /// What it does with the next post that has nothing planned for it yet.
    pub fn plan(&self, manner: Manner) {
        locked(&self.state.manner).next.push_back(manner);
    }

    /// The posts that it has taken, in their order.
    pub fn taken(&self) -> Vec<Post> {
        locked(&self.state.taken).clone()
    }

    /// How many heads of requests it has read, over all restarts.
    pub fn requests(&self) -> usize {
        self.state.requests.load(Ordering::Acquire)
    }

    /// How many connections were made to it, over all restarts.
    pub fn connections(&self) -> usize {
        self.state.connections.load(Ordering::Acquire)
    }

    /// Ends every connection, and listens no more.
    pub fn stop(&mut self) {
        self.state.stops.store(true, Ordering::Release);
        if let Some(listening) = self.listening.take() {
            listening.join().expect("listens to its end");
        }
        for stream in locked(&self.state.open).drain(..) {
            // The sender may have closed it.
            let _ = stream.shutdown(Shutdown::Both);
        }
    }

    /// Listens again, at the address of before.
    pub fn restart(&mut self) {
        self.stop();
        self.state.stops.store(false, Ordering::Release);
        let listener = TcpListener::bind(self.address).expect("the address is free");
        self.address = listener.local_addr().expect("it is bound");
        listener.set_nonblocking(true).expect("a socket can wait");
        let (state, tls) = (Arc::clone(&self.state), self.tls.clone());
        self.listening = Some(thread::spawn(move || listen(&listener, &state, tls.as_ref())));
    }
}

impl Drop for HttpReceiver {
    fn drop(&mut self) {
        self.stop();
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn listen(listener: &TcpListener, state: &Arc<State>, tls: Option<&Arc<ServerConfig>>) {
    while !state.stops.load(Ordering::Acquire) {
        let Ok((stream, _)) = listener.accept() else {
            thread::sleep(Duration::from_millis(1));
            continue;
        };
        state.connections.fetch_add(1, Ordering::AcqRel);
        stream.set_nonblocking(false).expect("a socket can wait");
        if let Ok(clone) = stream.try_clone() {
            locked(&state.open).push(clone);
        }
        let (state, tls) = (Arc::clone(state), tls.cloned());
        thread::spawn(move || {
            let whole = stream.try_clone();
            // A connection that breaks is what many tests are about.
            let _ = match tls {
                None => serve(stream, &state, |_| None),
                Some(tls) => {
                    let connection = ServerConnection::new(tls).expect("a configuration that serves");
                    serve(StreamOwned::new(connection, stream), &state, |stream| {
                        Some(stream.conn.peer_certificates()?.first()?.to_vec())
                    })
                }
            };
            if let Ok(whole) = whole {
                let _ = whole.shutdown(Shutdown::Both);
            }
        });
    }
}

fn serve<S: Read + Write>(stream: S, state: &State, peer: fn(&S) -> Option<Vec<u8>>) -> io::Result<()> {
    let mut stream = BufReader::new(stream);
    while let Some((target, headers)) = read_head(&mut stream)? {
        state.requests.fetch_add(1, Ordering::AcqRel);
        let manner = {
            let mut manners = locked(&state.manner);
            let usual = manners.usual.clone();
            manners.next.pop_front().unwrap_or(usual)
        };
        if matches!(manner, Manner::CutsPost) {
            return Ok(());
        }
        let length = headers.iter().find(|(name, _)| name == "content-length");
        let length = length
            .and_then(|(_, value)| value.parse::<u64>().ok())
            .unwrap_or(0);
        let mut body = Vec::new();
        stream.by_ref().take(length.min(LONGEST)).read_to_end(&mut body)?;
        let post = Post {
            target,
            headers,
            body,
            peer: peer(stream.get_ref()),
        };
        let take = |post| locked(&state.taken).push(post);
        match manner {
            Manner::Takes(answer) => {
                take(post);
                write_answer(stream.get_mut(), 200, "", answer)?;
            }
            Manner::Answers(status, lines, answer) => write_answer(stream.get_mut(), status, lines, &answer)?,
            Manner::Silent => {
                // Ends when either side closes.
                stream.read_exact(&mut [0])?;
            }
            Manner::CutsPost | Manner::Closes => return Ok(()),
            Manner::LosesAnswer => {
                take(post);
                return Ok(());
            }
            Manner::CutsAnswer => {
                take(post);
                let half = b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf of it";
                stream.get_mut().write_all(half)?;
                return stream.get_mut().flush();
            }
        }
    }
    Ok(())
}

/// A target and headers.
type Head = (String, Vec<(String, String)>);

/// The target and the headers of the next request; `None` at the end of the connection.
fn read_head(stream: &mut impl io::BufRead) -> io::Result<Option<Head>> {
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        if stream.by_ref().take(LONGEST).read_line(&mut line)? == 0 {
            return Ok(None);
        }
        let line = line.trim_end();
        if line.is_empty() {
            break;
        }
        lines.push(line.to_owned());
    }
    let mut lines = lines.into_iter();
    let first = lines.next().unwrap_or_default();
    let target = first.split(' ').nth(1).unwrap_or_default().to_owned();
    let headers = lines.filter_map(|line| {
        let (name, value) = line.split_once(':')?;
        Some((name.to_ascii_lowercase(), value.trim().to_owned()))
    });
    Ok(Some((target, headers.collect())))
}

fn write_answer(stream: &mut impl Write, status: u16, lines: &str, body: &str) -> io::Result<()> {
    let length = body.len();
    let answer = format!("HTTP/1.1 {status} So\r\n{lines}content-length: {length}\r\n\r\n{body}");
    stream.write_all(answer.as_bytes())?;
    stream.flush()
}
