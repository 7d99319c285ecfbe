//! Points that stand in memory in the order of a balanced tree of boxes, and the search for the nearest of them.
//!
//! A tree over `n` points is a function of `n` alone: leaves of [`LEAF`] points, and above them nodes that halve the
//! leaves. So an artifact only holds the points in this order ([`arrange`] makes it), and whatever order a damaged one
//! holds, the search finds the nearest points, if slowly. Sums of squares go over the columns in order.

use std::ops::Range;

/// Points in a leaf.
pub const LEAF: usize = 16;
/// Numbers of a box are padded to a multiple of this, so that they can be compared at once.
const LANES: usize = 4;
/// Deepest tree: as many halvings as the number of leaves can have.
const DEPTH: usize = 32;

/// One column of a leaf. A column begins with a line of the processor's cache and fills the line, so that no load needs
/// two lines wherever the allocator puts a cloud.
#[derive(Debug, Clone, Copy)]
#[repr(C, align(64))]
struct Line([f32; LEAF]);

/// Numbers of a box that are compared at once; aligned like [`Line`], for the same reason.
#[derive(Debug, Clone, Copy)]
#[repr(C, align(16))]
struct Lanes([f32; LANES]);

/// Points of one context with how often each occurs.
#[derive(Debug, Clone)]
pub struct Cloud {
    width: usize,
    points: usize,
    /// Number of the first point, counted over all clouds.
    base: u32,
    /// Leaf by leaf, column by column; what is missing in the last leaf is infinitely far.
    lines: Vec<Line>,
    /// How often each point counts; 0 for what is missing in the last leaf.
    counts: Vec<u32>,
    /// Lows and highs of each node, depth first, the left half before the right.
    boxes: Vec<Lanes>,
}

/// The nearest points found so far, by rising distance, until they count `wanted`.
#[derive(Debug, Clone)]
pub struct Nearest {
    wanted: u32,
    total: u32,
    bound: f32,
    entries: Vec<Found>,
}

/// A point that was found.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Found {
    /// Its squared distance.
    pub square: f32,
    /// How often it counts.
    pub count: u32,
    /// Its number, counted over all clouds.
    pub point: u32,
}

impl Nearest {
    /// Room for `wanted` points, at least 1.
    pub fn new(wanted: u32) -> Self {
        Self {
            wanted,
            total: 0,
            bound: f32::INFINITY,
            entries: Vec::with_capacity(wanted as usize + 1),
        }
    }

    /// Forgets what was found. Only points nearer than the square root of `bound` will be taken.
    pub fn clear(&mut self, bound: f32) {
        self.entries.clear();
        self.total = 0;
        self.bound = bound;
    }

    /// The squared distance that a point must stay below to be taken.
    #[inline(always)]
    pub fn bound(&self) -> f32 {
        self.bound
    }

    /// What was found, nearest first.
    pub fn entries(&self) -> &[Found] {
        &self.entries
    }

    /// The mean distance of the `wanted` nearest points, each as often as it counts; of fewer, when there are fewer.
    pub fn mean_distance(&self) -> f32 {
        let (mut sum, mut taken) = (0.0, 0);
        for entry in &self.entries {
            let count = entry.count.min(self.wanted - taken);
            sum += entry.square.sqrt() * count as f32;
            taken += count;
        }
        if taken == 0 { 0.0 } else { sum / taken as f32 }
    }

    /// Takes a point that is nearer than the bound.
    #[inline]
    fn insert(&mut self, found: Found) {
        let place = self.entries.partition_point(|entry| entry.square <= found.square);
        self.entries.insert(place, found);
        self.total += found.count.min(self.wanted);
        while let Some(last) = self.entries.last() {
            let without = self.total - last.count.min(self.wanted);
            if without < self.wanted {
                break;
            }
            self.total = without;
            self.entries.pop();
        }
        if self.total >= self.wanted
            && let Some(last) = self.entries.last()
        {
            self.bound = last.square;
        }
    }
}

impl Cloud {
    /// A cloud of the points `values`, row-major, `width` numbers each (at least one), in the order of [`arrange`].
    /// `base` is the number of its first point.
    pub fn new(width: usize, values: &[f32], counts: &[u32], base: u32) -> Self {
        let points = counts.len();
        let leaves = points.div_ceil(LEAF);
        let mut cloud = Self {
            width,
            points,
            base,
            lines: vec![Line([f32::INFINITY; LEAF]); leaves * width],
            counts: vec![0; leaves * LEAF],
            boxes: vec![Lanes([0.0; LANES]); (2 * leaves).saturating_sub(1) * 2 * width.div_ceil(LANES)],
        };
        cloud.counts[..points].copy_from_slice(counts);
        for (point, row) in values.chunks_exact(width).enumerate() {
            let leaf = &mut cloud.lines[point / LEAF * width..];
            for (line, &value) in leaf.iter_mut().zip(row) {
                line.0[point % LEAF] = value;
            }
        }
        if leaves > 0 {
            cloud.bound_node(0, 0..leaves, values);
        }
        cloud
    }

    /// Number of distinct points.
    pub fn len(&self) -> usize {
        self.points
    }

    /// Whether there is no point.
    pub fn is_empty(&self) -> bool {
        self.points == 0
    }

    /// The value of a point, numbered over all clouds, in a column.
    pub fn value(&self, point: u32, column: usize) -> f32 {
        let point = (point - self.base) as usize;
        self.lines[point / LEAF * self.width + column].0[point % LEAF]
    }

    /// Whether the point of this number is one of this cloud.
    pub fn holds(&self, point: u32) -> bool {
        (self.base as usize..self.base as usize + self.points).contains(&(point as usize))
    }

    fn bound_node(&mut self, node: usize, leaves: Range<usize>, values: &[f32]) {
        let (sides, width) = (self.width.div_ceil(LANES), self.width);
        let points = leaves.start * LEAF..(leaves.end * LEAF).min(self.points);
        let (lows, highs) = self.boxes[node * 2 * sides..][..2 * sides].split_at_mut(sides);
        for column in 0..width {
            let values = values[points.start * width..points.end * width]
                .iter()
                .skip(column)
                .step_by(width);
            let (low, high) = values.fold((f32::INFINITY, f32::NEG_INFINITY), |(low, high), &value| {
                (low.min(value), high.max(value))
            });
            lows[column / LANES].0[column % LANES] = low;
            highs[column / LANES].0[column % LANES] = high;
        }
        if leaves.len() > 1 {
            let middle = leaves.start + leaves.len() / 2;
            self.bound_node(node + 1, leaves.start..middle, values);
            self.bound_node(node + 2 * (middle - leaves.start), middle..leaves.end, values);
        }
    }

    /// Takes into `nearest` what lies nearer to `query` than its bound. `offset` is added to every squared distance.
    /// `query` is padded with zeros to a multiple of four numbers. Stops once the bound is not above `enough`.
    #[inline]
    pub fn search(&self, query: &[f32], offset: f32, enough: f32, nearest: &mut Nearest) {
        let leaves = self.counts.len() / LEAF;
        if leaves == 0 {
            return;
        }
        let mut waiting = [(0u32, 0u32, 0u32, 0.0f32); DEPTH];
        let mut height = 1;
        waiting[0] = (0, 0, leaves as u32, self.distance_to_box(query, 0) + offset);
        while height > 0 {
            height -= 1;
            let (mut node, mut first, mut count, square) = waiting[height];
            if square >= nearest.bound {
                continue;
            }
            while count > 1 {
                let half = count / 2;
                let (left, right) = (node + 1, node + 2 * half);
                let to_left = self.distance_to_box(query, left as usize) + offset;
                let to_right = self.distance_to_box(query, right as usize) + offset;
                let other;
                if to_right < to_left {
                    other = (left, first, half, to_left);
                    (node, first, count) = (right, first + half, count - half);
                } else {
                    other = (right, first + half, count - half, to_right);
                    (node, count) = (left, half);
                }
                // One entry a level at most, and a level halves the leaves.
                waiting[height] = other;
                height += usize::from(other.3 < nearest.bound);
            }
            self.search_leaf(first as usize, query, offset, nearest);
            if nearest.bound <= enough {
                return;
            }
        }
    }

    #[inline(always)]
    fn search_leaf(&self, leaf: usize, query: &[f32], offset: f32, nearest: &mut Nearest) {
        let mut squares = [offset; LEAF];
        let columns = &self.lines[leaf * self.width..][..self.width];
        for (column, &at) in columns.iter().zip(query) {
            for (square, &value) in squares.iter_mut().zip(&column.0) {
                let difference = value - at;
                *square += difference * difference;
            }
        }
        for (lane, &square) in squares.iter().enumerate() {
            if square < nearest.bound {
                let place = leaf * LEAF + lane;
                nearest.insert(Found {
                    square,
                    count: self.counts[place],
                    point: self.base + place as u32,
                });
            }
        }
    }

    /// The squared distance from a point to the nearest side of a node's box; 0 inside.
    #[inline(always)]
    fn distance_to_box(&self, query: &[f32], node: usize) -> f32 {
        let sides = self.width.div_ceil(LANES);
        let (lows, highs) = self.boxes[node * 2 * sides..][..2 * sides].split_at(sides);
        let mut sums = [0.0f32; LANES];
        let query = query.as_chunks::<LANES>().0;
        for ((Lanes(low), Lanes(high)), at) in lows.iter().zip(highs).zip(query) {
            for lane in 0..LANES {
                let below = low[lane] - at[lane];
                let above = at[lane] - high[lane];
                let outside = if below > above { below } else { above };
                let outside = if outside > 0.0 { outside } else { 0.0 };
                sums[lane] += outside * outside;
            }
        }
        (sums[0] + sums[1]) + (sums[2] + sums[3])
    }
}

/// Puts rows of `width` numbers in the order of the tree: at each node the half that is smaller in the column in
/// which the node is widest comes first. `order` holds numbers of rows of `values`.
pub fn arrange(width: usize, values: &[f32], order: &mut [u32]) {
    let leaves = order.len().div_ceil(LEAF);
    if leaves <= 1 {
        return;
    }
    let at = |row: u32, column: usize| values[row as usize * width + column];
    let extent = |column: usize| {
        let (low, high) = order
            .iter()
            .fold((f32::INFINITY, f32::NEG_INFINITY), |(low, high), &row| {
                (low.min(at(row, column)), high.max(at(row, column)))
            });
        high - low
    };
    let mut widest = (0, f32::NEG_INFINITY);
    for column in 0..width {
        let extent = extent(column);
        if extent > widest.1 {
            widest = (column, extent);
        }
    }
    let column = widest.0;
    let middle = leaves / 2 * LEAF;
    order.select_nth_unstable_by(middle, |&a, &b| {
        at(a, column).total_cmp(&at(b, column)).then(a.cmp(&b))
    });
    let (left, right) = order.split_at_mut(middle);
    arrange(width, values, left);
    arrange(width, values, right);
}
