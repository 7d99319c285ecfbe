//! What must hold of the scorer.

use proptest::prelude::*;

use crate::artifact::{ArtifactError, Ceiling, Model};
use crate::{COLUMNS, RowError, Scorer};

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

/// Flows of a second at these times, each with a kilobyte.
fn rows(protocol: u16, syns: u8, times: &[f32]) -> Vec<f32> {
    let row = |&time: &f32| {
        let syns = f32::from(syns);
        [f32::from(protocol), 2.0, 1.0, syns, 1e3, time, 11.0, 22.0]
    };
    times.iter().flat_map(row).collect()
}

fn last_score(protocol: u16, syns: u8, times: &[f32]) -> f32 {
    let mut scores = Vec::new();
    let mut scorer = Scorer::new(model()).unwrap();
    scorer
        .score_block(&rows(protocol, syns, times), times.len(), &mut scores)
        .unwrap();
    assert_eq!(scores.len(), times.len());
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
fn a_crowd_of_new_pairs_does_not_hide_a_slow_visitor() {
    let mut scorer = Scorer::new(model()).unwrap();
    let mut last = Vec::new();
    for visit in 0..20_u16 {
        let time = f32::from(visit) * 300.0;
        let mut scores = Vec::new();
        for other in 0..5_000_u32 {
            let pair = visit as u32 * 5_000 + other;
            let row = [6.0, 2.0, 0.0, 1.0, 0.0, time, pair as f32, 1.0];
            scorer.score_block(&row, 1, &mut scores).unwrap();
        }
        last.clear();
        scorer.score_block(&rows(TCP, 1, &[time]), 1, &mut last).unwrap();
    }
    assert!(last[0] > 10.0, "{last:?}");
}

#[test]
fn an_explanation_says_when_the_visit_was_expected() {
    let mut scorer = Scorer::new(model()).unwrap();
    let times = times(10, 60.0, |_| 0.0);
    let rows = rows(TCP, 1, &times);
    scorer.score_block(&rows, 10, &mut Vec::new()).unwrap();
    let explained = scorer.explain_block(&rows[9 * COLUMNS.len()..], 1, 5).unwrap();
    let entry = explained.entries()[0];
    assert_eq!(COLUMNS[entry.column], "context.start-time");
    assert!((entry.typical - 540.0).abs() < 1.0, "{entry:?}");
}

#[test]
fn who_sends_a_little_again_and_again_stands_out() {
    let score = |payload: f32, seconds: f32| {
        let mut scorer = Scorer::new(model()).unwrap();
        let mut scores = Vec::new();
        for number in 0..60_u8 {
            // Records of one connection: no visits.
            let start = f32::from(number) * seconds;
            let row = [6.0, 2.0, 59.0, 0.0, payload, start, 11.0, 22.0];
            scorer.score_block(&row, 1, &mut scores).unwrap();
        }
        let last = [6.0, 2.0, 59.0, 0.0, payload, 59.0 * seconds, 11.0, 22.0];
        let explained = scorer.explain_block(&last, 1, 5).unwrap().entries()[0];
        assert_eq!(COLUMNS[explained.column], "src_payload");
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

#[test]
fn what_is_no_row_is_refused() {
    let mut scorer = Scorer::new(model()).unwrap();
    let shape = RowError::Shape { rows: 2, values: 8 };
    assert_eq!(scorer.score_block(&[0.0; 8], 2, &mut Vec::new()), Err(shape));
    let value = RowError::Value { row: 0, column: 5 };
    let row = [0.0, 0.0, 0.0, 0.0, 0.0, f32::NAN, 0.0, 0.0];
    assert_eq!(scorer.score_block(&row, 1, &mut Vec::new()), Err(value));
}

#[test]
fn a_model_is_read_back_and_a_contradiction_is_not() {
    let bytes = model().encode();
    assert_eq!(Model::decode(&bytes), Ok(model()));
    assert_eq!(Model::decode(b"NSHSTM\0\x01"), Err(ArtifactError::Format));
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
    ) {
        let mut bytes = model().encode();
        for (place, value) in damage {
            let place = place.index(bytes.len());
            bytes[place] = value;
        }
        let _ = Scorer::decode(&bytes[..cut.index(bytes.len())]);
        if let Ok(mut scorer) = Scorer::decode(&bytes) {
            let rows = values.len() / COLUMNS.len();
            let mut scores = Vec::new();
            let _ = scorer.score_block(&values[..rows * COLUMNS.len()], rows, &mut scores);
            prop_assert!(scores.iter().all(|score| score.is_finite()));
            let _ = scorer.explain_block(&values[..rows * COLUMNS.len()], rows, 3);
        }
    }
}
