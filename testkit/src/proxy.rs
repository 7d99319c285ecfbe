//! What stands between a program and its server, of MongoDB or anything else: it cuts, delays and holds up what passes.
//!
//! The driver of MongoDB learns the addresses of a replica set from its servers, and would go round a proxy: a URL through one
//! needs `directConnection=true`.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

/// Bytes of a message before its operation: length, two ids, operation code, flags, kind of section.
const HEADER: usize = 21;

/// The code of the operation that carries commands (`OP_MSG`), and where it stands.
const COMMAND: (std::ops::Range<usize>, i32) = (12..16, 2013);

/// Larger than any message of the protocol.
const LARGEST: usize = 64 << 20;

/// Commands by which a driver looks after its connections; they are not counted.
const OWN: [&[u8]; 6] = [
    b"hello",
    b"isMaster",
    b"ismaster",
    b"ping",
    b"endSessions",
    b"killCursors",
];

/// When a command breaks all connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cut {
    /// Before the server gets the command.
    Before,
    /// Once the server has answered; the answer is lost.
    After,
}

/// Stands before a server, on a port of its own.
pub struct Proxy {
    port: u16,
    shared: Arc<Shared>,
}

struct Shared {
    server: String,
    /// Whether whole messages of MongoDB pass, and not bytes as they come.
    knows_messages: bool,
    /// Bytes that may pass to the server until all connections break; `u64::MAX`: any number.
    bytes_left: AtomicU64,
    is_open: AtomicBool,
    is_stopped: AtomicBool,
    delay_ms: AtomicU64,
    streams: Mutex<Vec<TcpStream>>,
    commands: Mutex<Commands>,
}

#[derive(Default)]
struct Commands {
    /// Since the last [`Proxy::cut_at`].
    passed: u64,
    cut: Option<(u64, Cut)>,
}

impl Proxy {
    /// Stands before the MongoDB server at `host:port`.
    ///
    /// # Panics
    /// When there is no free port.
    pub fn new(server: &str) -> Self {
        Self::with(server, true)
    }

    /// Stands before a server of any protocol at `host:port`.
    ///
    /// # Panics
    /// When there is no free port.
    pub fn of_bytes(server: &str) -> Self {
        Self::with(server, false)
    }

    fn with(server: &str, knows_messages: bool) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let proxy = Self {
            port: listener.local_addr().expect("an address").port(),
            shared: Arc::new(Shared {
                server: server.to_owned(),
                knows_messages,
                bytes_left: AtomicU64::new(u64::MAX),
                is_open: AtomicBool::new(true),
                is_stopped: AtomicBool::default(),
                delay_ms: AtomicU64::default(),
                streams: Mutex::default(),
                commands: Mutex::default(),
            }),
        };
        proxy.serve(listener);
        proxy
    }

    /// A proxy before the server of a URL, and the URL that leads through it.
    ///
    /// # Panics
    /// When the URL is not `mongodb://HOST:PORT/DATABASE`, or there is no free port.
    pub fn before(url: &str) -> (Self, String) {
        let rest = url.strip_prefix("mongodb://").expect("the URL of a server");
        let (server, database) = rest.split_once('/').expect("a URL with a database");
        let proxy = Self::new(server);
        let url = format!(
            "mongodb://127.0.0.1:{}/{database}?directConnection=true",
            proxy.port
        );
        (proxy, url)
    }

    fn serve(&self, listener: TcpListener) {
        let shared = Arc::clone(&self.shared);
        thread::spawn(move || {
            for client in listener.incoming() {
                if !shared.is_open.load(Ordering::Acquire) {
                    // The listener goes with the thread.
                    return;
                }
                // A client that has gone, or a server that is not there: the client sees a connection that breaks.
                let Ok(client) = client else { continue };
                let Ok(server) = TcpStream::connect(&shared.server) else {
                    continue;
                };
                // Whoever holds no copy of a stream cannot break it.
                let _ = shared.connect(client, server);
            }
        });
    }

    /// Where clients find it.
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Breaks all connections once so many more bytes have passed to the server: in the middle of a message, most likely. Of a
    /// proxy [of bytes](Self::of_bytes).
    pub fn cut_after(&self, bytes: u64) {
        self.shared.bytes_left.store(bytes, Ordering::Release);
    }

    /// Whether the bytes of the last [`cut_after`](Self::cut_after) have passed.
    pub fn has_cut(&self) -> bool {
        self.shared.bytes_left.load(Ordering::Acquire) == u64::MAX
    }

    /// As a server that has ended: connections break, and none are taken.
    pub fn close(&self) {
        self.shared.is_open.store(false, Ordering::Release);
        // Wakes the listener, which goes.
        let _ = TcpStream::connect(("127.0.0.1", self.port));
        self.cut();
    }

    /// As a server that is there again.
    ///
    /// # Panics
    /// When another program has taken the port.
    pub fn open(&self) {
        self.shared.is_open.store(true, Ordering::Release);
        self.serve(TcpListener::bind(("127.0.0.1", self.port)).expect("the port is still free"));
    }

    /// Breaks all connections; new ones are taken.
    pub fn cut(&self) {
        self.shared.cut();
    }

    /// Lets nothing through, and keeps it for later: as a server that was stopped by a signal.
    pub fn hold(&self, is_stopped: bool) {
        self.shared.is_stopped.store(is_stopped, Ordering::Release);
    }

    /// Makes each message so much later.
    pub fn delay(&self, time: Duration) {
        let time = u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        self.shared.delay_ms.store(time, Ordering::Release);
    }

    /// Counts commands from now, the first is 1, and breaks all connections at this one.
    pub fn cut_at(&self, command: u64, cut: Cut) {
        *self.shared.commands() = Commands {
            passed: 0,
            cut: Some((command, cut)),
        };
    }

    /// Commands since the last [`cut_at`](Self::cut_at), or since the beginning.
    pub fn commands(&self) -> u64 {
        self.shared.commands().passed
    }
}

/// Ends its threads.
impl Drop for Proxy {
    fn drop(&mut self) {
        self.close();
    }
}

impl Shared {
    fn commands(&self) -> MutexGuard<'_, Commands> {
        self.commands.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn streams(&self) -> MutexGuard<'_, Vec<TcpStream>> {
        self.streams.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn cut(&self) {
        for stream in self.streams().drain(..) {
            // The other side may have closed it.
            let _ = stream.shutdown(Shutdown::Both);
        }
    }

    fn connect(self: &Arc<Self>, client: TcpStream, server: TcpStream) -> std::io::Result<()> {
        for stream in [&client, &server] {
            stream.set_nodelay(true)?;
        }
        let copies = [client.try_clone()?, server.try_clone()?];
        let (from_client, to_server) = (client.try_clone()?, server.try_clone()?);
        self.streams().extend(copies);
        // Set when the answer to what was handed on is to be lost.
        let loses_answer = Arc::new(AtomicBool::default());
        let (shared, loses) = (Arc::clone(self), Arc::clone(&loses_answer));
        thread::spawn(move || match shared.knows_messages {
            true => shared.pass_commands(from_client, to_server, &loses),
            false => shared.pass_bytes(from_client, to_server),
        });
        let shared = Arc::clone(self);
        thread::spawn(move || shared.pass_answers(server, client, &loses_answer));
        Ok(())
    }

    fn wait(&self) {
        while self.is_stopped.load(Ordering::Acquire) {
            thread::sleep(Duration::from_millis(1));
        }
        thread::sleep(Duration::from_millis(self.delay_ms.load(Ordering::Acquire)));
    }

    fn pass_commands(&self, mut from: TcpStream, mut to: TcpStream, loses_answer: &AtomicBool) {
        let mut message = Vec::new();
        while read_message(&mut from, &mut message).is_some() {
            self.wait();
            match self.cut_by(&message) {
                Some(Cut::Before) => break,
                Some(Cut::After) => loses_answer.store(true, Ordering::Release),
                None => {}
            }
            if to.write_all(&message).is_err() {
                break;
            }
        }
        // The other side may have closed it.
        let _ = from.shutdown(Shutdown::Both);
        let _ = to.shutdown(Shutdown::Both);
    }

    fn pass_bytes(&self, mut from: TcpStream, mut to: TcpStream) {
        let mut buffer = vec![0; 4 << 10];
        while let Ok(length @ 1..) = from.read(&mut buffer) {
            self.wait();
            let left = self.bytes_left.load(Ordering::Acquire);
            let passed = usize::try_from(left).unwrap_or(usize::MAX).min(length);
            if to.write_all(&buffer[..passed]).is_err() {
                break;
            }
            if left == u64::MAX {
                continue;
            }
            let is_cut = passed as u64 == left;
            let left = if is_cut { u64::MAX } else { left - passed as u64 };
            self.bytes_left.store(left, Ordering::Release);
            if is_cut {
                // What has passed is to arrive before the connection ends.
                let _ = to.shutdown(Shutdown::Write);
                thread::sleep(Duration::from_millis(20));
                self.cut();
                break;
            }
        }
        // The other side may have closed it.
        let _ = from.shutdown(Shutdown::Both);
        let _ = to.shutdown(Shutdown::Both);
    }

    /// Whether this message is the command at which connections break.
    fn cut_by(&self, message: &[u8]) -> Option<Cut> {
        let (place, code) = COMMAND;
        if message.get(place)? != code.to_le_bytes() {
            // The first greeting on a connection.
            return None;
        }
        // The first element of the command begins with its type; its name ends with a zero.
        let name = message.get(HEADER + 5..)?.split(|byte| *byte == 0).next()?;
        if OWN.contains(&name) {
            return None;
        }
        let mut commands = self.commands();
        commands.passed += 1;
        let (_, cut) = commands.cut.filter(|(command, _)| *command == commands.passed)?;
        drop(commands);
        if cut == Cut::Before {
            self.cut();
        }
        Some(cut)
    }

    fn pass_answers(&self, mut from: TcpStream, mut to: TcpStream, loses_answer: &AtomicBool) {
        let mut buffer = vec![0; 64 << 10];
        while let Ok(length @ 1..) = from.read(&mut buffer) {
            if loses_answer.load(Ordering::Acquire) {
                self.cut();
                break;
            }
            self.wait();
            if to.write_all(&buffer[..length]).is_err() {
                break;
            }
        }
        // As above.
        let _ = from.shutdown(Shutdown::Both);
        let _ = to.shutdown(Shutdown::Both);
    }
}

/// Reads a whole message, which begins with its length.
fn read_message(from: &mut TcpStream, message: &mut Vec<u8>) -> Option<()> {
    let mut length = [0; 4];
    from.read_exact(&mut length).ok()?;
    let whole = usize::try_from(u32::from_le_bytes(length)).ok()?;
    let rest = whole.checked_sub(length.len()).filter(|_| whole <= LARGEST)?;
    message.clear();
    message.extend(length);
    message.resize(length.len() + rest, 0);
    from.read_exact(message.get_mut(length.len()..)?).ok()
}
