//! What is loaded, what is refused, and what the cache accepts.

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use netsage_browser_glue as browser;
use netsage_package::Package;
use netsage_runtime::{LoadError, Runtime, RuntimeConfig, check};
use netsage_schema::UNSW_NB15;

use crate::witness::Witness;
use crate::{config, expected, load, rows};
use netsage_testkit::recipe::{CARD, Recipe};

#[test]
fn a_package_without_a_card_is_taken_for_the_schema_that_its_detector_names() {
    let runtime = Runtime::new(config()).unwrap();
    let check = |schema: Option<&'static str>, expected: &str| {
        let recipe = Recipe {
            schema,
            columns: vec!["proto".to_owned()],
            ..Recipe::default()
        };
        let loaded = runtime.load(&recipe.package(), &UNSW_NB15);
        let said = loaded.map_or_else(|error| error.to_string(), |_| String::new());
        assert!(
            said.contains(expected) && said.is_empty() == expected.is_empty(),
            "{said:?}, not {expected:?}"
        );
        runtime.schema_of(&recipe.package()).map(|schema| schema.id)
    };
    assert_eq!(check(Some("unsw-nb15@1"), ""), Ok("unsw-nb15"));
    // It would be loaded, since both schemas have the column.
    let other = "is for the schema \"flow-v1@1\", and unsw-nb15@1 runs here";
    assert_eq!(check(Some("flow-v1@1"), other), Ok("flow-v1"));
    check(
        Some("unsw-nb15@2"),
        "this program knows unsw-nb15@1, flow-v1@1, record-v1@1",
    )
    .unwrap_err();
    check(None, "it has no model card").unwrap_err();
    // A card decides where there is one.
    let nameless = Recipe {
        schema: None,
        ..Recipe::default()
    };
    let package = nameless.package_with(b"model", Some(CARD.as_bytes()));
    assert!(runtime.load(&package, &UNSW_NB15).is_ok());
}

#[test]
fn components_that_are_no_detectors() {
    let check = |text: &str, message: &str| {
        let component = wat::parse_str(text).unwrap();
        let package =
            Package::from_bytes(netsage_package::pack(&component, b"", None, None).unwrap()).unwrap();
        let error = load(&package).map(|_| ()).unwrap_err();
        assert!(
            error.to_string().contains(message),
            "{error} does not say {message:?}"
        );
        // Only types are left to the first call in a browser.
        assert_eq!(
            browser::transpile(&package).is_ok(),
            matches!(error, LoadError::OtherWorld(_))
        );
        error
    };
    check("(component)", "built for another world: it exports nothing");
    check(
        r#"(component (instance $i) (export "acme:tool/run@1.0.0" (instance $i)))"#,
        "`acme:tool/run@1.0.0`",
    );
    let exports = |names: &[&str]| {
        let exports = names
            .iter()
            .map(|name| format!(r#"(export "{name}" (instance $i))"#));
        format!("(component (instance $i) {})", exports.collect::<String>())
    };
    let detector = "netsage:detector/detector@1.0.0";
    for version in ["2.0.0", "1.1.0", "0.9.0"] {
        let other = format!("netsage:detector/detector@{version}");
        let message = format!("version {version}, and this host speaks 1.0 to 1.0");
        check(&exports(&[&other]), &message);
        let other = format!("netsage:detector/explainer@{version}");
        check(&exports(&[detector, &other]), &message);
    }
    for unknown in [
        "netsage:detector/clock@1.0.0",
        "netsage:other/thing@1.0.0",
        "netsage:detector/detector",
    ] {
        let message =
            format!("the component exports `{unknown}`, which `netsage:detector` 1.0 does not have");
        check(&exports(&[detector, unknown]), &message);
    }
    let learner = "netsage:detector/learner@1.0.0";
    check(
        &exports(&[detector, learner]),
        "exports `learner` without `memory`",
    );
    let error = check(
        r#"(component (instance $i) (export "netsage:detector/detector@1.0.0" (instance $i)))"#,
        "built for another world",
    );
    assert!(matches!(error, LoadError::OtherWorld(_)));
    check(
        r#"(component
            (import "wasi:clocks/wall-clock@0.2.0" (instance))
            (import "log" (func (param "text" string))))"#,
        "`wasi:clocks/wall-clock@0.2.0` (a clock: scores would depend on when they are made; ask for the context \
         `start-time`), `log` (this host gives",
    );
}

#[test]
fn a_type_that_differs_is_another_world() {
    let wider = Recipe {
        wit: |wit| wit.replace("        all,\n", "        all, some,\n"),
        ..Recipe::default()
    };
    let error = load(&wider.package()).map(|_| ()).unwrap_err();
    assert!(matches!(error, LoadError::OtherWorld(_)), "{error}");
}

#[test]
fn a_component_of_the_contract_before_its_release_is_refused_by_name() {
    let before = Recipe {
        wit: |wit| wit.replace("inputs: func() -> inputs;", "columns: func() -> list<string>;"),
        ..Recipe::default()
    };
    let error = load(&before.package()).map(|_| ()).unwrap_err();
    assert_eq!(error, LoadError::BeforeRelease);
    let message = error.to_string();
    assert!(
        message.contains("`netsage:detector@1.0.0` as it was before its release"),
        "{message}"
    );
}

#[test]
fn damaged_packages_cost_nothing_but_an_error() {
    let whole = Recipe::default().package();
    let (runtime, witness) = Witness::start_within(RuntimeConfig {
        call_budget: Duration::from_millis(20),
        open_budget: Duration::from_millis(100),
        ..config()
    });
    let (mut refused, mut loaded) = (0, 0);
    let mut seed = 0x2545_f491_4f6c_dd1d_u64;
    let mut random = |below: usize| {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        (seed % below as u64) as usize
    };
    for turn in 0..10_000 {
        let mut bytes = whole.bytes().to_vec();
        if turn % 4 == 0 {
            bytes.truncate(random(bytes.len()));
        }
        for _ in 0..random(4) {
            if !bytes.is_empty() {
                let place = random(bytes.len());
                bytes[place] = random(256) as u8;
            }
        }
        let Ok(package) = Package::from_bytes(bytes) else {
            refused += 1;
            continue;
        };
        // What still is a package is checked, transpiled, loaded and run like any other.
        let _ = check::check(&package);
        if turn % 50 == 1 {
            let _ = browser::transpile(&package);
        }
        match runtime.load(&package, &UNSW_NB15) {
            Ok(detector) => {
                let _ = detector.score(&rows(4), None, 0..4, &mut Vec::new());
                let _ = detector.explain(&rows(1), None, 0, 4);
                loaded += 1;
            }
            Err(error) => {
                assert!(!error.to_string().is_empty());
                refused += 1;
            }
        }
    }
    assert!(refused > 1000 && loaded > 0, "{refused} refused, {loaded} loaded");
    witness.went_on();
}

#[test]
fn the_cache_serves_what_it_wrote_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let cache_dir = folder.path().join("cache");
    let config = || RuntimeConfig {
        cache_dir: Some(cache_dir.clone()),
        ..config()
    };
    let package = Recipe::default().package();
    let works = || {
        let detector = Runtime::new(config())
            .unwrap()
            .load(&package, &UNSW_NB15)
            .unwrap();
        let mut scores = Vec::new();
        detector.score(&rows(5), None, 0..5, &mut scores).unwrap();
        assert_eq!(scores, expected(5));
    };
    let compiled = || {
        let mut files: Vec<PathBuf> = fs::read_dir(&cache_dir)
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .collect();
        files.retain(|path| path.extension().is_some_and(|extension| extension == "code"));
        assert_eq!(files.len(), 1, "{files:?}");
        files.remove(0)
    };
    works();
    let path = compiled();
    let first = fs::read(&path).unwrap();
    works();
    assert_eq!(fs::read(&path).unwrap(), first, "the second start writes nothing");
    // Other weights, same code: no new compilation.
    let retrained = Recipe::default().package_with(b"other weights", None);
    Runtime::new(config())
        .unwrap()
        .load(&retrained, &UNSW_NB15)
        .unwrap();
    assert_eq!(compiled(), path);

    for damage in [0, 40, first.len() / 2, first.len() - 1] {
        let mut bytes = first.clone();
        bytes[damage] ^= 1;
        fs::write(&path, &bytes).unwrap();
        works();
        assert_ne!(
            fs::read(&path).unwrap(),
            bytes,
            "a changed file is not loaded but written anew"
        );
    }
    for foreign in [b"".as_slice(), b"short", &first[32..]] {
        fs::write(&path, foreign).unwrap();
        works();
    }
    // Without its key, a file vouches for nothing.
    fs::remove_file(cache_dir.join("key")).unwrap();
    let before = fs::read(&path).unwrap();
    works();
    assert_ne!(fs::read(&path).unwrap()[..32], before[..32]);

    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        let mode = |path: &std::path::Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&cache_dir), mode(&cache_dir.join("key"))), (0o700, 0o600));
        let link = folder.path().join("link");
        std::os::unix::fs::symlink(&cache_dir, &link).unwrap();
        let error = Runtime::new(RuntimeConfig {
            cache_dir: Some(link),
            ..config()
        })
        .unwrap_err();
        assert!(error.to_string().contains("links are not followed"), "{error}");
    }
}

#[test]
fn the_browser_gets_a_module_without_inlined_code() {
    let module = browser::transpile(&Recipe::default().package()).unwrap();
    let names: Vec<&str> = module.files.iter().map(|file| file.name.as_str()).collect();
    assert!(
        names.contains(&browser::MODULE_NAME) && names.contains(&"detector.core.wasm"),
        "{names:?}"
    );
    let text = module
        .files
        .iter()
        .find(|file| file.name == browser::MODULE_NAME)
        .unwrap();
    let text = std::str::from_utf8(&text.bytes).unwrap();
    assert!(
        text.contains("export function instantiate(getCoreModule, imports"),
        "the way a page starts it"
    );
    assert!(!text.contains("base64"), "core modules are files of their own");
}

#[test]
fn a_detector_keeps_its_deadlines_when_the_runtime_is_gone() {
    let recipe = Recipe {
        score: "(loop $forever (br $forever))",
        ..Recipe::default()
    };
    let runtime = Runtime::new(config()).unwrap();
    let detector = runtime.load(&recipe.package(), &UNSW_NB15).unwrap();
    drop(runtime);
    let started = Instant::now();
    assert!(detector.score(&rows(1), None, 0..1, &mut Vec::new()).is_err());
    assert!(started.elapsed().as_secs() < 5);
}
