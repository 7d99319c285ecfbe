//! `netsage detector inspect`: a package as a file, without a running program.

use std::io::Write as _;

use netsage_console::Failure;
use netsage_console::detectors::start_runtime;
use netsage_console::output::{for_people, print_json};
use netsage_gateway::catalog::{check, read_package, schema_of};
use netsage_gateway::config::Settings;

/// The arguments of `netsage detector inspect`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Example:\n  netsage detector inspect my.wasm\n  netsage detector inspect iforest-generated --json"
)]
pub(crate) struct InspectArgs {
    /// Package, a file or the name of a bundled one
    package: String,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(super) fn inspect(args: &InspectArgs, file: &Settings) -> Result<(), Failure> {
    let package = read_package(&args.package)?;
    let runtime = start_runtime(None, file)?;
    let schema = schema_of(&runtime, &args.package, &package)?;
    let loaded = check(&runtime, schema, &args.package, &package)?;
    let info = loaded.info();
    let mut out = for_people();
    if args.json {
        print_json(&mut out, &info)?;
    } else {
        writeln!(
            out,
            "{} {}: {}",
            info.detector.name, info.detector.version, info.summary
        )?;
        writeln!(out, "  digest     {}", info.detector.digest)?;
        writeln!(out, "  code       {}", loaded.package().code_digest())?;
        writeln!(out, "  licence    {}", info.licence)?;
        writeln!(
            out,
            "  size       {} bytes, of which the model has {}",
            info.size,
            loaded.package().artifact().len()
        )?;
        writeln!(out, "  explains   {}", if info.explains { "yes" } else { "no" })?;
        writeln!(out, "  learns     {}", if info.learns { "yes" } else { "no" })?;
        let context: Vec<&str> = loaded.detector.context().names().collect();
        if !context.is_empty() {
            writeln!(out, "  context    {}", context.join(" "))?;
        }
        writeln!(out, "  columns    {}", info.columns.join(" "))?;
        match &info.card {
            Some(card) => {
                writeln!(
                    out,
                    "  trained    {} on {} rows of {}",
                    card.date, card.rows, card.data
                )?;
                match card.threshold {
                    Some(threshold) => writeln!(out, "  threshold  {threshold} ({})", card.threshold_rule)?,
                    None => writeln!(out, "  threshold  none ({})", card.threshold_rule)?,
                }
                for (name, figure) in &card.figures {
                    writeln!(out, "  {name:<10} {figure:.4}")?;
                }
            }
            None => writeln!(out, "  no model card, and so no threshold")?,
        }
        writeln!(out, "this host takes it")?;
    }
    Ok(out.flush()?)
}
