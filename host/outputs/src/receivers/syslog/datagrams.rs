//! Messages as datagrams: one each, and nothing is promised.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

use tokio::net::{UdpSocket, lookup_host};

use crate::Failure;
use crate::receivers::address::Address;

/// A receiver by UDP.
pub(super) struct Datagrams {
    address: Address,
    socket: Option<UdpSocket>,
}

impl Datagrams {
    pub(super) fn new(address: Address) -> Self {
        Self {
            address,
            socket: None,
        }
    }

    /// Sends lines; after a failure says how many were sent.
    pub(super) async fn send(
        &mut self,
        lines: impl Iterator<Item = &String>,
    ) -> Result<(), (usize, Failure)> {
        for (sent, line) in lines.enumerate() {
            if let Err(error) = self.send_one(line.as_bytes()).await {
                let failure = match is_too_long(&error) {
                    true => Failure::Refused(format!(
                        "{} bytes are more than one datagram takes here; lower `max-bytes`, or send by TCP",
                        line.len()
                    )),
                    false => Failure::unavailable(error),
                };
                return Err((sent, failure));
            }
        }
        Ok(())
    }

    async fn send_one(&mut self, line: &[u8]) -> io::Result<()> {
        // After a failure the next look-up may find the receiver elsewhere.
        let socket = match self.socket.take() {
            Some(socket) => socket,
            None => self.open().await?,
        };
        socket.send(line).await?;
        self.socket = Some(socket);
        Ok(())
    }

    async fn open(&self) -> io::Result<UdpSocket> {
        let mut last = io::Error::other("the host of the address has no IP address");
        for address in lookup_host((self.address.host.as_str(), self.address.port)).await? {
            match connected(address).await {
                Ok(socket) => return Ok(socket),
                Err(error) => last = error,
            }
        }
        Err(last)
    }
}

async fn connected(address: SocketAddr) -> io::Result<UdpSocket> {
    let any: SocketAddr = match address {
        SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
        SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
    };
    let socket = UdpSocket::bind(any).await?;
    socket.connect(address).await?;
    Ok(socket)
}

fn is_too_long(error: &io::Error) -> bool {
    #[cfg(unix)]
    let is_too_long = error.raw_os_error() == Some(nix::errno::Errno::EMSGSIZE as i32);
    #[cfg(not(unix))]
    let is_too_long = false;
    is_too_long
}
