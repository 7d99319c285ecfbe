//! `cargo xtask bench`: figures as JSON, one object a line, so that they can be kept and compared.
//!
//! Two builds are compared by `--against`, in turns, see [`crate::against`]: figures of two runs of this command, taken
//! at different times on a machine that others use too, differ by more than most changes do.

use std::path::PathBuf;

use anyhow::{Result, bail};
use clap::{Args, ValueEnum};

use crate::against;
use crate::build;
use crate::command::openly;
use crate::peers;
use crate::setup::Purpose;
use crate::steps::Steps;
use crate::workspace::Workspace;

#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  cargo xtask bench runtime\n  cargo xtask bench detectors\n  cargo xtask bench meter\n  cargo xtask bench all > figures.jsonl\n  cargo xtask bench pipeline --against ../before/netsage"
)]
pub(crate) struct BenchArguments {
    /// What to measure.
    subject: Subject,
    /// Compares with this `netsage` of another build instead, in turns: `meter`, `pipeline` or `runtime`.
    #[arg(long, value_name = "PROGRAM")]
    against: Option<PathBuf>,
    /// Measures this program instead of the one that would be built here.
    #[arg(long, value_name = "PROGRAM")]
    program: Option<PathBuf>,
    /// How often each of the two runs.
    #[arg(long, value_name = "N", default_value_t = 25, value_parser = clap::value_parser!(u16).range(10..))]
    pairs: u16,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Subject {
    /// Detectors in wasmtime: what a call, a row and a load cost beside the native build, what a hostile detector costs
    /// the others, the memory of an idle `netsage run`; what hot swaps and bad versions cost.
    Runtime,
    /// Every bundled detector: rows per second in wasmtime beside its native build and, for a network, beside
    /// onnxruntime; bytes of component and model.
    Detectors,
    /// Stores: alerts and flows written per second.
    Store,
    /// The decoder beside a library: nanoseconds per packet.
    Decode,
    /// Records of other meters, from each format and from datagrams of exporters: records per second of one core.
    Records,
    /// The flow meter beside Argus, on a capture generated for it: packets per second, bytes per flow.
    Meter,
    /// The built program from a capture file to stored alerts, on one core and on two.
    Pipeline,
    /// Flows from a topic of Kafka to the store, beside the same flows from files.
    Stream,
    /// One to four scorers of one topic on one MongoDB server, and which alerts are equal when three of them are killed. Takes
    /// half an hour.
    Scorers,
    /// What outputs cost the pipeline while none of their receivers takes anything: with seven of them to without any, in turns.
    Outputs,
    /// What clients that hold connections, send halves of bodies or guess tokens cost the others.
    Connections,
    /// What clients that read much cost the recording of flows.
    Readers,
    /// What a flood of SYNs leaves: alerts, bytes of the store, memory. Takes a quarter of an hour.
    Flood,
    /// All of them but the flood, the outputs and the scorers.
    All,
}

/// Builds what the subject needs and measures it.
pub(crate) fn run(arguments: &BenchArguments) -> Result<()> {
    let workspace = Workspace::find()?;
    let program = match &arguments.program {
        Some(program) => program.clone(),
        None => built(&workspace)?,
    };
    if let Some(other) = &arguments.against {
        let subject = match arguments.subject {
            Subject::Meter => against::Subject::Meter,
            Subject::Pipeline => against::Subject::Pipeline,
            Subject::Runtime => against::Subject::Runtime,
            _ => bail!("--against compares `meter`, `pipeline` or `runtime`; name one of them"),
        };
        return against::run(&workspace, subject, &program, other, arguments.pairs.into());
    }
    if arguments.subject == Subject::Outputs {
        let pairs = arguments.pairs.into();
        return against::run(&workspace, against::Subject::Outputs, &program, &program, pairs);
    }
    let detector = workspace.dist.join("packages/iforest-unsw-nb15.wasm");
    let component = workspace.dist.join("components/iforest.wasm");
    let models = workspace.root.join("models/artifacts");
    let folder = workspace.target.join("netsage-bench");
    let packages = workspace.dist.join("packages");
    let data = workspace.root.join("../shared/data");
    let [connections, readers] = ["connections", "readers"].map(PathBuf::from);
    let wants = |subject| arguments.subject == Subject::All || arguments.subject == subject;
    let python = wants(Subject::Detectors).then(|| peers::interpreter(&workspace, &mut |_| {}));
    for (subject, example, inputs) in [
        (Subject::Runtime, "bench", vec![&detector, &program]),
        (Subject::Runtime, "bench_swaps", vec![&detector]),
        (Subject::Detectors, "bench_detectors", vec![&packages, &data]),
        (Subject::Store, "bench_store", vec![]),
        (Subject::Stream, "bench_stream", vec![&program, &folder]),
        (Subject::Scorers, "bench_scorers", vec![&program]),
        (
            Subject::Connections,
            "bench_clients",
            vec![&program, &connections],
        ),
        (Subject::Readers, "bench_clients", vec![&program, &readers]),
        (Subject::Flood, "bench_flood", vec![&program, &folder]),
        (Subject::Decode, "bench_decode", vec![]),
        (Subject::Records, "bench_formats", vec![]),
        (Subject::Records, "bench_collector", vec![]),
        (Subject::Meter, "bench_meter", vec![&program, &folder]),
        (
            Subject::Pipeline,
            "bench_pipeline",
            vec![&program, &component, &models, &folder],
        ),
    ] {
        let is_wanted = match subject {
            Subject::Flood | Subject::Scorers => arguments.subject == subject,
            _ => wants(subject),
        };
        if is_wanted {
            // No package is named: all default members together share the dependencies of the program.
            let mut command = workspace.cargo(&["run", "--quiet", "--release", "--example", example, "--"]);
            command.args(inputs);
            match &python {
                Some(Ok(interpreter)) => command.env(peers::INTERPRETER, interpreter),
                Some(Err(error)) => command.env(peers::WHY_NOT, format!("{error:#}")),
                None => &mut command,
            };
            openly(command)?;
        }
    }
    Ok(())
}

/// The program of this clone.
fn built(workspace: &Workspace) -> Result<PathBuf> {
    let steps = Steps::new(build::STEPS);
    let program = build::all(workspace, &steps, Purpose::Build)?;
    steps.finish();
    Ok(program)
}
