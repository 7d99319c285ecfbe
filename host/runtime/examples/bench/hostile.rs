//! What a hostile detector on one thread costs a good one on another: the 99th percentile of its calls, with and
//! without, in turns.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use netsage_package::Package;
use netsage_runtime::{Detector, Runtime, RuntimeConfig};
use netsage_schema::{Rows, UNSW_NB15};

use crate::rows::rows;
use crate::{Failure, rounded};
use netsage_testkit::recipe::Recipe;

/// Rows of each call of the good one.
const BLOCK: usize = 256;
const TURNS: usize = 8;
const TURN: Duration = Duration::from_millis(250);

pub(crate) fn measure(package: &Package) -> Result<serde_json::Value, Failure> {
    let runtime = Runtime::new(RuntimeConfig {
        call_budget: Duration::from_millis(20),
        ..RuntimeConfig::default()
    })?;
    let good = runtime.load(package, &UNSW_NB15)?;
    let mut figures = serde_json::Map::new();
    for (name, score) in [
        ("endless_loop", "(loop $forever (br $forever))"),
        ("trap", "unreachable"),
        (
            "memory_bomb",
            "(loop $bomb (drop (memory.grow (i32.const 64))) (br $bomb))",
        ),
    ] {
        let recipe = Recipe {
            score,
            ..Recipe::default()
        };
        let hostile = runtime.load(&recipe.package(), &UNSW_NB15)?;
        figures.insert(name.to_owned(), beside(&good, &hostile)?);
    }
    Ok(figures.into())
}

fn beside(good: &Detector, hostile: &Detector) -> Result<serde_json::Value, Failure> {
    let rows = rows(BLOCK);
    let (mut without, mut with) = (Vec::new(), Vec::new());
    let mut attacks = 0;
    for _ in 0..TURNS {
        calls(good, &rows, &mut without)?;
        let over = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let attack = scope.spawn(|| {
                let mut attacks = 0;
                while !over.load(Ordering::Relaxed) {
                    attacks += u32::from(hostile.score(&rows, None, 0..1, &mut Vec::new()).is_err());
                    // A worker has other detectors to call between two failures of one.
                    std::thread::sleep(Duration::from_micros(200));
                }
                attacks
            });
            let called = calls(good, &rows, &mut with);
            over.store(true, Ordering::Relaxed);
            attacks += attack.join().map_err(|_| "the hostile thread panicked")?;
            called
        })?;
    }
    let (without, with) = (percentile(without, 0.99), percentile(with, 0.99));
    Ok(serde_json::json!({
        "attacks": attacks,
        "p99_without_us": rounded(without * 1e6),
        "p99_with_us": rounded(with * 1e6),
        "ratio": rounded(with / without),
    }))
}

fn calls(good: &Detector, rows: &Rows, times: &mut Vec<f64>) -> Result<(), Failure> {
    let (started, mut scores) = (Instant::now(), Vec::with_capacity(BLOCK));
    while started.elapsed() < TURN {
        scores.clear();
        let call = Instant::now();
        good.score(rows, None, 0..BLOCK, &mut scores)?;
        times.push(call.elapsed().as_secs_f64());
    }
    Ok(())
}

fn percentile(mut times: Vec<f64>, share: f64) -> f64 {
    times.sort_by(f64::total_cmp);
    let place = (times.len() as f64 * share) as usize;
    times
        .get(place.min(times.len().saturating_sub(1)))
        .copied()
        .unwrap_or(f64::NAN)
}
