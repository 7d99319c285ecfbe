//! Keyset pagination: a cursor is the sort key of the last entry given out, so that a page costs the same wherever it
//! lies and entries that arrive meanwhile shift nothing.

use netsage_api_types::Page;

use crate::StoreError;
use crate::reads::Look;
use netsage_alerts::Id;
use netsage_alerts::text::to_hex;

/// The listing that a cursor belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Listing {
    Alerts = 1,
    Flows = 2,
}

/// A place between two entries of a listing sorted by time and id, falling.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Cursor {
    pub(crate) time: i64,
    pub(crate) id: Id,
}

/// One byte for the listing, eight for the time, sixteen for the id.
const LENGTH: usize = 1 + 8 + 16;

impl Cursor {
    /// The text given to clients. They must not look inside.
    pub(crate) fn encode(self, listing: Listing) -> String {
        let mut bytes = [0; LENGTH];
        bytes[0] = listing as u8;
        bytes[1..9].copy_from_slice(&self.time.to_be_bytes());
        bytes[9..].copy_from_slice(&self.id);
        to_hex(&bytes)
    }

    /// Reads what [`Cursor::encode`] wrote for the same listing.
    pub(crate) fn decode(text: &str, listing: Listing) -> Result<Self, StoreError> {
        let bytes = decode_hex(text).ok_or(StoreError::BadCursor)?;
        if bytes[0] != listing as u8 {
            return Err(StoreError::BadCursor);
        }
        let mut time = [0; 8];
        time.copy_from_slice(&bytes[1..9]);
        let mut id = [0; 16];
        id.copy_from_slice(&bytes[9..]);
        Ok(Self {
            time: i64::from_be_bytes(time),
            id,
        })
    }

    /// Reads the cursor of a query, if it has one.
    pub(crate) fn of_query(text: Option<&String>, listing: Listing) -> Result<Option<Self>, StoreError> {
        text.map(|text| Self::decode(text, listing)).transpose()
    }
}

fn decode_hex(text: &str) -> Option<[u8; LENGTH]> {
    let digits = text.as_bytes();
    if digits.len() != LENGTH * 2 {
        return None;
    }
    let mut bytes = [0; LENGTH];
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        let high = char::from(pair[0]).to_digit(16)?;
        let low = char::from(pair[1]).to_digit(16)?;
        *byte = u8::try_from(high << 4 | low).ok()?;
    }
    Some(bytes)
}

/// Entries per page: what was asked for, within 1 to 500; 50 when nothing was.
pub(crate) fn page_limit(asked: Option<u32>) -> usize {
    asked.map_or(50, |limit| usize::try_from(limit.clamp(1, 500)).unwrap_or(500))
}

/// A page under construction: entries in the order of a listing, and how far it has looked for them.
pub(crate) struct PageBuilder<T> {
    listing: Listing,
    limit: usize,
    look: Look,
    items: Vec<T>,
    /// The place of the last entry of the page.
    last: Option<Cursor>,
    /// Where the look ended before the page was full.
    stopped: Option<Cursor>,
    is_full: bool,
}

impl<T> PageBuilder<T> {
    /// A page of so many entries, as a query asked for, that looks at so many rows at most.
    pub(crate) fn new(listing: Listing, asked: Option<u32>, rows: u32) -> Self {
        Self {
            listing,
            limit: page_limit(asked),
            look: Look::begin(rows),
            items: Vec::new(),
            last: None,
            stopped: None,
            is_full: false,
        }
    }

    /// Looks at the row at a place: `entry` is what stands there when it belongs into the page. Says whether to go on.
    pub(crate) fn look_at(&mut self, place: Cursor, entry: Option<T>) -> bool {
        if let Some(entry) = entry {
            // The one too many only says that there are more.
            if self.items.len() == self.limit {
                self.is_full = true;
                return false;
            }
            self.items.push(entry);
            self.last = Some(place);
        }
        let goes_on = self.look.goes_on();
        if !goes_on {
            self.stopped = Some(place);
        }
        goes_on
    }

    /// The page, with a cursor when there is, or may be, more.
    pub(crate) fn finish(self) -> Page<T> {
        let next = if self.is_full { self.last } else { self.stopped };
        Page {
            items: self.items,
            next: next.map(|place| place.encode(self.listing)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_is_read_back_for_its_own_listing_only() {
        for time in [i64::MIN, -1, 0, 1_700_000_000_000, i64::MAX] {
            let cursor = Cursor { time, id: [7; 16] };
            let text = cursor.encode(Listing::Alerts);
            assert_eq!(
                Cursor::decode(&text, Listing::Alerts).expect("own listing"),
                cursor
            );
            assert!(matches!(
                Cursor::decode(&text, Listing::Flows),
                Err(StoreError::BadCursor)
            ));
        }
    }

    #[test]
    fn nonsense_is_refused() {
        for text in [
            "",
            "0",
            "zz",
            "💣",
            &"g".repeat(50),
            &"0".repeat(50),
            &"0".repeat(49),
            &"é".repeat(25),
        ] {
            assert!(
                matches!(Cursor::decode(text, Listing::Alerts), Err(StoreError::BadCursor)),
                "{text}"
            );
        }
    }
}
