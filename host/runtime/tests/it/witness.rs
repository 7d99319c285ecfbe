//! A detector that behaves, scoring all the while in the same runtime.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use netsage_runtime::{Runtime, RuntimeConfig};
use netsage_schema::UNSW_NB15;

use crate::{config, expected, rows};
use netsage_testkit::recipe::Recipe;

/// What another detector does must not change what this one gives.
pub(crate) struct Witness {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<u32>,
}

impl Witness {
    pub(crate) fn start() -> (Arc<Runtime>, Self) {
        Self::start_within(config())
    }

    pub(crate) fn start_within(config: RuntimeConfig) -> (Arc<Runtime>, Self) {
        let runtime = Runtime::new(config).unwrap();
        let good = Recipe {
            name: "witness".to_owned(),
            ..Recipe::default()
        };
        let detector = runtime.load(&good.package(), &UNSW_NB15).unwrap();
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = std::thread::spawn(move || {
            let (rows, mut scores, mut calls) = (rows(100), Vec::new(), 0);
            // At least once after whatever happened.
            loop {
                let last = stopped.load(Ordering::SeqCst);
                scores.clear();
                detector.score(&rows, None, 0..100, &mut scores).unwrap();
                assert_eq!(scores, expected(100));
                calls += 1;
                if last {
                    assert_eq!(detector.stats().replaced_instances, 0);
                    return calls;
                }
                std::thread::yield_now();
            }
        });
        (runtime, Self { stop, thread })
    }

    /// It scored everything, before and after, and every score was right.
    pub(crate) fn went_on(self) {
        self.stop.store(true, Ordering::SeqCst);
        assert!(self.thread.join().unwrap() > 0);
    }
}
