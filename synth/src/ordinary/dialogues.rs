//! What is said in the protocols of ordinary traffic.

use rand::RngExt;

use crate::dialogue::{Dialogue, Payload, noise};
use crate::random::{MILLISECOND, Random, SECOND, delay, pick, size, word};

/// A DNS message with one question and, when it is an answer, records of the given type and sizes.
pub(crate) fn dns_message(
    identifier: u16,
    name: &str,
    kind: u16,
    answers: Option<&[usize]>,
    random: &mut Random,
) -> Vec<u8> {
    let mut out = Vec::with_capacity(name.len() + 64);
    out.extend_from_slice(&identifier.to_be_bytes());
    out.extend_from_slice(if answers.is_some() {
        &[0x81, 0x80]
    } else {
        &[0x01, 0x00]
    });
    out.extend_from_slice(&[0, 1, 0, answers.map_or(0, |sizes| sizes.len() as u8), 0, 0, 0, 0]);
    for label in name.split('.').filter(|label| !label.is_empty()) {
        out.push(label.len() as u8);
        out.extend_from_slice(label.as_bytes());
    }
    out.push(0);
    out.extend_from_slice(&kind.to_be_bytes());
    out.extend_from_slice(&[0, 1]);
    for &length in answers.unwrap_or_default() {
        // The name is a pointer to the question.
        out.extend_from_slice(&[0xc0, 12]);
        out.extend_from_slice(&kind.to_be_bytes());
        out.extend_from_slice(&[0, 1, 0, 0, 1, 0x2c]);
        out.extend_from_slice(&(length as u16).to_be_bytes());
        noise(&mut out, length, random);
    }
    out
}

/// A question to the resolver and its answer.
pub(crate) fn dns_lookup(name: &str, version6: bool, random: &mut Random) -> Dialogue {
    let identifier = random.random();
    let kind = if version6 { 28 } else { 1 };
    let length = if version6 { 16 } else { 4 };
    let answers = vec![length; [1, 1, 1, 2, 2, 3, 4, 6][random.random_range(0..8)]];
    // The resolver knows most names and asks around for the rest.
    let think = if random.random_bool(0.6) {
        delay(random, MILLISECOND / 4, 0.5)
    } else {
        delay(random, 24 * MILLISECOND, 0.7)
    };
    let mut dialogue = Dialogue::default();
    dialogue.client(
        0,
        Payload::Bytes(dns_message(identifier, name, kind, None, random)),
    );
    let answer = dns_message(identifier, name, kind, Some(&answers), random);
    dialogue.server(think, Payload::Bytes(answer));
    dialogue
}

const AGENTS: [&str; 3] = [
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:140.0) Gecko/20100101 Firefox/140.0",
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Safari/605.1.15",
    "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36",
];

/// Requests of one HTTP/1.1 connection. `weight` is the size of the answers against what is usual.
pub(crate) fn http(name: &str, requests: u32, weight: f64, think_ns: i64, random: &mut Random) -> Dialogue {
    let agent = *pick(random, &AGENTS);
    let mut dialogue = Dialogue::default();
    for number in 0..requests {
        let pause = if number == 0 {
            MILLISECOND / 2
        } else {
            delay(random, 120 * MILLISECOND, 1.3)
        };
        let path = word(random, 4 + (number as usize * 7) % 19);
        let length = random.random_range(0..140);
        let cookie = word(random, length);
        let post = random.random_bool(0.06);
        let method = if post { "POST" } else { "GET" };
        let mut request = format!(
            "{method} /{path} HTTP/1.1\r\nHost: {name}\r\nUser-Agent: {agent}\r\nAccept: */*\r\n\
             Accept-Language: en\r\nConnection: keep-alive\r\nCookie: id={cookie}\r\n"
        );
        if post {
            let length = size(random, 380.0, 1.0, 20, 30_000);
            request += &format!("Content-Type: text/plain\r\nContent-Length: {length}\r\n\r\n");
            dialogue.client(pause, Payload::Text(request.into_bytes(), length));
        } else {
            request += "\r\n";
            dialogue.client(pause, Payload::Bytes(request.into_bytes()));
        }
        let think = delay(random, think_ns, 0.7);
        let server = *pick(random, &["nginx", "Apache", "envoy"]);
        match random.random_range(0..20) {
            0..2 => {
                let head =
                    format!("HTTP/1.1 304 Not Modified\r\nServer: {server}\r\nETag: \"{path}\"\r\n\r\n");
                dialogue.server(think, Payload::Bytes(head.into_bytes()));
            }
            2 => {
                let head = format!(
                    "HTTP/1.1 404 Not Found\r\nServer: {server}\r\nContent-Type: text/html\r\n\
                     Content-Length: 162\r\n\r\n"
                );
                dialogue.server(think, Payload::Text(head.into_bytes(), 162));
            }
            draw => {
                let image = draw > 12;
                let kind = if image {
                    "image/webp"
                } else {
                    "text/html; charset=utf-8"
                };
                let median = if image { 1_900.0 } else { 1_300.0 };
                let length = size(random, median * weight, 1.1, 60, 150_000);
                let head = format!(
                    "HTTP/1.1 200 OK\r\nServer: {server}\r\nContent-Type: {kind}\r\n\
                     Content-Length: {length}\r\nCache-Control: max-age=600\r\n\r\n"
                );
                let head = head.into_bytes();
                let body = if image {
                    Payload::Noise(head, length)
                } else {
                    Payload::Text(head, length)
                };
                dialogue.server(think, body);
            }
        }
    }
    dialogue
}

/// Banners and key exchange of SSH, up to the point where everything is encrypted.
pub(crate) fn ssh_opening(client_banner: &str, random: &mut Random) -> Dialogue {
    let mut dialogue = Dialogue::default();
    dialogue.client_line(MILLISECOND, client_banner);
    dialogue.server_line(
        delay(random, 5 * MILLISECOND, 0.4),
        "SSH-2.0-OpenSSH_9.2p1 Debian-2+deb12u3",
    );
    let offer = ssh_packet(20, 1_180, random);
    dialogue.client(delay(random, MILLISECOND, 0.4), Payload::Bytes(offer));
    let offer = ssh_packet(20, 1_060, random);
    dialogue.server(delay(random, MILLISECOND, 0.4), Payload::Bytes(offer));
    let exchange = ssh_packet(30, 40, random);
    dialogue.client(delay(random, 2 * MILLISECOND, 0.4), Payload::Bytes(exchange));
    let mut reply = ssh_packet(31, 430, random);
    reply.extend(ssh_packet(21, 9, random));
    dialogue.server(delay(random, 6 * MILLISECOND, 0.4), Payload::Bytes(reply));
    let keys = ssh_packet(21, 9, random);
    dialogue.client(delay(random, 3 * MILLISECOND, 0.4), Payload::Bytes(keys));
    dialogue
}

/// An SSH packet before encryption: length, padding length, message number, content.
fn ssh_packet(message: u8, length: usize, random: &mut Random) -> Vec<u8> {
    let mut out = ((length + 2) as u32).to_be_bytes().to_vec();
    out.extend_from_slice(&[6, message]);
    noise(&mut out, length, random);
    out
}

/// Somebody types and reads, or copies something.
pub(super) fn ssh_session(random: &mut Random) -> Dialogue {
    let mut dialogue = ssh_opening("SSH-2.0-OpenSSH_9.6p1 Ubuntu-3ubuntu13", random);
    let sealed = |random: &mut Random, median: f64, sigma: f64| {
        // Ciphertext comes in blocks of 8 behind a length and before a tag of 16.
        Payload::Noise(Vec::new(), size(random, median, sigma, 16, 60_000) / 8 * 8 + 20)
    };
    for _ in 0..random.random_range(2..4) {
        let question = sealed(random, 60.0, 0.5);
        dialogue.client(delay(random, 20 * MILLISECOND, 0.8), question);
        let answer = sealed(random, 50.0, 0.4);
        dialogue.server(delay(random, 8 * MILLISECOND, 0.8), answer);
    }
    let keys = size(random, 24.0, 0.9, 2, 160);
    for _ in 0..keys {
        dialogue.client(
            delay(random, 260 * MILLISECOND, 1.2),
            Payload::Noise(Vec::new(), 36),
        );
        let echo = sealed(random, 36.0, 0.9);
        dialogue.server(delay(random, MILLISECOND, 0.6), echo);
    }
    dialogue
}

/// One message handed over by SMTP.
pub(super) fn smtp(random: &mut Random) -> Dialogue {
    let mut dialogue = Dialogue::default();
    let quick = |random: &mut Random| delay(random, 2 * MILLISECOND, 0.8);
    let (host, length) = (word(random, 8), random.random_range(4..9));
    let user = word(random, length);
    dialogue.server_line(
        delay(random, 9 * MILLISECOND, 0.8),
        "220 mail.office.example ESMTP ready",
    );
    dialogue.client_line(quick(random), &format!("EHLO {host}.office.example"));
    dialogue.server_line(
        quick(random),
        "250-mail.office.example\r\n250-PIPELINING\r\n250-SIZE 52428800\r\n250-8BITMIME\r\n250 HELP",
    );
    dialogue.client_line(
        quick(random),
        &format!("MAIL FROM:<{user}@office.example> SIZE=4096"),
    );
    dialogue.server_line(quick(random), "250 2.1.0 Ok");
    for _ in 0..[1, 1, 1, 2, 3][random.random_range(0..5)] {
        let name = word(random, 7);
        dialogue.client_line(quick(random), &format!("RCPT TO:<{name}@partner.example>"));
        dialogue.server_line(quick(random), "250 2.1.5 Ok");
    }
    dialogue.client_line(quick(random), "DATA");
    dialogue.server_line(quick(random), "354 End data with <CR><LF>.<CR><LF>");
    let head = format!(
        "From: {user}@office.example\r\nSubject: {}\r\nMIME-Version: 1.0\r\nContent-Type: text/html\r\n\r\n",
        word(random, 18)
    );
    let length = size(random, 2_600.0, 1.3, 200, 180_000);
    dialogue.client(quick(random), Payload::Text(head.into_bytes(), length));
    dialogue.client_line(MILLISECOND, "\r\n.");
    dialogue.server_line(
        delay(random, 30 * MILLISECOND, 0.8),
        "250 2.0.0 Ok: queued as 4D2F1A0C",
    );
    dialogue.client_line(quick(random), "QUIT");
    dialogue.server_line(quick(random), "221 2.0.0 Bye");
    dialogue
}

/// Looking for new mail, and fetching it.
pub(super) fn pop3(random: &mut Random) -> Dialogue {
    let mut dialogue = Dialogue::default();
    let quick = |random: &mut Random| delay(random, 2 * MILLISECOND, 0.8);
    let messages = [0, 0, 0, 1, 1, 2, 3][random.random_range(0..7)];
    let user = word(random, 6);
    dialogue.server_line(delay(random, 4 * MILLISECOND, 0.6), "+OK POP3 server ready");
    dialogue.client_line(quick(random), &format!("USER {user}"));
    dialogue.server_line(quick(random), "+OK");
    dialogue.client_line(quick(random), "PASS ************");
    dialogue.server_line(delay(random, 25 * MILLISECOND, 0.6), "+OK Logged in.");
    dialogue.client_line(quick(random), "STAT");
    dialogue.server_line(quick(random), &format!("+OK {messages} {}", messages * 3_120));
    for number in 1..=messages {
        dialogue.client_line(quick(random), &format!("RETR {number}"));
        let length = size(random, 3_000.0, 1.2, 300, 150_000);
        let head = format!("+OK {length} octets\r\n").into_bytes();
        dialogue.server(quick(random), Payload::Text(head, length));
        dialogue.server_line(MILLISECOND, "\r\n.");
    }
    dialogue.client_line(quick(random), "QUIT");
    dialogue.server_line(quick(random), "+OK Logging out.");
    dialogue
}

/// A file to be moved: its size, and whether it goes to the server.
#[derive(Debug, Clone, Copy)]
pub(super) struct Transfer {
    pub(super) bytes: u32,
    pub(super) upload: bool,
    /// From the start of the control connection, nanoseconds.
    pub(super) start_ns: i64,
    /// Port of the server when the client connects to it, of the client otherwise.
    pub(super) port: u16,
}

/// The control connection of FTP and the transfers that it arranges.
pub(super) fn ftp(
    server: [u8; 4],
    client: [u8; 4],
    passive: bool,
    mut port: impl FnMut(&mut Random) -> u16,
    random: &mut Random,
) -> (Dialogue, Vec<Transfer>) {
    let mut dialogue = Dialogue::default();
    let mut transfers = Vec::new();
    // Turns take a millisecond or so each, so the wait before each transfer decides when it starts.
    let quick = |random: &mut Random| delay(random, 2 * MILLISECOND, 0.5).min(6 * MILLISECOND);
    let user = word(random, 6);
    dialogue.server_line(quick(random), "220 Office file service ready");
    dialogue.client_line(quick(random), &format!("USER {user}"));
    dialogue.server_line(quick(random), "331 Please specify the password.");
    dialogue.client_line(quick(random), "PASS ************");
    dialogue.server_line(quick(random), "230 Login successful.");
    dialogue.client_line(quick(random), "TYPE I");
    dialogue.server_line(quick(random), "200 Switching to Binary mode.");
    for _ in 0..random.random_range(1..4) {
        dialogue.client_line(
            delay(random, 800 * MILLISECOND, 0.8),
            if passive { "PASV" } else { "NOOP" },
        );
        let data_port = port(random);
        let [high, low] = data_port.to_be_bytes();
        let [a, b, c, d] = if passive { server } else { client };
        if passive {
            let line = format!("227 Entering Passive Mode ({a},{b},{c},{d},{high},{low}).");
            dialogue.server_line(quick(random), &line);
        } else {
            dialogue.server_line(quick(random), "200 NOOP ok.");
            dialogue.client_line(quick(random), &format!("PORT {a},{b},{c},{d},{high},{low}"));
            dialogue.server_line(quick(random), "200 PORT command successful.");
        }
        let upload = random.random_bool(0.35);
        let bytes = size(random, 14_000.0, 1.3, 200, 400_000);
        let file = word(random, 9);
        let command = if upload { "STOR" } else { "RETR" };
        dialogue.client_line(quick(random), &format!("{command} {file}.dat"));
        let start_ns = dialogue
            .turns
            .iter()
            .map(|turn| turn.wait_ns + MILLISECOND)
            .sum::<i64>();
        transfers.push(Transfer {
            bytes,
            upload,
            start_ns,
            port: data_port,
        });
        dialogue.server_line(10 * MILLISECOND, "150 Opening BINARY mode data connection.");
        dialogue.server_line(
            60 * MILLISECOND + i64::from(bytes) * 200,
            "226 Transfer complete.",
        );
    }
    dialogue.client_line(delay(random, SECOND, 0.8), "QUIT");
    dialogue.server_line(quick(random), "221 Goodbye.");
    (dialogue, transfers)
}

/// A question for the time and its answer.
pub(super) fn ntp(random: &mut Random) -> Dialogue {
    let mut dialogue = Dialogue::default();
    let mut question = vec![0x23, 0, 6, 0xec];
    noise(&mut question, 44, random);
    let mut answer = vec![0x24, 2, 6, 0xe8];
    noise(&mut answer, 44, random);
    dialogue.client(0, Payload::Bytes(question));
    dialogue.server(delay(random, MILLISECOND / 20, 0.4), Payload::Bytes(answer));
    dialogue
}

/// Extending the lease of an address.
pub(super) fn dhcp_renewal(address: [u8; 4], mac: [u8; 6], server: [u8; 4], random: &mut Random) -> Dialogue {
    let transaction: [u8; 4] = random.random();
    let message = |operation: u8, kind: u8| {
        let mut out = vec![operation, 1, 6, 0];
        out.extend_from_slice(&transaction);
        out.extend_from_slice(&[0; 4]);
        out.extend_from_slice(&address);
        out.extend_from_slice(if operation == 2 { &address } else { &[0; 4] });
        out.extend_from_slice(&[0; 8]);
        out.extend_from_slice(&mac);
        out.resize(236, 0);
        // The cookie, the kind of message, the server, the lease of an hour, the end.
        out.extend_from_slice(&[0x63, 0x82, 0x53, 0x63, 53, 1, kind, 54, 4]);
        out.extend_from_slice(&server);
        out.extend_from_slice(&[51, 4, 0, 0, 0x0e, 0x10, 255]);
        out.resize(300, 0);
        Payload::Bytes(out)
    };
    let mut dialogue = Dialogue::default();
    dialogue.client(0, message(1, 3));
    dialogue.server(delay(random, 3 * MILLISECOND, 0.6), message(2, 5));
    dialogue
}

/// The first datagrams of QUIC and some traffic after them.
pub(super) fn quic(bytes: u32, pace_ns: i64, think_ns: i64, random: &mut Random) -> Dialogue {
    let long_header = |kind: u8, length: usize, random: &mut Random| {
        let mut out = vec![kind, 0, 0, 0, 1, 8];
        noise(&mut out, length - 6, random);
        Payload::Bytes(out)
    };
    let mut dialogue = Dialogue::default();
    dialogue.client(0, long_header(0xc3, 1_200, random));
    dialogue.server(delay(random, think_ns / 2, 0.4), long_header(0xc1, 1_200, random));
    let rest = size(random, 1_500.0, 0.3, 700, 3_600);
    dialogue.server(MILLISECOND / 5, Payload::Noise(vec![0xe2, 0, 0, 0, 1, 8], rest));
    dialogue.client(delay(random, MILLISECOND, 0.4), long_header(0xe1, 90, random));
    let request = size(random, 320.0, 0.5, 60, 1_100);
    dialogue.client(MILLISECOND, Payload::Noise(vec![0x43], request));
    let mut rest = bytes;
    while rest > 0 {
        let chunk = rest.min(11_000);
        dialogue
            .server(
                delay(random, think_ns / 8, 0.5),
                Payload::Noise(vec![0x53], chunk),
            )
            .paced(pace_ns);
        dialogue.client(MILLISECOND / 2, Payload::Noise(vec![0x43], 34));
        rest -= chunk;
    }
    dialogue
}
