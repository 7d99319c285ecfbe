//! `cargo xtask screenshots`: the pictures in docs/, from the real dashboard.

use anyhow::Result;

use crate::build;
use crate::command::openly;
use crate::serve::{self, Host};
use crate::setup::Purpose;
use crate::steps::Steps;
use crate::test::{node, node_folder};
use crate::workspace::Workspace;

/// Serves the demo's traffic on a free port and lets a browser take the pictures.
pub(crate) fn run() -> Result<()> {
    let workspace = Workspace::find()?;
    let steps = Steps::new(build::STEPS + 3);
    let program = build::all(&workspace, &steps, Purpose::Screenshots)?;
    let folder = steps.run("Fetching the browser driver", |line| {
        node_folder(&workspace, line)
    })?;
    let capture = steps.run("Generating traffic", |line| {
        serve::capture(&workspace, &program, line)
    })?;
    let store = workspace.target.join("netsage-screenshots");
    let host = steps.run("Replaying", |_| {
        Host::start(&workspace, &program, &capture, &store)
    })?;
    steps.finish();
    let mut command = node(&workspace, &folder, &program, &capture, &host);
    command.arg("screenshots.mjs");
    openly(command)
}
