//! HTTP/1: how many requests, and how long the body of the last reply.

/// The part of a header line that is looked at; longer lines are followed and not kept.
const LINE: usize = 48;

const METHODS: [&str; 15] = [
    "GET",
    "POST",
    "HEAD",
    "PUT",
    "DELETE",
    "OPTIONS",
    "TRACE",
    "CONNECT",
    "PATCH",
    "PROPFIND",
    "PROPPATCH",
    "MKCOL",
    "COPY",
    "MOVE",
    "REPORT",
];

/// Whether data starts with a request line.
pub(super) fn is_request(data: &[u8]) -> bool {
    METHODS.iter().any(|method| {
        data.strip_prefix(method.as_bytes())
            .is_some_and(|rest| rest.first() == Some(&b' '))
    })
}

/// Where in the replies the reader stands.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Reading {
    /// Before a status line, or after one that made no sense.
    #[default]
    Status,
    Header,
    /// A body of known length.
    Body {
        left: u64,
    },
    /// A body that ends with the connection.
    Rest,
    ChunkSize,
    Chunk {
        left: u64,
    },
}

/// New data of one side of a connection.
#[derive(Debug, Clone, Copy)]
pub(crate) struct HttpData<'a> {
    pub(super) sender: usize,
    /// Bytes before it that were not captured.
    pub(super) lost: u64,
    pub(super) data: &'a [u8],
    /// Bytes behind it that were not captured.
    pub(super) cut: u64,
}

/// An HTTP connection.
#[derive(Debug, Clone)]
pub(crate) struct Http {
    pub(crate) requests: u32,
    pub(crate) body_length: u64,
    head_requested: bool,
    reading: Reading,
    line: [u8; LINE],
    line_length: usize,
    /// Of the reply whose header is being read.
    content_length: Option<u64>,
    chunked: bool,
    bodiless: bool,
}

impl Default for Http {
    fn default() -> Self {
        Self {
            requests: 0,
            body_length: 0,
            head_requested: false,
            reading: Reading::Status,
            line: [0; LINE],
            line_length: 0,
            content_length: None,
            chunked: false,
            bodiless: false,
        }
    }
}

impl Http {
    /// Reads new data of a side.
    pub(crate) fn read(&mut self, new: &HttpData<'_>) {
        let &HttpData {
            sender,
            lost,
            data,
            cut,
        } = new;
        if is_request(data) {
            self.requests = self.requests.saturating_add(1);
            self.head_requested = data.starts_with(b"HEAD ");
            return;
        }
        // Requests come from the source; where the flow was seen the wrong way round, replies tell themselves.
        if sender == 0 && !data.starts_with(b"HTTP/1.") {
            return;
        }
        self.skip(lost);
        let mut rest = data;
        while !rest.is_empty() {
            rest = self.step(rest);
        }
        self.skip(cut);
    }

    /// Passes over bytes that were not captured.
    fn skip(&mut self, count: u64) {
        match &mut self.reading {
            Reading::Body { left } | Reading::Chunk { left } => {
                let taken = count.min(*left);
                *left -= taken;
                self.body_length = self.body_length.saturating_add(taken);
                if *left == 0 && taken > 0 {
                    self.reading = Reading::Status;
                }
            }
            Reading::Rest => self.body_length = self.body_length.saturating_add(count),
            Reading::Status | Reading::Header | Reading::ChunkSize => {}
        }
    }

    /// Consumes at least one byte.
    fn step<'a>(&mut self, data: &'a [u8]) -> &'a [u8] {
        match self.reading {
            Reading::Rest => {
                self.body_length = self.body_length.saturating_add(data.len() as u64);
                &[]
            }
            Reading::Body { left } | Reading::Chunk { left } => {
                let taken = usize::try_from(left).unwrap_or(usize::MAX).min(data.len());
                self.body_length = self.body_length.saturating_add(taken as u64);
                let left = left - taken as u64;
                self.reading = match (self.reading, left) {
                    (Reading::Body { .. }, 0) => Reading::Status,
                    (Reading::Body { .. }, left) => Reading::Body { left },
                    (_, 0) => Reading::ChunkSize,
                    (_, left) => Reading::Chunk { left },
                };
                &data[taken..]
            }
            Reading::Status | Reading::Header | Reading::ChunkSize => {
                let end = data.iter().position(|&byte| byte == b'\n');
                let part = &data[..end.unwrap_or(data.len())];
                let kept = part.len().min(LINE - self.line_length);
                self.line[self.line_length..self.line_length + kept].copy_from_slice(&part[..kept]);
                self.line_length += kept;
                let Some(end) = end else {
                    return &[];
                };
                let line = self.line;
                let length = std::mem::take(&mut self.line_length);
                self.line(line[..length].trim_ascii_end());
                &data[end + 1..]
            }
        }
    }

    fn line(&mut self, line: &[u8]) {
        match self.reading {
            Reading::Status => {
                let Some(rest) = line.strip_prefix(b"HTTP/1.") else {
                    return;
                };
                let status = rest.get(2..5).unwrap_or(b"000");
                self.bodiless =
                    status.starts_with(b"1") || matches!(status, b"204" | b"304") || self.head_requested;
                self.content_length = None;
                self.chunked = false;
                self.body_length = 0;
                self.reading = Reading::Header;
            }
            Reading::Header if line.is_empty() => {
                self.reading = match self.content_length {
                    _ if self.bodiless => Reading::Status,
                    _ if self.chunked => Reading::ChunkSize,
                    Some(0) => Reading::Status,
                    Some(left) => Reading::Body { left },
                    None => Reading::Rest,
                };
            }
            Reading::Header => {
                if let Some(value) = header(line, "content-length:") {
                    self.content_length = std::str::from_utf8(value)
                        .ok()
                        .and_then(|value| value.parse().ok());
                } else if let Some(value) = header(line, "transfer-encoding:") {
                    self.chunked = value.eq_ignore_ascii_case(b"chunked");
                }
            }
            // The line end behind a chunk is an empty line.
            Reading::ChunkSize if line.is_empty() => {}
            Reading::ChunkSize => {
                let digits = line
                    .split(|&byte| byte == b';')
                    .next()
                    .unwrap_or(line)
                    .trim_ascii();
                let size = std::str::from_utf8(digits)
                    .ok()
                    .and_then(|digits| u64::from_str_radix(digits, 16).ok());
                self.reading = match size {
                    Some(0) | None => Reading::Status,
                    Some(left) => Reading::Chunk { left },
                };
            }
            Reading::Body { .. } | Reading::Rest | Reading::Chunk { .. } => {}
        }
    }
}

/// The value of a header line of that name.
fn header<'a>(line: &'a [u8], name: &str) -> Option<&'a [u8]> {
    let (start, value) = line.split_at_checked(name.len())?;
    start
        .eq_ignore_ascii_case(name.as_bytes())
        .then(|| value.trim_ascii())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn from_server(lost: u64, data: &[u8]) -> HttpData<'_> {
        HttpData {
            sender: 1,
            lost,
            data,
            cut: 0,
        }
    }

    /// The reply in one piece and byte by byte gives the same length.
    fn check(reply: &str, expected: u64) {
        let mut whole = Http::default();
        whole.read(&from_server(0, reply.as_bytes()));
        assert_eq!(whole.body_length, expected, "{reply}");
        let mut pieces = Http::default();
        for byte in reply.as_bytes() {
            pieces.read(&from_server(0, &[*byte]));
        }
        assert_eq!(pieces.body_length, expected, "{reply}, byte by byte");
    }

    #[test]
    fn body_lengths() {
        check("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", 5);
        check("HTTP/1.0 200 OK\r\n\r\nall the rest", 12);
        check(
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n",
            5,
        );
        check("HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n", 0);
        check(
            "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
            2,
        );
        check("nonsense", 0);
    }

    #[test]
    fn bytes_that_were_not_captured_count() {
        let mut http = Http::default();
        http.read(&HttpData {
            cut: 40,
            ..from_server(0, b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n0123456789")
        });
        http.read(&from_server(100, b"0123456789"));
        assert_eq!(http.body_length, 160);
    }
}
