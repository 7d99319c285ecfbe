//! The trees of a forest, laid out for descending along many paths at once.

use crate::artifact::{ArtifactError, LEAF, Planes, Term, TreeShape};

/// Paths that are descended side by side. Each step of a path waits for the step before; eight paths in turn keep the
/// processor busy meanwhile. In a block the lanes are eight rows in one tree, for a single row the row in eight trees.
pub(crate) const LANES: usize = 8;

/// Values of a row while it descends: the number of columns, rounded up to what [`Trees`] is made for, so that no
/// index into a row needs a check.
pub(crate) type Lanes<const WIDTH: usize> = [[f32; WIDTH]; LANES];

/// Steps after which it is looked whether all lanes have arrived.
const STEPS_AT_ONCE: u32 = 3;

/// Deepest tree that is accepted. Training limits the height to 20 unless told otherwise.
const MAX_HEIGHT: u32 = 64;

/// Largest weight of a column in an extended split: sums of scaled values stay far from the largest number.
const LARGEST_WEIGHT: f32 = 1e6;

/// Most nodes of all trees: a link is stored in 24 bits.
const MAX_NODES: usize = 1 << 24;

/// A node in eight bytes, one load. A leaf is a split whose first child is itself and whose threshold no
/// value reaches, so that descending a fixed number of steps needs no branch.
#[derive(Debug, Clone, Copy)]
struct Node {
    threshold: f32,
    /// Column in the upper 8 bits, first child in the lower 24; the second child follows the first.
    link: u32,
}

impl Node {
    fn new(threshold: f32, column: u8, first_child: usize) -> Self {
        let first_child = u32::try_from(first_child).expect("a forest has at most 2^24 nodes");
        Self {
            threshold,
            link: u32::from(column) << 24 | first_child,
        }
    }

    #[inline(always)]
    fn column(self) -> usize {
        (self.link >> 24) as usize
    }

    #[inline(always)]
    fn first_child(self) -> u32 {
        self.link & 0x00ff_ffff
    }

    #[inline(always)]
    fn child_for(self, value: f32) -> u32 {
        self.first_child() + u32::from(value >= self.threshold)
    }

    fn is_leaf(self) -> bool {
        self.threshold == f32::INFINITY
    }
}

/// Trees that have been checked: descending one never leaves it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Trees {
    /// The nodes of all trees, one tree after the other.
    nodes: Vec<Node>,
    /// For a leaf the path length of rows that end there; 0 for a split.
    path_lengths: Vec<f32>,
    roots: Vec<u32>,
    heights: Vec<u32>,
    /// The sums of extended splits, in the order of the splits, `columns_per_split` each. Empty for plain ones.
    terms: Vec<Term>,
    columns_per_split: usize,
}

impl Trees {
    /// None yet, with room for that many nodes.
    pub(crate) fn with_capacity(nodes: usize) -> Self {
        let room = nodes.min(MAX_NODES);
        Self {
            nodes: Vec::with_capacity(room),
            path_lengths: Vec::with_capacity(room),
            ..Self::default()
        }
    }

    /// Number of trees.
    pub(crate) fn len(&self) -> usize {
        self.roots.len()
    }

    /// Checks a stored tree over `subsample` rows of `width` columns and appends it; `expected` are the expected path
    /// lengths of 0 to `subsample` rows.
    pub(crate) fn push(
        &mut self,
        shape: &TreeShape,
        width: usize,
        subsample: u32,
        expected: &[f64],
    ) -> Result<(), ArtifactError> {
        let content = |text: String| Err(ArtifactError::Content(text));
        let root = self.nodes.len();
        let count = shape.columns.len();
        let splits = shape.thresholds.len();
        if count > MAX_NODES - root {
            return content(format!("the trees have more than {MAX_NODES} nodes"));
        }
        if count != 2 * splits + 1 || shape.sizes.len() != splits + 1 {
            return content(format!(
                "{splits} splits and {} leaves do not make a tree of {count} nodes",
                shape.sizes.len()
            ));
        }
        let leaf_rows: u64 = shape.sizes.iter().map(|&size| u64::from(size)).sum();
        if leaf_rows != u64::from(subsample) || shape.sizes.contains(&0) {
            return content(format!(
                "the leaves of a tree hold {leaf_rows} rows instead of {subsample}"
            ));
        }

        let mut depths = vec![0u32; count];
        let (mut next_split, mut next_leaf) = (0, 0);
        for (index, &column) in shape.columns.iter().enumerate() {
            if column == LEAF {
                // The count of leaves may still be wrong here; the check of children below finds it.
                let Some(&size) = shape.sizes.get(next_leaf) else {
                    return content(format!("a tree has more than {next_leaf} leaves"));
                };
                next_leaf += 1;
                let length = f64::from(depths[index]) + expected[size as usize];
                self.path_lengths.push(length as f32);
                self.nodes.push(Node::new(f32::INFINITY, 0, root + index));
                continue;
            }
            let first_child = 2 * next_split + 1;
            let Some(&threshold) = shape.thresholds.get(next_split) else {
                return content(format!("a tree has more than {next_split} splits"));
            };
            next_split += 1;
            if usize::from(column) >= width || !threshold.is_finite() {
                return content(format!("a split at {threshold} of column {column} of {width}"));
            }
            if first_child <= index {
                return content(format!("node {index} is its own ancestor"));
            }
            let depth = depths[index] + 1;
            if depth > MAX_HEIGHT {
                return content(format!("a tree is higher than {MAX_HEIGHT}"));
            }
            // Within bounds: there are as many splits as thresholds, and nodes twice as many and one.
            depths[first_child] = depth;
            depths[first_child + 1] = depth;
            self.path_lengths.push(0.0);
            self.nodes.push(Node::new(threshold, column, root + first_child));
        }

        // At most 2^24.
        self.roots.push(root as u32);
        self.heights.push(depths.into_iter().max().unwrap_or_default());
        Ok(())
    }

    /// Makes the splits extended ones, when all trees are there.
    pub(crate) fn extend(&mut self, planes: Planes, width: usize) -> Result<(), ArtifactError> {
        let content = |text: String| Err(ArtifactError::Content(text));
        let columns_per_split = usize::from(planes.columns_per_split);
        let splits = (self.nodes.len() - self.roots.len()) / 2;
        if columns_per_split < 2 || planes.terms.len() != splits * columns_per_split {
            return content(format!(
                "{} terms do not make {splits} splits by {columns_per_split} columns",
                planes.terms.len()
            ));
        }
        let sound = |term: &&Term| usize::from(term.column) < width && term.weight.abs() <= LARGEST_WEIGHT;
        if let Some(term) = planes.terms.iter().find(|term| !sound(term)) {
            return content(format!(
                "a split weighs column {} of {width} with {}",
                term.column, term.weight
            ));
        }
        self.terms = planes.terms;
        self.columns_per_split = columns_per_split;
        Ok(())
    }

    /// Whether splits are by a weighted sum of columns.
    pub(crate) fn are_extended(&self) -> bool {
        !self.terms.is_empty()
    }

    /// Adds the path lengths of each row to `totals`, tree by tree: a tree stays in the cache for all rows.
    pub(crate) fn add_path_lengths<const WIDTH: usize>(
        &self,
        groups: &[Lanes<WIDTH>],
        totals: &mut [[f64; LANES]],
    ) {
        if self.are_extended() {
            for (row, total) in groups.iter().flatten().zip(totals.iter_mut().flatten()) {
                *total += self.path_length_of(row);
            }
            return;
        }
        let order = self.likeness_order(groups.as_flattened());
        let mut alike = groups.to_vec();
        for (row, &from) in alike.as_flattened_mut().iter_mut().zip(&order) {
            *row = groups.as_flattened()[from];
        }
        let nodes = self.nodes.as_slice();
        for (&root, &height) in self.roots.iter().zip(&self.heights) {
            for (group, places) in alike.iter().zip(order.as_chunks::<LANES>().0) {
                let mut at = [root; LANES];
                let mut steps = 0;
                while steps < height {
                    let mut before = at;
                    for _ in 0..STEPS_AT_ONCE {
                        before = at;
                        for (at, row) in at.iter_mut().zip(group) {
                            let node = nodes[*at as usize];
                            // WIDTH is a power of two above every column: the remainder changes nothing.
                            *at = node.child_for(row[node.column() % WIDTH]);
                        }
                    }
                    steps += STEPS_AT_ONCE;
                    // A leaf leads to itself: where the last step has moved nothing, all have arrived.
                    if at == before {
                        break;
                    }
                }
                for (&place, leaf) in places.iter().zip(at) {
                    totals.as_flattened_mut()[place] += f64::from(self.path_lengths[leaf as usize]);
                }
            }
        }
    }

    /// The places of rows, those next to each other that end together in the first two trees. They take much the same
    /// paths in the others too, so that few lanes wait for one that has further to go.
    fn likeness_order<const WIDTH: usize>(&self, rows: &[[f32; WIDTH]]) -> Vec<usize> {
        let leaves = |row| {
            let mut trees = self.roots.iter().map(|&root| self.leaf_from(root, row));
            (trees.next(), trees.next())
        };
        let mut order: Vec<_> = rows.iter().map(leaves).zip(0..).collect();
        order.sort_unstable();
        order.into_iter().map(|(_, place)| place).collect()
    }

    /// The same for one row and its variants: first the row itself, then the row with another value in the first column,
    /// in the second, and so on. A path meets few of the columns, and a variant leaves it where its column first leads
    /// elsewhere, so that hardly anything is descended twice.
    pub(crate) fn add_variant_lengths<const WIDTH: usize>(
        &self,
        groups: &[Lanes<WIDTH>],
        totals: &mut [[f64; LANES]],
    ) {
        if self.are_extended() {
            return self.add_path_lengths(groups, totals);
        }
        let (variants, totals) = (groups.as_flattened(), totals.as_flattened_mut());
        let Some(row) = variants.first() else { return };
        let mut elsewhere: Vec<Option<f64>> = vec![None; totals.len()];
        for &root in &self.roots {
            elsewhere.fill(None);
            let mut at = root;
            while !self.nodes[at as usize].is_leaf() {
                let node = self.nodes[at as usize];
                let column = node.column() % WIDTH;
                at = node.child_for(row[column]);
                if let (Some(variant), Some(length @ None)) =
                    (variants.get(column + 1), elsewhere.get_mut(column + 1))
                {
                    let other = node.child_for(variant[column]);
                    if other != at {
                        let leaf = self.leaf_from(other, variant);
                        *length = Some(f64::from(self.path_lengths[leaf as usize]));
                    }
                }
            }
            let own = f64::from(self.path_lengths[at as usize]);
            for (total, length) in totals.iter_mut().zip(&elsewhere) {
                *total += length.unwrap_or(own);
            }
        }
    }

    /// The leaf where a row ends that has come to the node `at`.
    fn leaf_from<const WIDTH: usize>(&self, mut at: u32, row: &[f32; WIDTH]) -> u32 {
        while !self.nodes[at as usize].is_leaf() {
            let node = self.nodes[at as usize];
            at = node.child_for(row[node.column() % WIDTH]);
        }
        at
    }

    /// The sum of a row's path lengths, added in the order of the trees, as [`Trees::add_path_lengths`] does.
    pub(crate) fn path_length_of<const WIDTH: usize>(&self, row: &[f32; WIDTH]) -> f64 {
        if self.are_extended() {
            let trees = self.roots.iter().enumerate();
            return trees.fold(0.0, |total, (tree, &root)| {
                total + f64::from(self.path_lengths[self.extended_leaf(tree, root as usize, row)])
            });
        }
        let nodes = self.nodes.as_slice();
        let mut total = 0.0;
        for (roots, heights) in self.roots.chunks(LANES).zip(self.heights.chunks(LANES)) {
            // Lanes without a tree descend from the first root and are not read.
            let mut at = [0; LANES];
            at[..roots.len()].copy_from_slice(roots);
            let height = heights.iter().copied().max().unwrap_or_default();
            for _ in 0..height {
                for at in &mut at {
                    let node = nodes[*at as usize];
                    *at = node.child_for(row[node.column() % WIDTH]);
                }
            }
            for leaf in &at[..roots.len()] {
                total += f64::from(self.path_lengths[*leaf as usize]);
            }
        }
        total
    }

    /// The leaf of tree number `tree` where a row ends.
    fn extended_leaf(&self, tree: usize, root: usize, row: &[f32]) -> usize {
        let mut at = root;
        loop {
            let node = self.nodes[at];
            if node.is_leaf() {
                return at;
            }
            // Every tree before has one node more than twice its splits, and so has this one up to here.
            let split = (node.first_child() as usize - 1 - tree) / 2;
            let terms = &self.terms[split * self.columns_per_split..][..self.columns_per_split];
            let sum = terms
                .iter()
                .fold(0.0, |sum, term| sum + term.weight * row[usize::from(term.column)]);
            at = node.child_for(sum) as usize;
        }
    }
}
