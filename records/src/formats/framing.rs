//! Cuts bytes into items: lines, or the elements of a JSON list.
//!
//! Lines are the rule: one that is damaged costs itself and no other. JSON may also come as a list, whose elements are then
//! cut out by their braces, and as objects that were printed over many lines, which begin with a line of one brace.

use memchr::{memchr, memchr2, memchr3};

use super::refusal::Refusal;

/// Longest item, in bytes. A flow takes a few hundred; an event of Suricata with payload some ten thousand.
pub const LONGEST_ITEM: usize = 1 << 20;

/// What was cut off the front of some bytes.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Cut<'a> {
    /// An item, maybe with white space around it.
    Item(&'a [u8]),
    /// An item of which the framing alone can tell that it is none.
    Refused(Refusal),
    /// What stands between items.
    Between,
    /// More bytes are needed.
    Incomplete,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Within {
    /// Where a list may begin.
    Start,
    Lines,
    List,
    /// The rest of the line on which a list has ended.
    BehindList,
    /// The rest of a line that was too long.
    LongLine,
}

#[derive(Debug)]
pub(super) struct Framing {
    /// Whether items are JSON.
    is_json: bool,
    within: Within,
    /// Elements of the list so far.
    elements: u64,
}

impl Framing {
    pub(super) fn new(is_json: bool) -> Self {
        Self {
            is_json,
            within: Within::Start,
            elements: 0,
        }
    }

    /// Begins anew, as each message does.
    pub(super) fn restart(&mut self) {
        self.within = Within::Start;
    }

    /// The brackets of a list that is being read, on whose last line reading stands, or behind which another may begin.
    pub(super) fn brackets(&self, items: u64) -> Option<&'static [u8]> {
        match self.within {
            Within::List => Some(b"["),
            Within::BehindList => Some(b"[]"),
            Within::Start if self.is_json && items > 0 => Some(b"[]\n"),
            Within::Start | Within::Lines | Within::LongLine => None,
        }
    }

    /// Goes on behind a header and some items; whether the header is one of lines.
    pub(super) fn resume(&mut self, header: &[u8], items: u64) -> bool {
        self.within = match header {
            b"[" if self.is_json => Within::List,
            b"[]" if self.is_json => Within::BehindList,
            b"[]\n" if self.is_json => Within::Start,
            [] if items == 0 => Within::Start,
            _ => Within::Lines,
        };
        self.within == Within::Lines
    }

    /// Whether items are elements of a list.
    pub(super) fn is_list(&self) -> bool {
        self.within == Within::List
    }

    /// Elements of the list so far; 0 where there is none.
    pub(super) fn elements(&self) -> u64 {
        self.elements
    }

    /// Cuts the first item off `bytes`, which are not empty, and says how many bytes are used up: at least one unless more
    /// are needed.
    pub(super) fn cut<'a>(&mut self, bytes: &'a [u8], is_last: bool) -> (usize, Cut<'a>) {
        match self.within {
            Within::Start => self.start(bytes, is_last),
            Within::Lines => self.line(bytes, is_last),
            Within::List => self.element(bytes, is_last),
            Within::BehindList => {
                let blank = |byte: &&u8| byte.is_ascii_whitespace() && **byte != b'\n';
                let blank = bytes.iter().take_while(blank).count();
                let line_break = usize::from(bytes.get(blank) == Some(&b'\n'));
                if blank < bytes.len() {
                    self.within = Within::Start;
                }
                (blank + line_break, Cut::Between)
            }
            Within::LongLine => match memchr(b'\n', bytes) {
                Some(end) => {
                    self.within = Within::Lines;
                    (end + 1, Cut::Between)
                }
                None => (bytes.len(), Cut::Between),
            },
        }
    }

    fn start<'a>(&mut self, bytes: &'a [u8], is_last: bool) -> (usize, Cut<'a>) {
        const MARK: &[u8] = b"\xef\xbb\xbf";
        if bytes.starts_with(MARK) {
            return (MARK.len(), Cut::Between);
        }
        if !is_last && MARK.starts_with(bytes) {
            return (0, Cut::Incomplete);
        }
        let is_blank = |byte: &&u8| byte.is_ascii_whitespace() && **byte != b'\n';
        let blank = bytes.iter().take_while(is_blank).count();
        match bytes.get(blank) {
            Some(b'[') if self.is_json => {
                self.within = Within::List;
                self.elements = 0;
                (blank + 1, Cut::Between)
            }
            // Blank lines do not end the start.
            Some(b'\n') => (blank + 1, Cut::Item(bytes.get(..blank).unwrap_or_default())),
            None if !is_last && blank <= LONGEST_ITEM => (0, Cut::Incomplete),
            _ => {
                self.within = Within::Lines;
                self.line(bytes, is_last)
            }
        }
    }

    fn line<'a>(&mut self, bytes: &'a [u8], is_last: bool) -> (usize, Cut<'a>) {
        let Some(end) = memchr(b'\n', bytes) else {
            return if bytes.len() > LONGEST_ITEM {
                self.within = Within::LongLine;
                (bytes.len(), Cut::Refused(Refusal::TooLong))
            } else if is_last {
                (bytes.len(), Cut::Item(bytes))
            } else {
                (0, Cut::Incomplete)
            };
        };
        let (line, rest) = bytes.split_at(end);
        let rest = rest.get(1..).unwrap_or_default();
        if line.len() > LONGEST_ITEM {
            return (end + 1, Cut::Refused(Refusal::TooLong));
        }
        if self.is_json && line.trim_ascii() == b"{" {
            match rest.trim_ascii_start().first() {
                // The object goes on in the next lines.
                Some(b'"' | b'}') => return self.object(bytes, is_last),
                None if !is_last && bytes.len() <= LONGEST_ITEM => return (0, Cut::Incomplete),
                _ => {}
            }
        }
        (end + 1, Cut::Item(line))
    }

    /// An object that is cut out by its braces. Of one that is too long no more than the longest item is looked at, so
    /// that no input makes the same bytes be looked at again and again.
    fn object<'a>(&mut self, bytes: &'a [u8], is_last: bool) -> (usize, Cut<'a>) {
        let looked_at = bytes.get(..=LONGEST_ITEM).unwrap_or(bytes);
        match end_of_object(looked_at) {
            Some(end) if self.within == Within::List => match bytes.get(..end.min(LONGEST_ITEM)) {
                Some(object) if object.len() == end => (end, Cut::Item(object)),
                _ => (end, Cut::Refused(Refusal::TooLong)),
            },
            // Its line ends with the object; what stands behind it there belongs to it, and makes it no object.
            Some(end) => {
                let behind = bytes.get(end..).unwrap_or_default();
                let line = match memchr(b'\n', behind) {
                    Some(rest) => end + rest,
                    None if is_last || bytes.len() > LONGEST_ITEM => bytes.len(),
                    None => return (0, Cut::Incomplete),
                };
                let used = (line + 1).min(bytes.len());
                match bytes.get(..line) {
                    Some(item) if line <= LONGEST_ITEM => (used, Cut::Item(item)),
                    _ => (self.skip_from(bytes, used), Cut::Refused(Refusal::TooLong)),
                }
            }
            None if bytes.len() > LONGEST_ITEM => {
                self.within = Within::LongLine;
                (looked_at.len(), Cut::Refused(Refusal::TooLong))
            }
            None if is_last => (bytes.len(), Cut::Refused(Refusal::CutOff)),
            None => (0, Cut::Incomplete),
        }
    }

    /// Leaves out a line of which `used` bytes are known, and the rest when the line break is not among them.
    fn skip_from(&mut self, bytes: &[u8], used: usize) -> usize {
        if used.checked_sub(1).and_then(|last| bytes.get(last)) != Some(&b'\n') {
            self.within = Within::LongLine;
        }
        used
    }

    fn element<'a>(&mut self, bytes: &'a [u8], is_last: bool) -> (usize, Cut<'a>) {
        let between = bytes
            .iter()
            .take_while(|byte| byte.is_ascii_whitespace() || **byte == b',')
            .count();
        if between > 0 {
            return (between, Cut::Between);
        }
        let (taken, cut) = self.item_of_list(bytes, is_last);
        self.elements += u64::from(matches!(cut, Cut::Item(_) | Cut::Refused(_)));
        (taken, cut)
    }

    fn item_of_list<'a>(&mut self, bytes: &'a [u8], is_last: bool) -> (usize, Cut<'a>) {
        match bytes.first() {
            Some(b']') => {
                // Another list may follow.
                self.within = Within::BehindList;
                self.elements = 0;
                (1, Cut::Between)
            }
            Some(b'{') => self.object(bytes, is_last),
            // No flow, whatever it is; its end is where the next element may begin.
            _ => match memchr3(b',', b']', b'\n', bytes) {
                Some(end) => (end.max(1), Cut::Refused(Refusal::NotJson)),
                None if bytes.len() > LONGEST_ITEM => {
                    self.within = Within::LongLine;
                    (bytes.len(), Cut::Refused(Refusal::TooLong))
                }
                None if is_last => (bytes.len(), Cut::Refused(Refusal::NotJson)),
                None => (0, Cut::Incomplete),
            },
        }
    }
}

/// Where the object ends that begins at the first brace of `bytes`.
fn end_of_object(bytes: &[u8]) -> Option<usize> {
    let mut place = 0;
    let mut depth = 0_usize;
    loop {
        let found = place + memchr3(b'"', b'{', b'}', bytes.get(place..)?)?;
        place = found + 1;
        match bytes.get(found)? {
            b'{' => depth += 1,
            b'}' => {
                depth = depth.saturating_sub(1);
                if depth == 0 {
                    return Some(place);
                }
            }
            _ => place = end_of_string(bytes, place)?,
        }
    }
}

/// Where the string ends whose first byte behind the quote is at `place`.
fn end_of_string(bytes: &[u8], mut place: usize) -> Option<usize> {
    loop {
        let found = place + memchr2(b'"', b'\\', bytes.get(place..)?)?;
        match bytes.get(found)? {
            b'"' => return Some(found + 1),
            // Whatever is escaped ends no string.
            _ => place = found + 2,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The items of a text, those that the framing refuses as `!`, given whole or in pieces of one byte more each time.
    fn items(text: &str, is_json: bool, step: usize) -> Vec<String> {
        let bytes = text.as_bytes();
        let mut framing = Framing::new(is_json);
        let mut items = Vec::new();
        let (mut used, mut given) = (0, step.min(bytes.len()));
        while used < bytes.len() {
            let is_last = given == bytes.len();
            let piece = &bytes[used..given];
            let (taken, cut) = if piece.is_empty() {
                (0, Cut::Incomplete)
            } else {
                framing.cut(piece, is_last)
            };
            match cut {
                Cut::Item(item) => items.push(String::from_utf8_lossy(item.trim_ascii()).into_owned()),
                Cut::Refused(_) => items.push("!".to_owned()),
                Cut::Between => {}
                Cut::Incomplete => {
                    assert!(!is_last, "{text:?} needs no more bytes at its end");
                    given = (given + step).min(bytes.len());
                }
            }
            used += taken;
        }
        items
    }

    #[test]
    fn bytes_are_cut_into_items() {
        let check = |text: &str, expected: &[&str]| {
            for step in [1, 2, 3, 7, text.len().max(1)] {
                assert_eq!(items(text, true, step), expected, "{text:?} in steps of {step}");
            }
        };
        check("", &[]);
        check("{\"a\":1}\n{\"a\":2}", &["{\"a\":1}", "{\"a\":2}"]);
        check("{\"a\":1}\r\n\r\n{\"a\":2}\n", &["{\"a\":1}", "", "{\"a\":2}"]);
        check("\u{feff}{\"a\":1}\n", &["{\"a\":1}"]);
        // A line that is cut off costs itself alone.
        check("{\"a\":\n{\"a\":2}\n", &["{\"a\":", "{\"a\":2}"]);
        check("{\n{\"a\":2}\n", &["{", "{\"a\":2}"]);
        // Lists, also over many lines, and several of them.
        check("[{\"a\":1},{\"a\":2}]", &["{\"a\":1}", "{\"a\":2}"]);
        check(
            "\n[\n {\"a\": {\"b\": \"}]\\\"\"}\n },\n 7, {}]\n[{\"c\":1}]",
            &["", "{\"a\": {\"b\": \"}]\\\"\"}\n }", "!", "{}", "{\"c\":1}"],
        );
        check("[]", &[]);
        check("[] \r\n[]\n\n{}", &["", "{}"]);
        check(" \n [{}", &["", "{}"]);
        check("[{\"a\":1},{\"a\":", &["{\"a\":1}", "!"]);
        // Objects over many lines.
        check(
            "{\n  \"a\": 1\n}\n{\n  \"a\": 2\n}\n",
            &["{\n  \"a\": 1\n}", "{\n  \"a\": 2\n}"],
        );
        check("{\n  \"a\": 1\n", &["!"]);
        check("{", &["{"]);
        check("{\n}", &["{\n}"]);
    }

    #[test]
    fn lines_of_other_formats_are_no_lists() {
        assert_eq!(items("[1,2]\n{\n\"", false, 4), ["[1,2]", "{", "\""]);
    }

    #[test]
    fn a_line_without_end_is_refused_once() {
        let mut framing = Framing::new(false);
        let long = vec![b'x'; LONGEST_ITEM + 1];
        let check = |framing: &mut Framing, bytes: &[u8], expected: (usize, Cut<'_>)| {
            assert_eq!(framing.cut(bytes, false), expected);
        };
        check(&mut framing, &long[1..], (0, Cut::Incomplete));
        check(&mut framing, &long, (long.len(), Cut::Refused(Refusal::TooLong)));
        check(&mut framing, b"xxx", (3, Cut::Between));
        check(&mut framing, b"xx\na\n", (3, Cut::Between));
        check(&mut framing, b"a\n", (2, Cut::Item(b"a")));
    }
}
