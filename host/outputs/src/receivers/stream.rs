//! A connection to a receiver, with TLS or without.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use super::address::Address;
use super::tls;
use crate::Failure;

/// How long a connection may take until messages can be sent.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);
/// How long a receiver may take no byte.
const STANDSTILL: Duration = Duration::from_secs(30);
/// Bytes handed to the system at once.
const PIECE: usize = 16 << 10;
/// How long the system may wait for the other end to confirm bytes before it gives the connection up, ms. By itself it
/// would take a quarter of an hour, and would take messages all the while.
#[cfg(target_os = "linux")]
const UNCONFIRMED_MS: u32 = 20_000;

/// What can be read and written.
pub(crate) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

/// Connects, with TLS where there is a configuration of it.
pub(crate) async fn connect(
    address: &Address,
    tls: Option<Arc<ClientConfig>>,
) -> Result<Box<dyn Stream>, Failure> {
    match timeout(PATIENCE, try_connect(address, tls)).await {
        Ok(stream) => stream.map_err(|error| failure(&error)),
        Err(_) => Err(Failure::unavailable(format!(
            "no connection within {} s",
            PATIENCE.as_secs()
        ))),
    }
}

async fn try_connect(address: &Address, tls: Option<Arc<ClientConfig>>) -> io::Result<Box<dyn Stream>> {
    let stream = TcpStream::connect((address.host.as_str(), address.port)).await?;
    stream.set_nodelay(true)?;
    #[cfg(target_os = "linux")]
    nix::sys::socket::setsockopt(
        &stream,
        nix::sys::socket::sockopt::TcpUserTimeout,
        &UNCONFIRMED_MS,
    )?;
    let Some(config) = tls else {
        return Ok(Box::new(stream));
    };
    let name = ServerName::try_from(address.host.clone())
        .map_err(|_| io::Error::other("the host of the address is neither a name nor an IP address"))?;
    let stream = TlsConnector::from(config).connect(name, stream).await?;
    Ok(Box::new(stream))
}

/// Hands bytes to the system; after a failure nobody knows how many of them were.
pub(crate) async fn write(writer: &mut (impl AsyncWrite + Unpin), bytes: &[u8]) -> io::Result<()> {
    let stands_still = |_| io::Error::other(format!("it has taken nothing for {} s", STANDSTILL.as_secs()));
    for piece in bytes.chunks(PIECE) {
        timeout(STANDSTILL, writer.write_all(piece))
            .await
            .map_err(stands_still)??;
    }
    timeout(STANDSTILL, writer.flush()).await.map_err(stands_still)?
}

/// What is to be said of a connection that failed.
pub(crate) fn failure(error: &io::Error) -> Failure {
    match tls::is_refusal(error) {
        true => Failure::SenderRefused(format!(
            "{error}; check that `certificate-file` names a certificate which the receiver trusts"
        )),
        false => Failure::unavailable(error),
    }
}
