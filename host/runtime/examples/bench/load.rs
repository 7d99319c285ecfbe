//! How fast a package is ready: compiled, from the cache, and when it is warm already.

use netsage_package::Package;
use netsage_runtime::{Detector, LoadOptions, Runtime, RuntimeConfig};
use netsage_schema::UNSW_NB15;

use crate::{Failure, median, milliseconds, time};

pub(crate) fn measure(package: &Package) -> Result<serde_json::Value, Failure> {
    let folder = tempfile::tempdir()?;
    let load = |cache: &str| {
        let config = RuntimeConfig {
            cache_dir: Some(folder.path().join(cache)),
            ..RuntimeConfig::default()
        };
        let runtime = Runtime::new(config)?;
        let (took, detector) = time(|| Ok(runtime.load(package, &UNSW_NB15)?))?;
        Ok::<_, Failure>((took.as_secs_f64(), detector))
    };
    let several = |runs: usize, cache: &dyn Fn(usize) -> String| {
        let times = (0..runs).map(|run| Ok(load(&cache(run))?.0));
        Ok::<_, Failure>(median(times.collect::<Result<Vec<_>, Failure>>()?))
    };
    let compiled = several(3, &|run| format!("cold-{run}"))?;
    let cached = several(9, &|_| "cold-0".to_owned())?;
    let (_, detector) = load("cold-0")?;
    let start = instance(&detector)?;
    Ok(serde_json::json!({
        "compiled_ms": milliseconds(compiled),
        "from_cache_ms": milliseconds(cached),
        "instance_start_ms": milliseconds(start),
    }))
}

/// Starting an instance and opening the model in it.
fn instance(detector: &Detector) -> Result<f64, Failure> {
    let mut times = Vec::new();
    for _ in 0..9 {
        detector.release_instances();
        let (took, ()) = time(|| Ok(detector.warm(LoadOptions::default().instances)?))?;
        times.push(took.as_secs_f64());
    }
    Ok(median(times))
}
