//! The thread that takes datagrams out of the socket, and what it shares with the source.

use std::io::{self, ErrorKind, IoSliceMut};
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::os::fd::AsRawFd as _;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use ipnet::IpNet;
use netsage_records::netflow::Datagram;
use nix::sys::socket::{ControlMessageOwned, MsgFlags, SockaddrStorage, recvmsg, setsockopt, sockopt};

use super::WAIT;

/// Bytes after which a chunk is handed on.
const CHUNK_BYTES: usize = 256 << 10;
/// No datagram is longer.
const LONGEST: usize = 1 << 16;

/// Datagrams as they came, one behind the other.
#[derive(Default)]
pub(super) struct Chunk {
    bytes: Vec<u8>,
    /// Sender, time of arrival, and where the datagram ends.
    datagrams: Vec<(SocketAddr, i64, usize)>,
}

impl Chunk {
    pub(super) fn clear(&mut self) {
        self.bytes.clear();
        self.datagrams.clear();
    }

    pub(super) fn datagram(&self, place: usize) -> Option<Datagram<'_>> {
        let &(exporter, arrival_us, end) = self.datagrams.get(place)?;
        let start = match place.checked_sub(1) {
            Some(before) => self.datagrams.get(before)?.2,
            None => 0,
        };
        Some(Datagram {
            exporter,
            arrival_us,
            bytes: self.bytes.get(start..end)?,
        })
    }
}

/// What the thread and the source tell each other beside chunks.
#[derive(Default)]
pub(super) struct Shared {
    pub(super) stops: AtomicBool,
    /// When the socket was seen empty last.
    pub(super) empty_us: AtomicI64,
    /// Datagrams that the kernel dropped.
    pub(super) dropped: AtomicU64,
    /// Datagrams from elsewhere than exporters are.
    pub(super) foreign: AtomicU64,
}

/// Microseconds since the epoch that never fall, whatever happens to the clock of the machine.
#[derive(Clone, Copy)]
pub(super) struct Clock {
    start: Instant,
    pub(super) start_us: i64,
}

impl Clock {
    pub(super) fn new() -> Self {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self {
            start: Instant::now(),
            start_us: i64::try_from(since.as_micros()).unwrap_or(i64::MAX),
        }
    }

    pub(super) fn now_us(&self) -> i64 {
        let elapsed = i64::try_from(self.start.elapsed().as_micros()).unwrap_or(i64::MAX);
        self.start_us.saturating_add(elapsed)
    }
}

/// The socket and its address.
pub(super) fn bind(address: SocketAddr, receive_buffer: usize) -> io::Result<(UdpSocket, SocketAddr)> {
    let socket = UdpSocket::bind(address)?;
    // Beyond the limit of the system only with privileges; up to it for everybody.
    if setsockopt(&socket, sockopt::RcvBufForce, &receive_buffer).is_err() {
        setsockopt(&socket, sockopt::RcvBuf, &receive_buffer)?;
    }
    // With each datagram comes how many were dropped before it.
    setsockopt(&socket, sockopt::RxqOvfl, &1)?;
    socket.set_read_timeout(Some(WAIT))?;
    let address = socket.local_addr()?;
    Ok((socket, address))
}

/// The thread that takes datagrams out of the socket.
pub(super) struct Receiving<'a> {
    socket: UdpSocket,
    shared: &'a Shared,
    from: &'a [IpNet],
    clock: Clock,
    buffer: Vec<u8>,
    control: Vec<u8>,
}

impl<'a> Receiving<'a> {
    pub(super) fn new(socket: UdpSocket, shared: &'a Shared, from: &'a [IpNet], clock: Clock) -> Self {
        Self {
            socket,
            shared,
            from,
            clock,
            buffer: vec![0; LONGEST],
            control: nix::cmsg_space!(u32),
        }
    }

    pub(super) fn run(mut self, full: &SyncSender<Chunk>, emptied: &Receiver<Chunk>) -> io::Result<()> {
        loop {
            // What comes after this is not on its way yet.
            let stops = self.shared.stops.load(Ordering::Acquire);
            let mut chunk = emptied.try_recv().unwrap_or_default();
            let mut flags = if stops {
                MsgFlags::MSG_DONTWAIT
            } else {
                MsgFlags::empty()
            };
            let is_empty = loop {
                if chunk.bytes.len() >= CHUNK_BYTES {
                    break false;
                }
                let now_us = self.clock.now_us();
                match self.receive(flags, &mut chunk) {
                    Ok(()) => flags = MsgFlags::MSG_DONTWAIT,
                    Err(error) if error.kind() == ErrorKind::WouldBlock => {
                        self.tell_empty(&chunk, now_us);
                        break true;
                    }
                    // An answer to nothing that was sent here; the next datagram can be read.
                    Err(error)
                        if matches!(
                            error.kind(),
                            ErrorKind::Interrupted | ErrorKind::ConnectionRefused
                        ) => {}
                    Err(error) => return Err(error),
                }
            };
            // The queue being full, the kernel keeps what comes, or drops and counts it.
            if !chunk.datagrams.is_empty() && full.send(chunk).is_err() {
                return Ok(());
            }
            if stops && is_empty {
                return Ok(());
            }
        }
    }

    /// Says that the socket was empty at that time, if no datagram is on its way from here.
    fn tell_empty(&self, chunk: &Chunk, now_us: i64) {
        if chunk.datagrams.is_empty() {
            self.shared.empty_us.store(now_us, Ordering::Release);
        }
    }

    /// Takes one datagram.
    fn receive(&mut self, flags: MsgFlags, chunk: &mut Chunk) -> io::Result<()> {
        let mut slices = [IoSliceMut::new(&mut self.buffer)];
        let received = recvmsg::<SockaddrStorage>(
            self.socket.as_raw_fd(),
            &mut slices,
            Some(&mut self.control),
            flags,
        )
        .map_err(io::Error::from)?;
        for message in received.cmsgs().into_iter().flatten() {
            if let ControlMessageOwned::RxqOvfl(dropped) = message {
                // A number of 32 bits that wraps.
                let known = self.shared.dropped.load(Ordering::Relaxed);
                let more = dropped.wrapping_sub((known & 0xffff_ffff) as u32);
                self.shared
                    .dropped
                    .store(known + u64::from(more), Ordering::Relaxed);
            }
        }
        let (length, sender) = (received.bytes, received.address.as_ref().and_then(sender));
        let Some(sender) = sender else { return Ok(()) };
        if !self.from.is_empty() && !self.from.iter().any(|network| network.contains(&sender.ip())) {
            self.shared.foreign.fetch_add(1, Ordering::Relaxed);
            return Ok(());
        }
        chunk
            .bytes
            .extend_from_slice(self.buffer.get(..length).unwrap_or_default());
        chunk
            .datagrams
            .push((sender, self.clock.now_us(), chunk.bytes.len()));
        Ok(())
    }
}

/// The address of a sender; one of IPv4 as such, also where the socket is of IPv6.
fn sender(address: &SockaddrStorage) -> Option<SocketAddr> {
    if let Some(v4) = address.as_sockaddr_in() {
        return Some(SocketAddr::new(IpAddr::V4(v4.ip()), v4.port()));
    }
    let v6 = address.as_sockaddr_in6()?;
    Some(SocketAddr::new(IpAddr::V6(v6.ip()).to_canonical(), v6.port()))
}
