//! Schemas that others publish, as JSON, from the packages that hold them: installed once for all runs to come.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::server::{run, tools};

/// The version of the Elastic Common Schema in `@elastic/ecs`.
const ECS: &str = "9.4.0";
/// The version of the package `ocsf-json-schema`, which holds many versions of the schema.
const OCSF: &str = "1.2.0";

/// Every field of the Elastic Common Schema by its name, e.g. `source.ip`: an object with `type`, `normalize` and where there
/// are some `allowed_values`.
///
/// # Errors
/// Why the schema cannot be had.
pub fn elastic_common_schema() -> Result<String, String> {
    let name = format!("elastic-ecs-{ECS}");
    let (tools, lock) = tools(&name)?;
    let folder = tools.join(&name);
    let package = folder.join("node_modules/@elastic/ecs");
    if !package.join("package.json").exists() {
        std::fs::create_dir_all(&folder)
            .map_err(|error| format!("cannot make {}: {error}", folder.display()))?;
        let mut npm = Command::new("npm");
        npm.args(["install", "--no-audit", "--no-fund", "--ignore-scripts"])
            // Without a network this should end soon: there is nothing to wait for.
            .args(["--fetch-retries", "1", "--fetch-timeout", "20000"])
            .arg("--prefix")
            .arg(&folder)
            .arg(format!("@elastic/ecs@{ECS}"));
        run(&mut npm)?;
    }
    drop(lock);
    let script = "process.stdout.write(JSON.stringify(require(process.argv[1]).EcsFlat))";
    said_by(Command::new("node").args(["-e", script]).arg(&package))
}

/// The JSON Schema of a class of a version of the Open Cybersecurity Schema Framework, e.g. `detection_finding`.
///
/// # Errors
/// Why the schema cannot be had.
pub fn ocsf(version: &str, class: &str) -> Result<String, String> {
    let python = ocsf_python()?;
    let script = "import json, sys
from ocsf_json_schema import get_ocsf_schema, OcsfJsonSchemaEmbedded
schema = OcsfJsonSchemaEmbedded(get_ocsf_schema(version=sys.argv[1]))
print(json.dumps(schema.get_class_schema(class_name=sys.argv[2], profiles=[])))";
    said_by(Command::new(python).args(["-c", script, version, class]))
}

/// A Python with the package.
fn ocsf_python() -> Result<PathBuf, String> {
    let name = format!("ocsf-json-schema-{OCSF}");
    let (tools, lock) = tools(&name)?;
    let venv = tools.join(&name);
    let python = venv.join("bin/python");
    // Written last, so that an installation that was cut short is done again.
    let stamp = venv.join("netsage-installed.txt");
    if !stamp.exists() {
        run(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&venv))?;
        install(&python)?;
        std::fs::write(&stamp, OCSF).map_err(|error| format!("cannot write {}: {error}", stamp.display()))?;
    }
    drop(lock);
    Ok(python)
}

fn install(python: &Path) -> Result<(), String> {
    let mut pip = Command::new(python);
    pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"])
        .args(["--only-binary=:all:", "--retries", "1", "--timeout", "20"])
        .arg(format!("ocsf-json-schema=={OCSF}"));
    run(&mut pip)
}

/// What a command prints.
fn said_by(command: &mut Command) -> Result<String, String> {
    let name = command.get_program().display().to_string();
    let output = command.output().map_err(|error| format!("{name}: {error}"))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        return Err(format!("{name}: {}", said.lines().last().unwrap_or("failed")));
    }
    String::from_utf8(output.stdout).map_err(|error| format!("{name}: {error}"))
}
