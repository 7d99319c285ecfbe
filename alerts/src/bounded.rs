//! The bounds of alerts, as a model in memory.

use std::collections::{BTreeMap, HashSet};
use std::net::SocketAddr;

use crate::{AlertRecord, AlertWindow, Cell, CellHits, HitOfFlow, Id, Part, Summary, by_source, group};

/// The bounds of the alerts in one cell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AlertLimits {
    /// Most sources that a target may be hit by and leave them alerts of their own; with more it gets one for all.
    pub sources: usize,
    /// Most alerts, beside the one that says what is held back.
    pub alerts: usize,
    /// Most merged alerts that a store keeps, of those merged last. A reader of the changes that is further behind misses
    /// that an alert was merged.
    pub merged: usize,
}

/// 16 sources of a target, 1,000 alerts of a detector, kind and window, and as many merged ones.
impl Default for AlertLimits {
    fn default() -> Self {
        Self {
            sources: 16,
            alerts: 1_000,
            merged: 1_000,
        }
    }
}

/// The alerts of a set of hits, by the whole rule and without a store:
///
/// 1. A target that more than [`AlertLimits::sources`] sources hit in a cell has one alert, which counts all hits on it.
/// 2. All other hits belong to the alert of their source.
/// 3. Of all alerts of a cell those with the smallest ids are shown, up to [`AlertLimits::alerts`]. One more says how many
///    are held back, and counts all hits of the cell.
///
/// The alerts depend on the set of hits alone. Each store keeps what [`Bounded`] has in its maps, and its tests compare its
/// alerts with these.
#[derive(Debug, Clone)]
pub struct Bounded<'a> {
    window: AlertWindow,
    limits: AlertLimits,
    cells: BTreeMap<Cell<'a>, CellState>,
}

#[derive(Debug, Clone, Default)]
struct CellState {
    /// By the ids of their alerts, the parts of sources to targets without an alert of their own.
    parts: BTreeMap<Id, BTreeMap<SocketAddr, Part>>,
    counted: HashSet<(SocketAddr, Id)>,
    targets: BTreeMap<SocketAddr, Summary>,
    all: Option<Summary>,
}

impl<'a> Bounded<'a> {
    /// No hits yet.
    pub fn new(window: AlertWindow, limits: AlertLimits) -> Self {
        Self {
            window,
            limits,
            cells: BTreeMap::new(),
        }
    }

    /// Adds the hits of a delivery.
    pub fn add(&mut self, hits: impl Iterator<Item = HitOfFlow<'a>>) {
        for hits in group(hits, self.window) {
            let state = self.cells.entry(hits.cell).or_default();
            state.add(&hits, self.limits);
        }
    }

    /// The alerts that are shown, by id.
    pub fn alerts(&self) -> BTreeMap<Id, AlertRecord> {
        let mut shown = BTreeMap::new();
        for (cell, state) in &self.cells {
            let mut alerts = state.alerts(cell);
            let held_back = alerts.len().saturating_sub(self.limits.alerts);
            if let (1.., Some(all)) = (held_back, &state.all) {
                let id = cell.id_of_rest();
                shown.insert(id, all.alert(&id, Some(held_back as u64)));
            }
            for _ in 0..held_back {
                alerts.pop_last();
            }
            shown.append(&mut alerts);
        }
        shown
    }
}

impl CellState {
    fn add(&mut self, hits: &CellHits<'_>, limits: AlertLimits) {
        for hit in hits.hits() {
            match &mut self.all {
                Some(all) => drop(all.add_hit(hit)),
                None => self.all = Some(Summary::of_hit(hit)),
            }
        }
        for (target, on_target) in hits.targets() {
            if let Some(summary) = self.targets.get_mut(&target) {
                for hit in on_target {
                    summary.add_hit(hit);
                }
                continue;
            }
            for (source, hits_of_source) in by_source(on_target) {
                let id = hits.cell.id_of_source(source);
                let mut fresh = hits_of_source.to_vec();
                fresh.retain(|hit| self.counted.insert((target, hit.flow.id)));
                let parts = self.parts.entry(id).or_default();
                if let Some(part) = Part::extend(parts.remove(&target), &id, &fresh) {
                    parts.insert(target, part);
                }
            }
            let of_target = |parts: &&BTreeMap<SocketAddr, Part>| parts.contains_key(&target);
            if self.parts.values().filter(of_target).count() > limits.sources {
                self.merge(target);
            }
        }
    }

    /// Gives a target an alert of its own.
    fn merge(&mut self, target: SocketAddr) {
        for parts in self.parts.values_mut() {
            let Some(summary) = parts.remove(&target).as_ref().and_then(Summary::of_part) else {
                continue;
            };
            match self.targets.get_mut(&target) {
                Some(known) => drop(known.join(&summary)),
                None => drop(self.targets.insert(target, summary)),
            }
        }
        self.parts.retain(|_, parts| !parts.is_empty());
    }

    /// All alerts, shown or not.
    fn alerts(&self, cell: &Cell<'_>) -> BTreeMap<Id, AlertRecord> {
        let of_sources = self.parts.iter().filter_map(|(id, parts)| {
            let parts = parts.values().map(|part| part.record.clone());
            Some((*id, parts.reduce(AlertRecord::join)?))
        });
        let of_targets = self.targets.iter().map(|(target, summary)| {
            let id = cell.id_of_target(*target);
            (id, summary.alert(&id, None))
        });
        of_sources.chain(of_targets).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use netsage_api_types::Alert;
    use proptest::prelude::*;

    use super::*;
    use crate::samples::{Owned, hit};
    use crate::text::to_hex;
    use crate::{Key, Provenance, Raised};

    const WINDOW: AlertWindow = AlertWindow::of_ms(1_000);

    fn alerts(hits: &[Owned], limits: AlertLimits) -> Vec<Alert> {
        let mut bounded = Bounded::new(WINDOW, limits);
        bounded.add(hits.iter().map(Owned::lend));
        bounded
            .alerts()
            .into_values()
            .map(|record| record.alert)
            .collect()
    }

    /// Hits from sources to ports of one host, in one cell.
    fn hits(pairs: impl IntoIterator<Item = (u8, u16)>) -> Vec<Owned> {
        let hit = |(number, (source, port)): (u8, (u8, u16))| {
            let mut hit = hit(number, number, 0);
            hit.flow.source = IpAddr::from([10, 0, 0, source]);
            hit.flow.destination_port = port;
            hit
        };
        (0..).zip(pairs).map(hit).collect()
    }

    /// What an alert is of, its flows, and of many sources their number and what is held back.
    type Outline = (String, u64, Option<(u64, Option<u64>)>);

    fn outline(alert: &Alert) -> Outline {
        let of = match &alert.sources {
            None => alert.source.clone(),
            Some(_) => format!("{}:{}", alert.destination, alert.destination_port),
        };
        let sources = alert.sources.as_ref();
        (
            of,
            alert.count,
            sources.map(|sources| (sources.count, sources.held_back)),
        )
    }

    fn outlines(hits: &[Owned], limits: AlertLimits) -> Vec<Outline> {
        let mut outlines: Vec<_> = alerts(hits, limits).iter().map(outline).collect();
        outlines.sort();
        outlines
    }

    #[test]
    fn a_target_of_many_sources_has_one_alert() {
        let limits = AlertLimits {
            sources: 3,
            alerts: 9,
            ..AlertLimits::default()
        };
        let of = |source: u8, count| (format!("10.0.0.{source}"), count, None);
        let target = |count, sources| ("10.0.0.2:80".to_owned(), count, Some((sources, None)));
        let check = |pairs: &[(u8, u16)], expected: &[Outline]| {
            assert_eq!(outlines(&hits(pairs.iter().copied()), limits), expected);
        };
        check(
            &[(3, 80), (4, 80), (5, 80), (5, 80)],
            &[of(3, 1), of(4, 1), of(5, 2)],
        );
        check(&[(3, 80), (4, 80), (5, 80), (5, 80), (6, 80)], &[target(5, 4)]);
        // A scan is still the alert of its source, and does not count what goes to the target of many.
        check(
            &[
                (3, 80),
                (3, 1),
                (3, 2),
                (4, 80),
                (5, 80),
                (6, 80),
                (7, 80),
                (3, 80),
            ],
            &[target(6, 5), of(3, 2)],
        );
        // Other ports are other targets.
        check(
            &[(3, 80), (4, 80), (5, 81), (6, 82)],
            &[of(3, 1), of(4, 1), of(5, 1), of(6, 1)],
        );
    }

    #[test]
    fn a_kind_holds_back_what_is_beyond_its_limit() {
        let limits = AlertLimits {
            sources: 9,
            alerts: 2,
            ..AlertLimits::default()
        };
        let hits = hits([(3, 1), (4, 2), (5, 3), (5, 4), (6, 5)]);
        let all = alerts(
            &hits,
            AlertLimits {
                sources: 9,
                alerts: 9,
                ..limits
            },
        );
        let mut shown = alerts(&hits, limits);
        let rest = to_hex(&Cell::of(&hits[0].lend(), WINDOW).id_of_rest());
        let place = shown
            .iter()
            .position(|alert| alert.id == rest)
            .expect("it says so");
        let rest = shown.remove(place);
        assert_eq!(shown, all[..2], "by their ids");
        let sources = rest.sources.as_ref().expect("of many");
        assert_eq!((rest.count, sources.count, sources.held_back), (5, 4, Some(2)));
        assert_eq!(
            (sources.top.len(), sources.top[0].source.as_str()),
            (4, "10.0.0.6")
        );
        assert_eq!(
            rest.contributions, hits[4].hit.contributions,
            "that of the highest score"
        );
    }

    #[test]
    fn a_summary_is_read_back() {
        let hits = hits((0..200).map(|number| (number, 80)));
        let mut summary = Summary::of_hit(&hits[0].lend());
        for hit in &hits {
            assert_eq!(Summary::from_bytes(&summary.to_bytes()).as_ref(), Some(&summary));
            summary.add_hit(&hit.lend());
        }
        let bytes = summary.to_bytes();
        assert_eq!(Summary::from_bytes(&bytes), Some(summary));
        for length in [0, 3, 100, bytes.len() - 1] {
            assert_eq!(Summary::from_bytes(&bytes[..length]), None);
        }
    }

    proptest! {
        #[test]
        fn neither_order_nor_repeats_nor_batches_make_a_difference(
            flows in prop::collection::vec((0_u8..4, 0_i64..2_000, 0_u8..7, 0_u16..4, 0_usize..4), 1..60),
            limits in (1_usize..5, 1_usize..6),
            repeats in prop::collection::vec(any::<prop::sample::Index>(), 0..20),
            cuts in prop::array::uniform2(any::<prop::sample::Index>()),
            seed in any::<u64>(),
        ) {
            let limits = AlertLimits { sources: limits.0, alerts: limits.1, ..AlertLimits::default() };
            let hits: Vec<Owned> = (0_u8..)
                .zip(&flows)
                .map(|(number, &(score, start, source, port, detector))| {
                    let mut hit = hit(number, score, start);
                    hit.flow.source = IpAddr::from([10, 0, 0, source]);
                    hit.flow.destination_port = port;
                    hit.detector.name = ["d", "e"][detector % 2].to_owned();
                    let (sensor, network) = (["", "tap"][usize::from(number % 2)], ["", "branch"][detector / 2]);
                    hit.flow.provenance = Provenance::new(sensor, network, number % 3 == 0);
                    hit
                })
                .collect();
            let mut turned: Vec<&Owned> = hits.iter().collect();
            turned.sort_by_key(|hit| u64::from(hit.flow.source_port).wrapping_add(1).wrapping_mul(seed | 1));
            turned.extend(repeats.iter().map(|index| &hits[index.index(hits.len())]));
            let mut cuts = cuts.map(|cut| cut.index(turned.len() + 1));
            cuts.sort_unstable();
            let mut bounded = Bounded::new(WINDOW, limits);
            for batch in [&turned[cuts[1]..], &turned[..cuts[0]], &turned[cuts[0]..cuts[1]]] {
                bounded.add(batch.iter().map(|hit| hit.lend()));
            }
            let delivered: Vec<Alert> = bounded.alerts().into_values().map(|record| record.alert).collect();
            let straight = alerts(&hits, limits);
            prop_assert_eq!(&straight, &delivered);
            // Every hit is counted once, where nothing is held back.
            let counts: Vec<u64> = straight.iter().map(|alert| alert.count).collect();
            let is_whole = straight.iter().all(|alert| {
                alert.sources.as_ref().is_none_or(|sources| sources.held_back.is_none())
            });
            prop_assert!(!is_whole || counts.iter().sum::<u64>() == hits.len() as u64);
            // A threshold is judged by as many.
            let raised = ["d", "e"].map(|name| {
                let mut raised = Raised::new(name, 0.5, limits);
                for hit in hits.iter().filter(|hit| hit.detector.name == name) {
                    let flow = &hit.flow;
                    let target = SocketAddr::new(flow.destination, flow.destination_port);
                    raised.judge(0.6, || (Key::of(flow, WINDOW), target));
                }
                raised.alerts() as usize
            });
            prop_assert_eq!(raised.iter().sum::<usize>(), straight.len());
            let cells = hits.iter().map(|hit| Cell::of(&hit.lend(), WINDOW)).collect::<HashSet<_>>();
            prop_assert!(straight.len() <= cells.len() * (limits.alerts + 1));
        }
    }
}
