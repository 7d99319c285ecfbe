//! Each limit, shown to bite, and not to bite just below.

use std::ffi::OsString;
use std::fs;
use std::process::Command;
use std::time::{Duration, Instant};

use netsage_package::{Package, pack};
use netsage_runtime::{CodeLimits, Compiler, LoadError, Runtime, RuntimeConfig, ScoreError};
use netsage_schema::UNSW_NB15;

use wasm_encoder::{ComponentSection as _, InstanceSection, Module, ModuleArg, ModuleSection};
use wasmparser::{Instance, Parser, Payload};

use crate::{config, load, load_within, rows};
use netsage_testkit::recipe::Recipe;

/// What loading and scoring ten rows says, `""` when all is well.
fn said(recipe: &Recipe, config: RuntimeConfig) -> String {
    let detector = match load_within(config, &recipe.package()) {
        Ok(detector) => detector,
        Err(error) => return error.to_string(),
    };
    let scored = detector.score(&rows(10), None, 0..10, &mut Vec::new());
    scored.map_or_else(|error| error.to_string(), |()| String::new())
}

#[track_caller]
fn check(recipe: &Recipe, config: RuntimeConfig, expected: &str) {
    let said = said(recipe, config);
    assert!(
        said.contains(expected) && said.is_empty() == expected.is_empty(),
        "{said:?}, not {expected:?}"
    );
}

#[test]
fn memory_at_the_start_and_as_it_grows() {
    let limited = |pages: usize| RuntimeConfig {
        memory_limit: pages << 16,
        ..config()
    };
    let grows = Recipe {
        score: "(drop (memory.grow (i32.const 36)))",
        ..Recipe::default()
    };
    check(&grows, limited(100), "");
    check(
        &grows,
        limited(99),
        "it wanted to grow to 6553600 bytes of memory; 6488064 are allowed",
    );
    check(&grows, limited(64), "it met a limit in `score`");
    check(&grows, limited(63), "it met a limit in `instantiate`");
}

#[test]
fn tables_at_the_start_and_as_they_grow() {
    let limited = |elements| RuntimeConfig {
        table_limit: elements,
        ..config()
    };
    let starts = Recipe {
        fields: "(table 5000 funcref) (table 5000 funcref)".to_owned(),
        ..Recipe::default()
    };
    let grows = Recipe {
        fields: "(table $all 5000 funcref)".to_owned(),
        score: "(drop (table.grow $all (ref.null func) (i32.const 5000)))",
        ..Recipe::default()
    };
    for recipe in [&starts, &grows] {
        // Some elements are those of the glue around the module.
        check(recipe, limited(10_100), "");
        check(recipe, limited(9_999), "elements of tables; 9999 are allowed");
    }
}

#[test]
fn stack() {
    let recipe = Recipe {
        fields: "(func $deep (param $left i32) (result i32)
            (if (result i32) (local.get $left)
                (then (i32.add (call $deep (i32.sub (local.get $left) (i32.const 1))) (i32.const 1)))
                (else (i32.const 0))))"
            .to_owned(),
        score: "(drop (call $deep (i32.const 2000)))",
        ..Recipe::default()
    };
    let limited = |stack_limit| RuntimeConfig {
        stack_limit,
        ..config()
    };
    check(&recipe, limited(512 << 10), "");
    check(&recipe, limited(16 << 10), "call stack exhausted");
}

#[test]
fn a_component_of_48_core_instances_is_let_in_and_the_limit_can_be_set() {
    let component = of_core_instances(&Recipe::default().component(), 48);
    let package = Package::from_bytes(pack(&component, b"model", None, None).unwrap()).unwrap();
    let check = |config: RuntimeConfig, expected: &str| {
        let said = load_within(config, &package).map_or_else(|error| error.to_string(), |_| String::new());
        assert!(
            said.contains(expected) && said.is_empty() == expected.is_empty(),
            "{said:?}, not {expected:?}"
        );
    };
    let limited = |core_instance_limit| RuntimeConfig {
        core_instance_limit,
        ..config()
    };
    check(config(), "");
    check(limited(48), "");
    check(
        limited(47),
        "it met a limit in `instantiate`: resource limit exceeded: instance count too high at 48; use less, or raise \
         detector-core-instances",
    );
}

/// A component made of more core instances, `count` in all: those that are added have nothing in them.
fn of_core_instances(component: &[u8], count: usize) -> Vec<u8> {
    let (mut modules, mut instances, mut depth) = (0, 0, 0);
    for payload in Parser::new(0).parse_all(component) {
        match payload.unwrap() {
            Payload::ModuleSection { .. } => {
                modules += u32::from(depth == 0);
                depth += 1;
            }
            Payload::ComponentSection { .. } => depth += 1,
            Payload::End(_) if depth > 0 => depth -= 1,
            Payload::InstanceSection(section) if depth == 0 => {
                let is_made = |instance: &Instance<'_>| matches!(instance, Instance::Instantiate { .. });
                instances += section.into_iter().map(Result::unwrap).filter(is_made).count();
            }
            _ => {}
        }
    }
    let mut bytes = component.to_vec();
    ModuleSection(&Module::new()).append_to_component(&mut bytes);
    let mut more = InstanceSection::new();
    for _ in instances..count {
        more.instantiate(modules, [("", ModuleArg::Instance(0)); 0]);
    }
    more.append_to_component(&mut bytes);
    bytes
}

#[test]
fn instances_of_a_component_and_of_a_detector() {
    let alone = RuntimeConfig {
        core_instance_limit: 0,
        ..config()
    };
    check(
        &Recipe::default(),
        alone,
        "it met a limit in `instantiate`: resource limit exceeded: instance count too high at 1; use less, or raise \
         detector-core-instances",
    );
    let many = |kind: &str, count: usize| Recipe {
        fields: format!("({kind} 0 {})", if kind == "table" { "funcref" } else { "" }).repeat(count),
        ..Recipe::default()
    };
    check(&many("table", 40), config(), "");
    check(
        &many("table", 70),
        config(),
        "raise RuntimeConfig::table_count_limit",
    );

    let count = |recipe: Recipe| {
        let detector = load(&recipe.package()).unwrap();
        detector.warm(10).unwrap();
        let warm = detector.idle_instances();
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    for _ in 0..20 {
                        detector.score(&rows(50), None, 0..50, &mut Vec::new()).unwrap();
                    }
                });
            }
        });
        assert_eq!(detector.idle_instances(), warm, "eight threads started no more");
        detector.release_instances();
        assert_eq!(detector.idle_instances(), 0);
        detector.score(&rows(50), None, 0..50, &mut Vec::new()).unwrap();
        assert_eq!(detector.idle_instances(), 1);
        warm
    };
    assert_eq!(count(Recipe::default()), config().workers);
    let stateful = Recipe {
        state_key: 1,
        ..Recipe::default()
    };
    assert_eq!(count(stateful), 1);
    let learner = Recipe {
        learns: true,
        ..Recipe::default()
    };
    assert_eq!(count(learner), 1);
}

#[test]
fn code_that_is_not_compiled() {
    let check = |code: CodeLimits, expected: &str| {
        let limited = RuntimeConfig { code, ..config() };
        check(&Recipe::default(), limited, expected);
    };
    let limits = CodeLimits::default();
    check(limits, "");
    check(
        CodeLimits { bytes: 100, ..limits },
        "bytes of code, and 100 are allowed",
    );
    check(
        CodeLimits {
            functions: 9,
            ..limits
        },
        "functions, and 9 are allowed",
    );
    check(
        CodeLimits {
            function_bytes: 40,
            ..limits
        },
        "bytes of code in one function, and 40 are allowed",
    );
    check(
        CodeLimits { modules: 0, ..limits },
        "1 modules, and 0 are allowed",
    );
}

#[test]
fn artifact() {
    let limited = |artifact_limit| RuntimeConfig {
        artifact_limit,
        ..config()
    };
    check(&Recipe::default(), limited(5), "");
    check(
        &Recipe::default(),
        limited(4),
        "5 bytes of artifact, and 4 are allowed",
    );
}

#[test]
fn compiling_ends_in_time_and_in_whole_answers() {
    let package = Recipe::default().package();
    let compiled_by = |program: &str, arguments: &[&str], compile_budget| {
        let limited = RuntimeConfig {
            compiler: Compiler::Process {
                program: program.into(),
                arguments: arguments.iter().map(OsString::from).collect(),
            },
            compile_budget,
            ..config()
        };
        load_within(limited, &package).map(drop).unwrap_err()
    };
    let started = Instant::now();
    let error = compiled_by("sleep", &["60"], Duration::from_millis(300));
    assert!(matches!(error, LoadError::CompileTime { .. }), "{error}");
    assert!(
        error.to_string().contains("was not compiled within 300ms"),
        "{error}"
    );
    assert!(started.elapsed().as_secs() < 30);
    // Children that answer nothing, with the question, and with something else.
    for (program, arguments) in [
        ("true", &[][..]),
        ("false", &[]),
        ("no-such-program", &[]),
        ("cat", &[]),
        ("echo", &["compiled"]),
    ] {
        let error = compiled_by(program, arguments, Duration::from_secs(60));
        assert!(matches!(error, LoadError::Compiler(_)), "{program}: {error}");
    }
}

#[test]
fn compiling_gives_way_only_once_flows_are_scored() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("niceness");
    // Behind the question, which comes once the priority is set.
    let script = format!("cat >/dev/null; nice >{}", file.display());
    let runtime = Runtime::new(RuntimeConfig {
        compiler: Compiler::Process {
            program: "sh".into(),
            arguments: ["-c", &script].map(OsString::from).to_vec(),
        },
        ..config()
    })
    .unwrap();
    let niceness = || {
        let loaded = runtime.load(&Recipe::default().package(), &UNSW_NB15);
        assert!(loaded.is_err(), "the child compiles nothing");
        fs::read_to_string(&file).unwrap().trim().to_owned()
    };
    let own = Command::new("nice").output().unwrap().stdout;
    assert_eq!(niceness(), String::from_utf8(own).unwrap().trim());
    runtime.give_way();
    assert_eq!(niceness(), "19");
}

#[test]
fn time_grows_with_the_rows() {
    let recipe = Recipe {
        score: "(loop $forever (br $forever))",
        ..Recipe::default()
    };
    let detector = load(&recipe.package()).unwrap();
    let check = |count, expected: &str| {
        let error = detector.score(&rows(count), None, 0..count, &mut Vec::new());
        let error = error.unwrap_err().to_string();
        assert!(error.contains(expected), "{error:?} does not say {expected:?}");
    };
    check(10, "was interrupted in `score` after 501ms");
    check(1000, "was interrupted in `score` after 600ms");
}

#[test]
fn kinds_of_failure_are_told_apart() {
    use netsage_runtime::GuestFailure as Failure;
    let check = |score, expected: fn(&Failure) -> bool| {
        let recipe = Recipe {
            score,
            ..Recipe::default()
        };
        let error = load(&recipe.package())
            .unwrap()
            .score(&rows(10), None, 0..10, &mut Vec::new())
            .unwrap_err();
        let ScoreError::Guest { failure, .. } = &error else {
            panic!("{error}")
        };
        assert!(expected(failure), "{failure:?}");
    };
    check("unreachable", |failure| matches!(failure, Failure::Trap { .. }));
    check("(loop $forever (br $forever))", |failure| {
        matches!(failure, Failure::Overrun { .. })
    });
    check("(return (call $scores (i32.const 9)))", |failure| {
        matches!(
            failure,
            Failure::WrongCount {
                scores: 9,
                rows: 10,
                ..
            }
        )
    });
    check(
        "(f32.store (i32.const 32780) (f32.const inf)) (return (call $scores (i32.const 10)))",
        |failure| matches!(failure, Failure::NotFinite { row: 3, .. }),
    );
    check("(return (call $error (i32.const 3)))", |failure| {
        matches!(failure, Failure::Refused { kind: "internal", .. })
    });
}
