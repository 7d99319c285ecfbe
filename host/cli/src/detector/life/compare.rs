//! `netsage detector compare`: a shadow or a canary beside the active detector of its name.

use std::io::{self, Write};

use netsage_api_types::Comparison;
use netsage_console::Failure;
use netsage_console::output::{for_people, print_json, table};
use netsage_gateway::config::Settings;

use super::called;
use crate::client::{Client, ClientArgs, encoded};

/// Columns of a histogram on the terminal.
const COLUMNS: usize = 64;
/// From nothing to the fullest column.
const BLOCKS: [char; 9] = [' ', '▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// The arguments of `netsage detector compare`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Example:\n  netsage detector shadow 0123abcd --share 1\n  netsage detector compare 0123abcd\n  netsage detector compare 0123abcd --json"
)]
pub(crate) struct CompareArgs {
    /// Shadow or canary: its digest, the first 8 or more digits of it, or the name of the detector
    package: String,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    client: ClientArgs,
}

pub(super) fn run(args: &CompareArgs, file: &Settings) -> Result<(), Failure> {
    let client = Client::new(&args.client, file)?;
    let comparison: Comparison = client.get(&format!("/detectors/{}/comparison", encoded(&args.package)))?;
    let mut out = for_people();
    if args.json {
        print_json(&mut out, &comparison)?;
    } else {
        print(&mut out, &comparison)?;
    }
    Ok(out.flush()?)
}

fn print(out: &mut impl Write, comparison: &Comparison) -> io::Result<()> {
    let figure = |value: Option<f64>, digits: usize| {
        value.map_or_else(|| "-".to_owned(), |value| format!("{value:.digits$}"))
    };
    let percent =
        |share: Option<f64>| share.map_or_else(|| "-".to_owned(), |share| format!("{:.1} %", share * 100.0));
    writeln!(out, "candidate  {}", called(&comparison.candidate))?;
    writeln!(out, "active     {}", called(&comparison.active))?;
    writeln!(
        out,
        "flows      {} scored by the candidate, {} failed, {} skipped to keep up with the traffic",
        comparison.flows, comparison.failed, comparison.skipped
    )?;
    writeln!(out, "agreement         {}", percent(comparison.agreement))?;
    writeln!(
        out,
        "rank correlation  {}",
        figure(comparison.rank_correlation, 3)
    )?;
    writeln!(
        out,
        "distance          {} (allowed: {})",
        figure(comparison.distance, 3),
        figure(comparison.allowed_distance, 3)
    )?;
    writeln!(out)?;
    let pair = |name: &str, [candidate, active]: [Option<f64>; 2], digits| {
        [name.to_owned(), figure(candidate, digits), figure(active, digits)]
    };
    let rows = [
        pair("alerts per day", comparison.alerts_per_day, 1),
        pair("ns per row", comparison.nanoseconds_per_row, 0),
        pair("p99 of a call, us", comparison.call_p99_us, 0),
    ];
    table(out, ["", "CANDIDATE", "ACTIVE"], &[1, 2], &rows)?;
    writeln!(out)?;
    let [candidate, active] = &comparison.histogram;
    writeln!(out, "candidate |{}|", bars(candidate))?;
    writeln!(out, "active    |{}|", bars(active))?;
    writeln!(
        out,
        "           0{:^width$}1",
        "calibrated score",
        width = COLUMNS - 2
    )
}

/// A histogram in one line. Heights grow with the square root of the number, so that few alerts remain visible beside
/// many ordinary flows; what is not empty shows.
fn bars(counts: &[u64]) -> String {
    let mut columns = [0_u64; COLUMNS];
    for (bin, count) in counts.iter().enumerate() {
        columns[bin * COLUMNS / counts.len()] += count;
    }
    let most = columns.into_iter().max().unwrap_or(0).max(1);
    let top = BLOCKS.len() - 1;
    let block = |count: u64| {
        let height = (count as f64 / most as f64).sqrt() * top as f64;
        BLOCKS[(height.ceil() as usize).min(top)]
    };
    columns.into_iter().map(block).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_histogram_fits_its_line_and_hides_nothing() {
        let check = |counts: &[u64], expected: &str| {
            let line = bars(counts);
            assert_eq!(line.chars().count(), COLUMNS);
            assert_eq!(line.trim_end(), expected);
        };
        check(&[], "");
        check(&[0; 256], "");
        let mut counts = [0; 256];
        counts[0] = 1_000_000;
        counts[4] = 1;
        check(&counts, "█▁");
        // Fewer bins than columns: gaps between them.
        check(&[1, 1], &format!("█{}█", " ".repeat(31)));
    }
}
