//! `netsage output`: where a running program sends its alerts, and what can be asked of an output.

use std::io::Write as _;

use netsage_api_types::{OutputAnswer, OutputInfo, RefusedMessage, RepeatRequest};
use netsage_console::output::{for_people, printable, table};
use netsage_console::{Failure, say};
use netsage_gateway::config::Settings;

use crate::client::{Client, ClientArgs, encoded};

#[derive(Debug, clap::Subcommand)]
pub(crate) enum OutputCommand {
    /// Say where alerts go, and how that fares
    #[command(after_help = "Example:\n  netsage output list")]
    List(ListArgs),
    /// Send a test message now, and say what became of it
    #[command(after_help = "Example:\n  netsage output test soc")]
    Test(NamedArgs),
    /// Have an output that is paused, or waits after a failure, try again at once
    #[command(after_help = "Example:\n  netsage output resume soc")]
    Resume(NamedArgs),
    /// Have an output open its file anew, after it was moved away
    #[command(after_help = "Example:\n  mv alerts.jsonl alerts.1.jsonl && netsage output reopen archive")]
    Reopen(NamedArgs),
    /// List the messages that a receiver will never take
    #[command(after_help = "Example:\n  netsage output refused soc")]
    Refused(NamedArgs),
    /// Send messages that were set aside once more: those named, or all
    #[command(after_help = "Example:\n  netsage output repeat soc")]
    Repeat(RepeatArgs),
}

#[derive(Debug, clap::Args)]
pub(crate) struct ListArgs {
    #[command(flatten)]
    client: ClientArgs,
}

#[derive(Debug, clap::Args)]
pub(crate) struct NamedArgs {
    /// Name of the output
    #[arg(value_name = "NAME")]
    name: String,
    #[command(flatten)]
    client: ClientArgs,
}

#[derive(Debug, clap::Args)]
pub(crate) struct RepeatArgs {
    /// Name of the output
    #[arg(value_name = "NAME")]
    name: String,
    /// Ids of messages, as `refused` lists them [default: all]
    #[arg(value_name = "ID")]
    ids: Vec<String>,
    #[command(flatten)]
    client: ClientArgs,
}

pub(crate) fn run(command: OutputCommand, file: &Settings) -> Result<(), Failure> {
    match command {
        OutputCommand::List(args) => list(&Client::new(&args.client, file)?),
        OutputCommand::Test(args) => ask(&args, "test", "the receiver has taken the test", file),
        OutputCommand::Reopen(args) => ask(&args, "reopen", "the output has opened its file anew", file),
        OutputCommand::Resume(args) => {
            let client = Client::new(&args.client, file)?;
            let _: OutputInfo = client.post_json(&path(&args.name, "resume"), &())?;
            say!("the output tries again now; `netsage output list` says how it fares");
            Ok(())
        }
        OutputCommand::Refused(args) => refused(&args, file),
        OutputCommand::Repeat(args) => {
            let request = RepeatRequest { ids: args.ids };
            let client = Client::new(&args.client, file)?;
            let _: RepeatRequest = client.post_json(&path(&args.name, "repeat"), &request)?;
            say!(
                "the messages will be sent; those that the receiver takes leave the list of `netsage output refused`"
            );
            Ok(())
        }
    }
}

fn path(name: &str, what: &str) -> String {
    format!("/outputs/{}/{what}", encoded(name))
}

fn ask(args: &NamedArgs, what: &str, done: &str, file: &Settings) -> Result<(), Failure> {
    let client = Client::new(&args.client, file)?;
    let answer: OutputAnswer = client.post_json(&path(&args.name, what), &())?;
    match answer.reason {
        None => {
            say!("{done}");
            Ok(())
        }
        Some(reason) => Err(anyhow::anyhow!("output `{}`: {}", args.name, printable(&reason)).into()),
    }
}

fn list(client: &Client) -> Result<(), Failure> {
    let outputs: Vec<OutputInfo> = client.get("/outputs")?;
    if outputs.is_empty() {
        say!("the program has no outputs; a table [output.NAME] of its settings file makes one");
    }
    let rows: Vec<_> = outputs.iter().map(row).collect();
    let header = ["NAME", "KIND", "DELIVERED", "WAITING", "REFUSED", "LAG", "STATE"];
    let mut out = for_people();
    table(&mut out, header, &[2, 3, 4, 5], &rows)?;
    Ok(out.flush()?)
}

fn row(output: &OutputInfo) -> [String; 7] {
    let state = match (&output.paused, &output.failure, output.is_leading) {
        (Some(reason), ..) => format!("paused: {reason}"),
        (None, Some(reason), _) => format!("trying again: {reason}"),
        (None, None, true) => "delivers".to_owned(),
        (None, None, false) => "another program delivers, or none does yet".to_owned(),
    };
    [
        output.name.clone(),
        output.kind.clone(),
        output.delivered.to_string(),
        output.waiting.to_string(),
        output.refused.to_string(),
        output.lag.to_string(),
        state,
    ]
}

fn refused(args: &NamedArgs, file: &Settings) -> Result<(), Failure> {
    let client = Client::new(&args.client, file)?;
    let messages: Vec<RefusedMessage> = client.get(&path(&args.name, "refused"))?;
    if messages.is_empty() {
        say!("no message is set aside");
        return Ok(());
    }
    let rows = messages.iter().map(|message| {
        let RefusedMessage {
            id, revision, reason, ..
        } = message;
        [id.clone(), revision.to_string(), reason.clone()]
    });
    let rows: Vec<_> = rows.collect();
    let mut out = for_people();
    table(&mut out, ["ID", "REVISION", "WHY"], &[1], &rows)?;
    Ok(out.flush()?)
}
