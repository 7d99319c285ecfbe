//! What must hold of the scorer.

use netsage_detector_sdk::{Block, Contexts, Contribution, Error};
use proptest::prelude::*;

use crate::artifact::{ArtifactError, Ceiling, Model};
use crate::{Scorer, StateError, WIDTH, blocks};

const TCP: u16 = 6;

fn model() -> Model {
    Model {
        schema: "flow-v1@1".to_owned(),
        tcp: TCP,
        pause: 1.0,
        usual: 3.0,
        usual_sent: 1e6,
        ceilings: vec![Ceiling {
            protocol: 17,
            service: 2,
            surprise: 30.0,
            sent: 1e6,
        }],
    }
}

fn score(scorer: &mut Scorer, values: &[f32], contexts: Contexts<'_>) -> Result<Vec<f32>, Error> {
    let mut scores = Vec::new();
    for block in blocks(values, contexts) {
        scorer.score_block(&block?, &mut scores)?;
    }
    Ok(scores)
}

/// Flows of one pair of hosts that begin at these times, microseconds since the epoch.
fn score_pair(scorer: &mut Scorer, values: &[f32], starts: &[u64]) -> Vec<f32> {
    let (source, destination) = (vec![11; starts.len()], vec![22; starts.len()]);
    let contexts = Contexts {
        start_time: Some(starts),
        source: Some(&source),
        destination: Some(&destination),
    };
    let scores = score(scorer, values, contexts).unwrap();
    assert_eq!(scores.len(), starts.len());
    scores
}

fn explain_pair(scorer: &Scorer, values: &[f32], start: u64) -> Contribution {
    let contexts = Contexts {
        start_time: Some(&[start]),
        source: Some(&[11]),
        destination: Some(&[22]),
    };
    let block = Block::new(1, WIDTH, values).unwrap();
    let block = block.with_contexts(contexts).unwrap();
    scorer.explain_block(&block, 5).unwrap().entries()[0]
}

/// Some day.
const DAY: u64 = 1_700_000_000_000_000;

fn at(seconds: f32) -> u64 {
    DAY + (f64::from(seconds) * 1e6).round() as u64
}

/// Flows of a second, each with a kilobyte.
fn rows(protocol: u16, syns: u8, count: usize) -> Vec<f32> {
    [f32::from(protocol), 2.0, 1.0, f32::from(syns), 1e3].repeat(count)
}

fn last_score(protocol: u16, syns: u8, times: &[f32]) -> f32 {
    let starts: Vec<u64> = times.iter().copied().map(at).collect();
    let mut scorer = Scorer::new(model()).unwrap();
    let scores = score_pair(&mut scorer, &rows(protocol, syns, times.len()), &starts);
    scores[times.len() - 1]
}

/// Times of visits every `mean` seconds, each late by a share of it that depends on its number.
fn times(count: usize, mean: f32, jitter: impl Fn(usize) -> f32) -> Vec<f32> {
    (0..count)
        .map(|number| mean * (number as f32 + jitter(number)))
        .collect()
}

#[test]
fn regular_visits_score_high_and_others_do_not() {
    let uneven = |number: usize| [0.0, 0.13, 0.02, 0.09, 0.05][number % 5];
    let irregular: Vec<f32> = (0..17)
        .map(|number: i32| 7.0 * (number * number) as f32)
        .collect();
    let bursts = times(17, 60.0, |number| if number % 2 == 0 { 0.0 } else { -0.9 });
    let check = |what: &str, protocol, syns, times: &[f32], expected: std::ops::Range<f32>| {
        let score = last_score(protocol, syns, times);
        assert!(expected.contains(&score), "{what}: {score}");
    };
    check("clockwork", TCP, 1, &times(17, 60.0, |_| 0.0), 10.0..f32::MAX);
    check("with jitter", TCP, 1, &times(17, 200.0, uneven), 5.0..f32::MAX);
    check("slower and slower", TCP, 1, &irregular, -3.0..2.0);
    check("in bursts", TCP, 1, &bursts, -3.0..-1.0);
    check("too few", TCP, 1, &times(5, 60.0, |_| 0.0), -3.0..-2.0);
    check(
        "records of one connection",
        TCP,
        0,
        &times(17, 60.0, |_| 0.0),
        -3.0..-1.0,
    );
    check("known for it", 17, 0, &times(17, 60.0, uneven), -30.0..-1.0);
}

#[test]
fn a_record_of_record_v1_begins_no_visit_where_its_beginning_was_not_seen() {
    let starts: Vec<u64> = times(17, 60.0, |_| 0.0).into_iter().map(at).collect();
    let check = |protocol: u16, state: u8, is_visit: bool| {
        let mut scorer = Scorer::new(Model {
            schema: "record-v1@1".to_owned(),
            ..model()
        })
        .unwrap();
        let scores = score_pair(&mut scorer, &rows(protocol, state, starts.len()), &starts);
        assert_eq!(scores[16] > 5.0, is_visit, "{protocol} {state}: {}", scores[16]);
    };
    // Attempt, established, closed, midstream; a state says nothing of other protocols.
    for (state, is_visit) in [(1, true), (3, true), (4, true), (6, false)] {
        check(TCP, state, is_visit);
        check(1, state, true);
    }
}

#[test]
fn a_crowd_of_new_pairs_does_not_hide_a_slow_visitor() {
    let mut scorer = Scorer::new(model()).unwrap();
    let mut last = Vec::new();
    for visit in 0..20_u16 {
        let time = at(f32::from(visit) * 300.0);
        let sources: Vec<u64> = (0..5_000).map(|other| u64::from(visit) * 5_000 + other).collect();
        let contexts = Contexts {
            start_time: Some(&vec![time; 5_000]),
            source: Some(&sources),
            destination: Some(&vec![1; 5_000]),
        };
        let crowd = [6.0, 2.0, 0.0, 1.0, 0.0].repeat(5_000);
        score(&mut scorer, &crowd, contexts).unwrap();
        last = score_pair(&mut scorer, &rows(TCP, 1, 1), &[time]);
    }
    assert!(last[0] > 10.0, "{last:?}");
}

#[test]
fn an_explanation_says_when_the_visit_was_expected() {
    let mut scorer = Scorer::new(model()).unwrap();
    // The last one comes three seconds early.
    let mut starts: Vec<u64> = times(10, 60.0, |_| 0.0).into_iter().map(at).collect();
    starts[9] -= 3_000_000;
    score_pair(&mut scorer, &rows(TCP, 1, 10), &starts);
    let entry = explain_pair(&scorer, &rows(TCP, 1, 1), starts[9]);
    assert_eq!(entry.column, WIDTH, "the start time");
    assert!((2.0..3.0).contains(&entry.typical), "{entry:?}");
}

#[test]
fn who_sends_a_little_again_and_again_stands_out() {
    let score = |payload: f32, seconds: f32| {
        let mut scorer = Scorer::new(model()).unwrap();
        // Records of one connection: no visits.
        let row = [6.0, 2.0, 59.0, 0.0, payload];
        let starts: Vec<u64> = (0..60_u8).map(|number| at(f32::from(number) * seconds)).collect();
        let scores = score_pair(&mut scorer, &row.repeat(60), &starts);
        let explained = explain_pair(&scorer, &row, starts[59]);
        assert_eq!(scorer.columns().names[explained.column], "src_payload");
        (scores[59], explained.typical)
    };
    // 60 times 360,000 bytes in an hour, of which about 15.6 million are remembered; 1 million is usual.
    let (volume, typical) = score(360e3, 60.0);
    assert!((1.1..1.3).contains(&volume), "{volume}");
    assert!((20e3..30e3).contains(&typical), "{typical}");
    assert!(score(1e3, 60.0).0 < 0.0);
    // The same over days is forgotten on the way.
    assert!(score(360e3, 36_000.0).0 < 0.0);
}

/// A beacon with jitter between other visits, which its pair and others make.
fn visits(count: usize, from: u64) -> (Vec<f32>, [Vec<u64>; 3]) {
    let (mut values, mut contexts) = (Vec::new(), [Vec::new(), Vec::new(), Vec::new()]);
    for number in 0..count as u64 {
        let jitter = number * 7_919 % 1_000_003;
        let (pair, start) = (number % 7, from + number * 8_571_429 + jitter);
        values.extend([6.0, 2.0, 0.25, 1.0, 1e3 * pair as f32]);
        contexts[0].push(start);
        contexts[1].push(pair);
        contexts[2].push(pair * pair);
    }
    (values, contexts)
}

fn scores_of(scorer: &mut Scorer, (values, contexts): &(Vec<f32>, [Vec<u64>; 3])) -> Vec<u32> {
    let [start_time, source, destination] = contexts;
    let contexts = Contexts {
        start_time: Some(start_time),
        source: Some(source),
        destination: Some(destination),
    };
    let scores = score(scorer, values, contexts).unwrap();
    scores.into_iter().map(f32::to_bits).collect()
}

#[test]
fn scores_do_not_depend_on_how_late_it_is() {
    let score = |days: u64| {
        let from = DAY + days * 86_400_000_000;
        scores_of(&mut Scorer::new(model()).unwrap(), &visits(700, from))
    };
    let first = score(0);
    assert!(f32::from_bits(first[699]) > 3.0, "the beacon is found");
    assert_eq!(first, score(30));
    assert_eq!(first, score(300));
    // A gateway that has been running for so long and has seen others.
    for days in [30, 300] {
        let mut scorer = Scorer::new(model()).unwrap();
        let (values, mut contexts) = visits(700, DAY);
        contexts[1].iter_mut().for_each(|source| *source += 1_000);
        scores_of(&mut scorer, &(values, contexts));
        let from = DAY + days * 86_400_000_000;
        assert_eq!(
            first,
            scores_of(&mut scorer, &visits(700, from)),
            "after {days} days"
        );
    }
}

#[test]
fn what_was_saved_goes_on_to_the_bit() {
    for cut in [0, 3, 60, 200] {
        let mut scorer = Scorer::new(model()).unwrap();
        scores_of(&mut scorer, &visits(cut, DAY));
        let state = scorer.save();
        let mut other = Scorer::new(model()).unwrap();
        other.restore(&state).unwrap();
        assert_eq!(other.save(), state);
        let rest = visits(300, DAY + 8_571_429 * cut as u64);
        assert_eq!(
            scores_of(&mut scorer, &rest),
            scores_of(&mut other, &rest),
            "{cut}"
        );
        for end in (9..state.len().min(50)).chain(0..8) {
            assert!(
                other.restore(&state[..end]).is_err(),
                "{end} of {} bytes",
                state.len()
            );
        }
    }
    let mut scorer = Scorer::new(model()).unwrap();
    assert_eq!(scorer.restore(b"NSHSTS\0\x01"), Err(StateError::Format));
}

#[test]
fn rows_of_other_columns_or_without_context_are_refused() {
    let known = Contexts {
        start_time: Some(&[1]),
        source: Some(&[1]),
        destination: Some(&[1]),
    };
    let unknown_source = Contexts {
        source: None,
        ..known
    };
    let check = |columns, contexts, expected: &str| {
        let values = vec![0.0; columns];
        let block = Block::new(1, columns, &values).unwrap();
        let block = block.with_contexts(contexts).unwrap();
        let scored = Scorer::new(model()).unwrap().score_block(&block, &mut Vec::new());
        let error = scored.unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    };
    check(4, known, "1 rows of 5 columns are not 4 values");
    check(5, Contexts::default(), "are needed");
    check(5, unknown_source, "are needed");
}

#[test]
fn a_model_is_read_back_and_a_contradiction_is_not() {
    let bytes = model().encode();
    assert_eq!(Model::decode(&bytes), Ok(model()));
    assert!(matches!(
        Model::decode(b"NSHSTM\0\x01"),
        Err(ArtifactError::Format(_))
    ));
    for change in [
        |model: &mut Model| model.pause = 0.0,
        |model: &mut Model| model.usual = f32::NAN,
        |model: &mut Model| model.ceilings[0].surprise = -1.0,
        |model: &mut Model| model.ceilings[0].sent = 0.0,
        |model: &mut Model| model.usual_sent = f32::INFINITY,
        |model: &mut Model| model.ceilings.push(model.ceilings[0]),
    ] {
        let mut changed = model();
        change(&mut changed);
        assert!(matches!(
            Model::decode(&changed.encode()),
            Err(ArtifactError::Content(_))
        ));
    }
}

proptest! {
    #[test]
    fn no_bytes_and_no_rows_make_it_panic(
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
        cut in any::<prop::sample::Index>(),
        values in prop::collection::vec(prop_oneof![any::<f32>(), 0.0..100.0_f32], 0..70),
        times in prop::collection::vec(prop_oneof![any::<u64>(), 0..100_000_000_u64], 14),
        hosts in prop::collection::vec(0..3_u64, 28),
    ) {
        let damaged = |mut bytes: Vec<u8>| {
            for (place, value) in &damage {
                let place = place.index(bytes.len());
                bytes[place] = *value;
            }
            bytes
        };
        let bytes = damaged(model().encode());
        let _ = Scorer::decode(&bytes[..cut.index(bytes.len())]);
        let mut learned = Scorer::new(model()).unwrap();
        scores_of(&mut learned, &visits(40, DAY));
        let state = damaged(learned.save());
        if let Ok(mut scorer) = Scorer::decode(&bytes) {
            let _ = scorer.restore(&state[..cut.index(state.len())]);
            let _ = scorer.restore(&state);
            let rows = values.len() / WIDTH;
            let contexts = Contexts {
                start_time: Some(&times[..rows]),
                source: Some(&hosts[..rows]),
                destination: Some(&hosts[14..14 + rows]),
            };
            let block = Block::new(rows, WIDTH, &values[..rows * WIDTH]);
            if let Ok(block) = block.and_then(|block| block.with_contexts(contexts)) {
                let mut scores = Vec::new();
                let _ = scorer.score_block(&block, &mut scores);
                prop_assert!(scores.iter().all(|score| score.is_finite()));
                let _ = scorer.explain_block(&block, 3);
            }
        }
    }
}
