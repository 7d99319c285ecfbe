//! The packed crate, as somebody outside of this workspace uses it.

#![allow(clippy::unwrap_used, clippy::print_stderr)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use wit_component::{ComponentEncoder, DecodedWasm};

const MANIFEST: &str = r#"[package]
name = "outside"
version = "0.1.0"
edition = "2024"

[lib]
crate-type = ["cdylib"]

[dependencies]
netsage-detector-sdk = { path = "SDK" }

[workspace]
"#;

/// The detector of the documentation of `export_detector!`, with an explanation.
const DETECTOR: &str = r#"
use netsage_detector_sdk::{
    Block, Contribution, Description, Detector, Error, Explain, Explanation, Inputs, Schema, StateKey, export_detector,
};

struct Largest;

impl Detector for Largest {
    fn describe() -> Description {
        Description {
            name: "largest",
            version: "0.1.0",
            summary: "Scores a flow by its bytes.",
            licence: "MIT",
            state_key: StateKey::None,
            properties: &[("made-by", "a test")],
        }
    }

    fn open(_artifact: &[u8], _schema: &Schema) -> Result<Self, Error> {
        Ok(Self)
    }

    fn inputs(&self) -> Inputs {
        Inputs::columns(["sbytes"])
    }

    fn score(&mut self, block: &Block<'_>, scores: &mut Vec<f32>) -> Result<(), Error> {
        scores.extend(block.iter().map(|row| row[0]));
        Ok(())
    }
}

impl Explain for Largest {
    fn explain(&mut self, block: &Block<'_>, _limit: usize) -> Result<Explanation, Error> {
        let mut explanation = Explanation::default();
        for _ in block.iter() {
            explanation.push_row([Contribution { column: 0, weight: 1.0, typical: 0.0 }]);
        }
        Ok(explanation)
    }
}

export_detector!(Largest: Explain);
"#;

fn cargo(folder: &Path, target: &Path, arguments: &[&str]) {
    let output = Command::new(env!("CARGO"))
        .args(arguments)
        .arg("--offline")
        .current_dir(folder)
        .env("CARGO_TARGET_DIR", target)
        .env_remove("RUSTFLAGS")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "cargo {arguments:?}: {said}");
}

#[test]
fn a_detector_outside_of_the_workspace_builds_on_the_packed_crate() {
    let sdk = Path::new(env!("CARGO_MANIFEST_DIR"));
    let installed = Command::new("rustup")
        .args(["target", "list", "--installed"])
        .output();
    let has_target =
        installed.is_ok_and(|list| String::from_utf8_lossy(&list.stdout).contains("wasm32-unknown-unknown"));
    if !has_target {
        eprintln!("skipped: the target wasm32-unknown-unknown is not installed (rustup target add)");
        return;
    }
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("packed-sdk");
    let target = folder.join("target");
    // What Cargo packs is what a registry would hand out. It is built below, for the target that counts.
    cargo(
        sdk,
        &target,
        &["package", "--allow-dirty", "--no-verify", "--quiet"],
    );
    let version = env!("CARGO_PKG_VERSION");
    let archive = target.join(format!("package/netsage-detector-sdk-{version}.crate"));
    let unpacked = Command::new("tar")
        .arg("-xzf")
        .arg(&archive)
        .arg("-C")
        .arg(&folder)
        .status();
    assert!(unpacked.unwrap().success());
    let packed = folder.join(format!("netsage-detector-sdk-{version}"));
    let contract = |path: PathBuf| fs::read_to_string(path).unwrap();
    assert_eq!(
        contract(packed.join("wit/detector.wit")),
        contract(sdk.join("../../wit/detector.wit")),
        "the contract in the crate is the contract"
    );
    assert!(
        !fs::symlink_metadata(packed.join("wit/detector.wit"))
            .unwrap()
            .is_symlink()
    );

    let outside = folder.join("outside");
    fs::create_dir_all(outside.join("src")).unwrap();
    let manifest = MANIFEST.replace("SDK", &packed.display().to_string());
    fs::write(outside.join("Cargo.toml"), manifest).unwrap();
    fs::write(outside.join("src/lib.rs"), DETECTOR).unwrap();
    // The versions that are there already.
    fs::copy(sdk.join("../../Cargo.lock"), outside.join("Cargo.lock")).unwrap();
    let arguments = [
        "build",
        "--release",
        "--quiet",
        "--target",
        "wasm32-unknown-unknown",
    ];
    cargo(&outside, &target, &arguments);
    let module = fs::read(target.join("wasm32-unknown-unknown/release/outside.wasm")).unwrap();
    let component = ComponentEncoder::default()
        .validate(true)
        .module(&module)
        .unwrap()
        .encode()
        .unwrap();
    let DecodedWasm::Component(resolve, world) = wit_component::decode(&component).unwrap() else {
        panic!("no component came out");
    };
    let world = &resolve.worlds[world];
    assert!(world.imports.is_empty());
    let exports: Vec<String> = world
        .exports
        .keys()
        .map(|key| resolve.name_world_key(key))
        .collect();
    assert_eq!(
        exports,
        [
            "netsage:detector/detector@1.0.0",
            "netsage:detector/explainer@1.0.0"
        ]
    );
}
