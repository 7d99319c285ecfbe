//! DBSCAN itself (Ester, Kriegel, Sander and Xu, 1996), with the labels that scikit-learn gives.
//!
//! Crates were looked at: `linfa-clustering` has DBSCAN, on another version of `ndarray` than this workspace, without
//! weights for repeated rows and without the core points, which are what scoring needs. The algorithm is short.

/// The outcome of clustering: label and kind of each row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Clustering {
    /// The number of the cluster of each row, from 0 by the first core point of each; `None` for noise.
    pub labels: Vec<Option<u32>>,
    /// Whether each row is a core point.
    pub core: Vec<bool>,
    /// Number of clusters.
    pub clusters: u32,
}

/// Clusters rows of `width` numbers each, row-major. A row is a core point when the weights of the rows at most `eps`
/// away, its own included, sum to at least `min_samples`. Core points at most `eps` apart share a cluster; another row
/// joins the first of the clusters that have a core point at most `eps` away.
pub fn cluster(values: &[f64], width: usize, weights: &[u32], eps: f64, min_samples: u64) -> Clustering {
    let rows = weights.len();
    let row = |row: usize| &values[row * width..][..width];
    let order = order(values, width, rows);
    let column = order.column;
    // Rows near in one column are candidates; of those the others are looked at.
    let neighbours = |place: usize, visit: &mut dyn FnMut(usize)| {
        let own = row(order.rows[place]);
        let near = |other: &&usize| (row(**other)[column] - own[column]).abs() <= eps;
        let before = order.rows[..place].iter().rev().take_while(near);
        let after = order.rows[place..].iter().take_while(near);
        for &other in before.chain(after) {
            if square(own, row(other)) <= eps * eps {
                visit(other);
            }
        }
    };
    let mut core = vec![false; rows];
    for place in 0..rows {
        let mut weight = 0;
        neighbours(place, &mut |other| weight += u64::from(weights[other]));
        core[order.rows[place]] = weight >= min_samples;
    }
    // Core points of one cluster lead to its first row.
    let mut first: Vec<usize> = (0..rows).collect();
    for place in 0..rows {
        let own = order.rows[place];
        if core[own] {
            neighbours(place, &mut |other| {
                if core[other] {
                    unite(&mut first, own, other);
                }
            });
        }
    }
    let mut labels = vec![None; rows];
    let mut clusters = 0;
    for row in (0..rows).filter(|&row| core[row]) {
        let root = find(&mut first, row);
        if root == row {
            labels[row] = Some(clusters);
            clusters += 1;
        } else {
            labels[row] = labels[root];
        }
    }
    for place in 0..rows {
        let own = order.rows[place];
        if !core[own] {
            let mut joined: Option<u32> = None;
            neighbours(place, &mut |other| {
                if core[other] {
                    joined = joined.into_iter().chain(labels[other]).min();
                }
            });
            labels[own] = joined;
        }
    }
    Clustering {
        labels,
        core,
        clusters,
    }
}

struct Order {
    column: usize,
    rows: Vec<usize>,
}

/// The rows by the column in which they differ most.
fn order(values: &[f64], width: usize, rows: usize) -> Order {
    let variance = |column: usize| {
        let column = || values.iter().skip(column).step_by(width);
        let mean = column().sum::<f64>() / rows.max(1) as f64;
        column().map(|value| (value - mean) * (value - mean)).sum::<f64>()
    };
    let widest = (0..width).max_by(|&a, &b| variance(a).total_cmp(&variance(b)));
    let column = widest.unwrap_or_default();
    let mut order: Vec<usize> = (0..rows).collect();
    order.sort_by(|&a, &b| values[a * width + column].total_cmp(&values[b * width + column]));
    Order { column, rows: order }
}

fn square(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| (a - b) * (a - b)).sum()
}

/// The first row of a cluster; shortens the way to it.
fn find(first: &mut [usize], mut row: usize) -> usize {
    while first[row] != row {
        first[row] = first[first[row]];
        row = first[row];
    }
    row
}

fn unite(first: &mut [usize], a: usize, b: usize) {
    let (a, b) = (find(first, a), find(first, b));
    first[a.max(b)] = a.min(b);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chains_borders_and_noise() {
        let values = [0.0, 1.0, 2.0, 3.5, 10.0, 11.0, 12.0, 40.0];
        let found = cluster(&values, 1, &[1; 8], 1.5, 3);
        assert_eq!(
            found.labels,
            [
                Some(0),
                Some(0),
                Some(0),
                Some(0),
                Some(1),
                Some(1),
                Some(1),
                None
            ]
        );
        assert_eq!(found.core, [false, true, true, false, false, true, false, false]);
        assert_eq!(found.clusters, 2);
    }

    #[test]
    fn a_border_joins_the_first_cluster_and_weights_count() {
        // 2 lies between the clusters of 3, 4 and of 0, 1.
        let found = cluster(&[4.0, 3.0, 2.0, 1.0, 0.0], 1, &[9, 1, 1, 1, 9], 1.0, 10);
        assert_eq!(found.core, [true, true, false, true, true]);
        assert_eq!(found.labels, [Some(0), Some(0), Some(0), Some(1), Some(1)]);
        let empty = cluster(&[], 3, &[], 1.0, 1);
        assert_eq!(empty.clusters, 0);
    }
}
