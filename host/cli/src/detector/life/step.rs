//! The steps of a package's life: one call of one shape.

use std::env;
use std::io::Write;

use netsage_api_types::{DetectorInfo, Stage, Step, StepRequest};
use netsage_console::Failure;
use netsage_console::output::{for_people, print_json, printable};
use netsage_console::say;
use netsage_gateway::config::Settings;

use super::called;
use crate::client::{Client, ClientArgs, encoded};

/// Who does something and why, for the history; and how the answer is printed.
#[derive(Debug, clap::Args)]
pub(super) struct ReasonArgs {
    /// Why, for the history
    #[arg(long, value_name = "TEXT")]
    pub(super) why: Option<String>,
    /// Who you are, for the history [default: your login name]
    #[arg(long, value_name = "NAME")]
    by: Option<String>,
    /// Print the package as JSON
    #[arg(long)]
    pub(super) json: bool,
    #[command(flatten)]
    pub(super) client: ClientArgs,
}

impl ReasonArgs {
    /// Who asks.
    pub(super) fn by(&self) -> Option<String> {
        let from = |name| env::var(name).ok().filter(|user| !user.is_empty());
        self.by
            .clone()
            .or_else(|| from("LOGNAME"))
            .or_else(|| from("USER"))
    }
}

/// The arguments of a step.
#[derive(Debug, clap::Args)]
pub(crate) struct StepArgs {
    /// Package: its digest, the first 8 or more digits of it, or the name of the detector
    package: String,
    #[command(flatten)]
    reason: ReasonArgs,
}

/// The arguments of a step that concerns a share of the flows.
#[derive(Debug, clap::Args)]
pub(crate) struct ShareArgs {
    #[command(flatten)]
    pub(super) step: StepArgs,
    /// Share of the flows, above 0 and at most 1 [default: as the running program is set]
    #[arg(long, value_name = "SHARE")]
    pub(super) share: Option<f64>,
}

/// A step to the place of another package.
#[derive(Debug, clap::Args)]
pub(crate) struct PlaceArgs<Step: clap::Args> {
    #[command(flatten)]
    pub(super) step: Step,
    /// Where packages must be signed: take the place of a package that was signed later
    #[arg(long)]
    pub(super) downgrade: bool,
}

/// How a step is done, where it can be done in several ways.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct How {
    pub(super) share: Option<f64>,
    pub(super) downgrade: bool,
}

/// Does a step and says where the package stands then.
pub(super) fn run(step: Step, args: &StepArgs, how: How, file: &Settings) -> Result<(), Failure> {
    let client = Client::new(&args.reason.client, file)?;
    let info = take(&client, &args.package, step, &args.reason, how)?;
    tell(&info, args.reason.json)
}

/// Calls the API for a step.
pub(super) fn take(
    client: &Client,
    package: &str,
    step: Step,
    reason: &ReasonArgs,
    how: How,
) -> anyhow::Result<DetectorInfo> {
    let request = StepRequest {
        by: reason.by(),
        why: reason.why.clone(),
        share: how.share,
        downgrade: how.downgrade,
    };
    client.post_json(
        &format!("/detectors/{}/{}", encoded(package), step.name()),
        &request,
    )
}

/// Prints where a package stands: the digest for programs, a sentence for people.
pub(super) fn tell(info: &DetectorInfo, json: bool) -> Result<(), Failure> {
    let mut out = for_people();
    if json {
        print_json(&mut out, info)?;
    } else {
        writeln!(out, "{}", info.detector.digest)?;
        out.flush()?;
        say!("{}", printable(&standing(info)));
    }
    Ok(out.flush()?)
}

/// Where a package stands and what can be done with it, in a sentence.
pub(super) fn standing(info: &DetectorInfo) -> String {
    let who = called(&info.detector);
    let share = info.share.map_or_else(String::new, |share| {
        format!(" for {} % of the flows", share * 100.0)
    });
    let now = match info.stage {
        Stage::Staged => "is staged; nothing is known about it yet".to_owned(),
        Stage::Checked => "is checked".to_owned(),
        Stage::Warm => "is ready".to_owned(),
        Stage::Shadow => format!("is a shadow{share}"),
        Stage::Canary => format!("is a canary{share}, generation {}", info.detector.generation),
        Stage::Active => format!("is active, generation {}", info.detector.generation),
        Stage::Retired => "is retired".to_owned(),
        Stage::Quarantined => format!("is in quarantine: {}", info.why),
    };
    let next: Vec<&str> = info.next.iter().map(|step| step.name()).collect();
    if next.is_empty() {
        format!("{who} {now}")
    } else {
        format!("{who} {now}; next: {}", next.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use netsage_api_types::{DetectorRef, FailurePolicy};

    use super::*;

    #[test]
    fn where_a_package_stands_is_a_sentence() {
        let info = |stage, share| DetectorInfo {
            detector: DetectorRef {
                name: "iforest".to_owned(),
                version: "1.0.0".to_owned(),
                digest: "0123456789abcdef".to_owned(),
                generation: 7,
            },
            summary: String::new(),
            licence: String::new(),
            explains: false,
            learns: false,
            columns: Vec::new(),
            size: 1,
            stage,
            since: 0,
            next: vec![Step::Promote, Step::Rollback],
            under_way: None,
            share,
            why: "it trapped".to_owned(),
            previous: None,
            on_failure: FailurePolicy::Reload,
            threshold: None,
            card: None,
            scored: 0,
            failed: 0,
            replaced_instances: 0,
            failed_explanations: 0,
            nanoseconds_per_row: None,
        };
        let check = |stage, share, expected: &str| {
            let expected = format!("iforest 1.0.0 (0123456789ab) {expected}; next: promote, rollback");
            assert_eq!(standing(&info(stage, share)), expected);
        };
        check(
            Stage::Canary,
            Some(0.25),
            "is a canary for 25 % of the flows, generation 7",
        );
        check(Stage::Active, None, "is active, generation 7");
        check(Stage::Quarantined, None, "is in quarantine: it trapped");
    }
}
