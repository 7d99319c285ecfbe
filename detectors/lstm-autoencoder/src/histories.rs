//! What is remembered of the sources: the last flows of each, as the encoder reads them.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

use crate::artifact::WINDOW;

/// Sources that are remembered at once. A further source replaces the source whose last flow is longest ago; the next
/// flow of the replaced source is a window of one again. So a flood from invented addresses costs others their
/// histories and never more memory than 7 rows of the encoder's gates for each of these.
pub(crate) const MOST_SOURCES: usize = 4096;

/// Flows of a source that are remembered: those before the next one.
const BEFORE: usize = WINDOW - 1;
const NONE: u32 = u32::MAX;

/// Names a row: one that is remembered, or from `BLOCK` on one of the block at hand.
type RowName = u32;
const BLOCK: RowName = 1 << 31;

/// The rows of a window, the oldest first.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Window {
    rows: [RowName; WINDOW],
    /// How many of `rows` are there, at least 1.
    pub(crate) length: u8,
}

/// SplitMix64 (Steele, Lea and Flood 2014) of a source: the order of the table never shows, so any even spread will do.
#[derive(Debug, Default)]
struct SourceHasher(u64);

impl Hasher for SourceHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.write_u64(u64::from(byte));
        }
    }

    fn write_u64(&mut self, value: u64) {
        let mut mixed = (self.0 ^ value).wrapping_add(0x9e37_79b9_7f4a_7c15);
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        self.0 = mixed ^ (mixed >> 31);
    }
}

/// What is remembered of one source.
#[derive(Debug, Clone)]
struct Source {
    name: u64,
    /// The neighbours in the order of last flows.
    earlier: u32,
    later: u32,
    /// Its last flows, the oldest first.
    recent: [RowName; BEFORE],
    count: u8,
    /// Whether flows of the block at hand are among them.
    touched: bool,
}

/// The last flows of the sources, in bounded memory.
#[derive(Debug)]
pub(crate) struct Histories {
    /// Most sources.
    most: usize,
    /// Values of a row.
    width: usize,
    index: HashMap<u64, u32, BuildHasherDefault<SourceHasher>>,
    sources: Vec<Source>,
    /// Rows that are remembered, seven places for each of `sources`.
    rows: Vec<f32>,
    earliest: u32,
    latest: u32,
    /// Places of the sources that have flows of the block at hand.
    touched: Vec<u32>,
}

impl Histories {
    /// Of nobody yet, with room for `most` sources.
    pub(crate) fn new(most: usize, width: usize) -> Self {
        Self {
            most: most.max(1),
            width,
            index: HashMap::default(),
            sources: Vec::new(),
            rows: Vec::new(),
            earliest: NONE,
            latest: NONE,
            touched: Vec::new(),
        }
    }

    /// Sources that are remembered.
    pub(crate) fn len(&self) -> usize {
        self.sources.len()
    }

    /// The window of a row of the block at hand whose source nobody knows: the row alone.
    pub(crate) fn alone(row: usize) -> Window {
        let mut window = Window {
            length: 1,
            ..Window::default()
        };
        window.rows[0] = name_of(row);
        window
    }

    /// The window of a row of the block at hand, which becomes the last flow of its source.
    pub(crate) fn enter(&mut self, source: u64, row: usize) -> Window {
        let place = self.place_of(source);
        let source = &mut self.sources[place as usize];
        let window = source.window(row);
        let count = usize::from(source.count);
        if count == BEFORE {
            source.recent.rotate_left(1);
            source.recent[BEFORE - 1] = name_of(row);
        } else {
            source.recent[count] = name_of(row);
            source.count += 1;
        }
        if !source.touched {
            source.touched = true;
            self.touched.push(place);
        }
        window
    }

    /// The window that a row would have as the next flow of its source. Valid between blocks.
    pub(crate) fn next_window(&self, source: u64, row: usize) -> Window {
        match self.index.get(&source) {
            Some(&place) => self.sources[place as usize].window(row),
            None => Self::alone(row),
        }
    }

    /// The rows of a window, the oldest first; `block` are those of the block at hand.
    #[inline]
    pub(crate) fn row<'a>(&'a self, window: &Window, step: usize, block: &'a [f32]) -> &'a [f32] {
        let name = window.rows[step];
        let (rows, index) = if name >= BLOCK {
            (block, name - BLOCK)
        } else {
            (self.rows.as_slice(), name)
        };
        &rows[index as usize * self.width..][..self.width]
    }

    /// Ends a block: its rows that are still among the last of their sources are copied.
    pub(crate) fn keep(&mut self, block: &[f32]) {
        for &place in &self.touched {
            let source = &mut self.sources[place as usize];
            source.touched = false;
            let first = place * BEFORE as u32;
            let names = &mut source.recent[..usize::from(source.count)];
            let mut taken = [false; BEFORE];
            for &name in names.iter().filter(|&&name| name < BLOCK) {
                taken[(name - first) as usize] = true;
            }
            let mut free = (0..BEFORE).filter(|&row| !taken[row]);
            for name in names.iter_mut().filter(|name| **name >= BLOCK) {
                // Seven places hold at most seven flows.
                let Some(row) = free.next() else { break };
                let from = (*name - BLOCK) as usize * self.width;
                *name = first + row as u32;
                let to = *name as usize * self.width;
                self.rows[to..to + self.width].copy_from_slice(&block[from..from + self.width]);
            }
        }
        self.touched.clear();
    }

    /// The place of a source, which becomes the latest; of an unknown one after another had to be forgotten, if need be.
    fn place_of(&mut self, name: u64) -> u32 {
        if let Some(&place) = self.index.get(&name) {
            if self.latest != place {
                self.unlink(place);
                self.append(place);
            }
            return place;
        }
        let place = if self.sources.len() < self.most {
            let place = u32::try_from(self.sources.len()).expect("there are at most 4,096 sources");
            self.sources.push(Source {
                name,
                earlier: NONE,
                later: NONE,
                recent: [0; BEFORE],
                count: 0,
                touched: false,
            });
            self.rows.resize(self.rows.len() + BEFORE * self.width, 0.0);
            place
        } else {
            let place = self.earliest;
            self.unlink(place);
            let source = &mut self.sources[place as usize];
            self.index.remove(&source.name);
            // Its rows stay where they are until the block ends: windows of the block may name them.
            source.name = name;
            source.count = 0;
            place
        };
        self.index.insert(name, place);
        self.append(place);
        place
    }

    fn unlink(&mut self, place: u32) {
        let Source { earlier, later, .. } = self.sources[place as usize];
        match self.sources.get_mut(earlier as usize) {
            Some(source) => source.later = later,
            None => self.earliest = later,
        }
        match self.sources.get_mut(later as usize) {
            Some(source) => source.earlier = earlier,
            None => self.latest = earlier,
        }
    }

    fn append(&mut self, place: u32) {
        let latest = self.latest;
        let source = &mut self.sources[place as usize];
        (source.earlier, source.later) = (latest, NONE);
        match self.sources.get_mut(latest as usize) {
            Some(source) => source.later = place,
            None => self.earliest = place,
        }
        self.latest = place;
    }
}

impl Source {
    fn window(&self, row: usize) -> Window {
        let mut window = Window {
            length: self.count + 1,
            ..Window::default()
        };
        let (before, rest) = window.rows.split_at_mut(usize::from(self.count));
        before.copy_from_slice(&self.recent[..before.len()]);
        rest[0] = name_of(row);
        window
    }
}

fn name_of(row: usize) -> RowName {
    BLOCK + u32::try_from(row).expect("a block has at most 1,024 rows")
}
