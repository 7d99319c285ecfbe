//! Protocols over TCP: what the first segments of the two sides say.

use super::Service;
use super::datagram::is_dns;
use super::http;

/// Data segments looked at before a flow stays unknown.
const MAX_LOOKS: u8 = 8;

/// What was seen and does not decide by itself.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Hints {
    looks: u8,
    greeting_220: bool,
    greeting_ok: bool,
    nick: bool,
}

impl Hints {
    pub(super) fn wants_more(&self) -> bool {
        self.looks < MAX_LOOKS
    }

    /// Counts a look and says whether it is allowed.
    pub(super) fn may_look(&mut self) -> bool {
        let allowed = self.wants_more();
        self.looks = self.looks.saturating_add(1);
        allowed
    }

    /// Looks at new data of a side.
    pub(super) fn recognise(&mut self, sender: usize, ports: (u16, u16), data: &[u8]) -> Service {
        self.looks = self.looks.saturating_add(1);
        let starts = |word: &str| starts_with_word(data, word);
        if data.starts_with(b"SSH-") {
            return Service::Ssh;
        }
        // A handshake record of SSL 3 or TLS with a hello in it.
        if let [22, 3, 0..=4, _, _, 1 | 2, ..] = data {
            return Service::Ssl;
        }
        if http::is_request(data) || data.starts_with(b"HTTP/1.") {
            return Service::Http;
        }
        if let ([high, low, message @ ..], true) = (data, ports.0 == 53 || ports.1 == 53) {
            let length = usize::from(u16::from_be_bytes([*high, *low]));
            if length >= 12 && is_dns(message) {
                return Service::Dns;
            }
        }
        if data.starts_with(b"220") {
            self.greeting_220 = true;
            if contains(data, b"FTP") && !contains(data, b"SMTP") {
                return Service::Ftp;
            }
            if contains(data, b"SMTP") {
                return Service::Smtp;
            }
        }
        if data.starts_with(b"+OK") {
            self.greeting_ok = true;
        }
        if starts("EHLO") || starts("HELO") {
            return Service::Smtp;
        }
        if self.greeting_220 && ["USER", "AUTH", "FEAT", "SYST"].into_iter().any(starts) {
            return Service::Ftp;
        }
        if self.greeting_ok
            && ["USER", "CAPA", "APOP", "AUTH", "STLS", "QUIT"]
                .into_iter()
                .any(starts)
        {
            return Service::Pop3;
        }
        if sender == 0 && starts("NICK") {
            self.nick = true;
        }
        let registers = starts("USER") || contains(data, b"\nUSER ");
        let server_speaks = sender == 1 && (data.starts_with(b":") || starts("NOTICE") || starts("PING"));
        if self.nick && (registers || server_speaks) {
            return Service::Irc;
        }
        Service::Unknown
    }
}

/// Whether `data` starts with `word`, in any case, and the word ends there.
pub(super) fn starts_with_word(data: &[u8], word: &str) -> bool {
    data.get(..word.len())
        .is_some_and(|start| start.eq_ignore_ascii_case(word.as_bytes()))
        && matches!(data.get(word.len()), None | Some(b' ' | b'\r' | b'\n'))
}

/// Whether `part` occurs in the first bytes of `data`, in any case.
fn contains(data: &[u8], part: &[u8]) -> bool {
    let start = &data[..data.len().min(256)];
    start
        .windows(part.len())
        .any(|window| window.eq_ignore_ascii_case(part))
}
