//! Detectors that break their word.

use std::time::Instant;

use netsage_package::Package;
use netsage_runtime::{LoadError, RuntimeConfig};
use netsage_schema::UNSW_NB15;
use wasm_encoder::{
    CodeSection, ComponentSection as _, Function, FunctionSection, Module, ModuleSection, TypeSection,
};

use crate::witness::Witness;
use crate::{config, expected, load, rows};
use netsage_testkit::recipe::Recipe;

/// Loads the recipe, lets it fail once, and expects these words; the process lives and the failure is counted.
fn check_score(recipe: &Recipe, message: &str, replaced: u64) {
    let (runtime, witness) = Witness::start();
    let detector = runtime.load(&recipe.package(), &UNSW_NB15).unwrap();
    let mut scores = vec![-1.0];
    let error = detector
        .score(&rows(10), None, 0..10, &mut scores)
        .unwrap_err()
        .to_string();
    assert!(error.contains(message), "{error:?} does not say {message:?}");
    assert!(
        error.starts_with("detector recipe 1.2.3: "),
        "{error:?} does not say who"
    );
    assert_eq!(scores, [-1.0], "a failed call leaves the scores as they were");
    let stats = detector.stats();
    assert_eq!(
        (stats.scored_rows, stats.failed_rows, stats.replaced_instances),
        (0, 10, replaced),
        "{message}"
    );
    witness.went_on();
}

/// Loads the recipe, which does not start, and expects these words.
fn check_load(recipe: &Recipe, config: RuntimeConfig, message: &str) {
    let (runtime, witness) = Witness::start_within(config);
    let error = runtime.load(&recipe.package(), &UNSW_NB15).map(drop).unwrap_err();
    let error = error.to_string();
    assert!(error.contains(message), "{error:?} does not say {message:?}");
    witness.went_on();
}

#[test]
fn wrong_answers() {
    let check = |score, message, replaced| {
        check_score(
            &Recipe {
                score,
                ..Recipe::default()
            },
            message,
            replaced,
        );
    };
    check("(return (call $scores (i32.const 9)))", "9 scores for 10 rows", 1);
    check("(return (call $scores (i32.const 0)))", "0 scores for 10 rows", 1);
    check("(return (call $scores (i32.const -1)))", "trapped in `score`", 1);
    check(
        "(f32.store (i32.const 32780) (f32.const nan)) (return (call $scores (i32.const 10)))",
        "the score of row 3 is NaN",
        1,
    );
    check(
        "(f32.store (i32.const 32772) (f32.const -inf)) (return (call $scores (i32.const 10)))",
        "the score of row 1 is -inf",
        1,
    );
    check("(return (i32.const -4))", "trapped in `score`", 1);
    check("(return (call $error (i32.const 9)))", "trapped in `score`", 1);
    // An error of the contract is an answer: the instance stays.
    check(
        "(return (call $error (i32.const 2)))",
        "`score` with bad-input: reci",
        0,
    );
    check(
        "(return (call $error (i32.const 3)))",
        "`score` with internal: reci",
        0,
    );
}

#[test]
fn traps_overruns_and_memory_bombs() {
    let check = |score, message| {
        check_score(
            &Recipe {
                score,
                ..Recipe::default()
            },
            message,
            1,
        );
    };
    check("unreachable", "trapped in `score`");
    check("(drop (i32.load (i32.const -8)))", "trapped in `score`");
    check(
        "(drop (call $scores (i32.div_u (i32.const 1) (i32.const 0))))",
        "trapped in `score`",
    );
    check(
        "(loop $bomb (drop (memory.grow (i32.const 64))) (br $bomb))",
        "grow",
    );
    let started = Instant::now();
    check(
        "(loop $forever (br $forever))",
        "was interrupted in `score` after 501ms",
    );
    assert!(started.elapsed().as_secs() < 5);
    // Recursion without end meets the limit of the guest's stack, not the host's.
    let recursion = Recipe {
        score: "(drop (call $deep))",
        explain: "",
        start: ") (func $deep (result i32) (i32.add (call $deep) (i32.const 1))",
        ..Recipe::default()
    };
    check_score(&recursion, "stack", 1);
}

#[test]
fn a_trap_costs_one_instance_and_later_calls_go_on() {
    let recipe = Recipe {
        score: "(if (i32.eq (global.get $calls) (i32.const 3)) (then unreachable))",
        state_key: 2,
        ..Recipe::default()
    };
    let detector = load(&recipe.package()).unwrap();
    let (rows, mut scores) = (rows(100), Vec::new());
    let mut failed = Vec::new();
    for block in 0..10 {
        if detector
            .score(&rows, None, block * 10..block * 10 + 10, &mut scores)
            .is_err()
        {
            failed.push(block);
        }
    }
    assert_eq!(failed, [2, 5, 8], "each instance traps at its third call");
    let stats = detector.stats();
    assert_eq!(
        (stats.scored_rows, stats.failed_rows, stats.replaced_instances),
        (70, 30, 3)
    );
    let kept: Vec<f32> = expected(100)
        .into_iter()
        .filter(|score| !failed.contains(&(*score as usize / 10)))
        .collect();
    assert_eq!(scores, kept);
}

#[test]
fn bad_explanations() {
    let check = |explain, message: &str, replaced| {
        let detector = load(
            &Recipe {
                explain,
                ..Recipe::default()
            }
            .package(),
        )
        .unwrap();
        let error = detector.explain(&rows(1), None, 0, 3).unwrap_err().to_string();
        assert!(error.contains(message), "{error:?} does not say {message:?}");
        assert_eq!(detector.stats().replaced_instances, replaced);
    };
    check("unreachable", "trapped in `explain`", 1);
    check("(loop $forever (br $forever))", "was interrupted in `explain`", 1);
    check(
        "(return (call $error (i32.const 2)))",
        "`explain` with bad-input",
        0,
    );
    check(
        "(i32.store (i32.const 32768) (i32.const 5)) (return (call $scores (i32.const 1)))",
        "the counts [5] do not say 0 entries",
        1,
    );
}

#[test]
fn detectors_that_do_not_start() {
    let check = |recipe: Recipe, message: &str| check_load(&recipe, config(), message);
    let open = |open| Recipe {
        open,
        ..Recipe::default()
    };
    check(
        open("(return (call $error (i32.const 0)))"),
        "`open` with bad-artifact: reci",
    );
    check(open("unreachable"), "trapped in `open`");
    check(
        open("(loop $forever (br $forever))"),
        "was interrupted in `open` after 2s",
    );
    check(
        Recipe {
            start: "unreachable",
            ..Recipe::default()
        },
        "trapped in `instantiate`",
    );
    check(
        Recipe {
            start: "(loop $forever (br $forever))",
            ..Recipe::default()
        },
        "interrupted in `instantiate`",
    );
    check(
        Recipe {
            pages: 1024,
            ..Recipe::default()
        },
        "it met a limit in `instantiate`: it wanted to grow to 67108864 bytes of memory; 16777216 are allowed; use less, \
         or raise detector-memory",
    );
    check(
        Recipe {
            name: "Bad Name".to_owned(),
            ..Recipe::default()
        },
        "its name is not",
    );
    check(
        Recipe {
            name: String::new(),
            ..Recipe::default()
        },
        "its name is not",
    );
    check(
        Recipe {
            state_key: 9,
            ..Recipe::default()
        },
        "trapped in `describe`",
    );
    check(
        Recipe {
            column_count: Some(0),
            ..Recipe::default()
        },
        "named 0 columns",
    );
    check(
        Recipe {
            column_count: Some(400),
            ..Recipe::default()
        },
        "`inputs`",
    );
    // A list that claims more than the memory holds, and one whose strings share their bytes.
    check(
        Recipe {
            column_count: Some(u32::MAX / 8),
            ..Recipe::default()
        },
        "trapped in `inputs`",
    );
    let unknown = Recipe {
        columns: vec!["dur".to_owned(), "colour".to_owned()],
        ..Recipe::default()
    };
    check(
        unknown,
        "wants the column \"colour\", which schema unsw-nb15@1 does not have",
    );
}

#[test]
fn answers_of_a_hundred_megabytes() {
    // 106 MiB of memory, so that what it claims is there.
    let large = |recipe| Recipe {
        pages: 1700,
        ..recipe
    };
    let roomy = || RuntimeConfig {
        memory_limit: 128 << 20,
        ..config()
    };
    let said = |bytes| {
        large(Recipe {
            summary_bytes: Some(bytes),
            ..Recipe::default()
        })
    };
    let too_much = "in `describe`: it handed over more at once than the host takes";
    check_load(&said(100_000_000), roomy(), too_much);
    check_load(&said(2_000_000), roomy(), "its summary has more than 1,024 bytes");
    check_load(&said(u32::MAX), roomy(), "trapped in `describe`");

    let (runtime, witness) = Witness::start_within(roomy());
    let check = |score, message: &str| {
        let recipe = large(Recipe {
            score,
            ..Recipe::default()
        });
        let detector = runtime.load(&recipe.package(), &UNSW_NB15).unwrap();
        let error = detector.score(&rows(10), None, 0..10, &mut Vec::new());
        let error = error.unwrap_err().to_string();
        assert!(error.contains(message), "{error:?} does not say {message:?}");
    };
    let too_much = "in `score`: it handed over more at once than the host takes";
    check("(return (call $scores (i32.const 25000000)))", too_much);
    check(
        "(return (call $scores (i32.const 900000)))",
        "900000 scores for 10 rows",
    );
    witness.went_on();
}

#[test]
fn a_million_functions() {
    let mut types = TypeSection::new();
    types.ty().function([], []);
    let (mut functions, mut code) = (FunctionSection::new(), CodeSection::new());
    let mut empty = Function::new([]);
    empty.instructions().end();
    for _ in 0..1_000_000 {
        functions.function(0);
        code.function(&empty);
    }
    let mut bomb = Module::new();
    bomb.section(&types).section(&functions).section(&code);
    let mut component = Recipe::default().component();
    ModuleSection(&bomb).append_to_component(&mut component);
    let package = netsage_package::pack(&component, b"model", None, None).unwrap();
    let (runtime, witness) = Witness::start();
    let started = Instant::now();
    let error = runtime.load(&Package::from_bytes(package).unwrap(), &UNSW_NB15);
    let error = error.map(drop).unwrap_err();
    assert!(matches!(error, LoadError::Check(_)), "{error}");
    assert!(
        error.to_string().contains("functions, and 100000 are allowed"),
        "{error}"
    );
    assert!(started.elapsed().as_secs() < 10, "found before it is compiled");
    witness.went_on();
}
