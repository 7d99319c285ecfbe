//! `netsage output`: where a running program sends its alerts, and what can be asked of an output.

use std::io::Write as _;

use netsage_api_types::{OutputAnswer, OutputInfo, OutputPlace, OutputTable, RefusedMessage, RepeatRequest};
use netsage_console::output::{for_people, printable, table};
use netsage_console::{Failure, say};
use netsage_gateway::config::Settings;
use serde_json::{Map, Value};

use crate::client::{Client, ClientArgs, encoded};

#[derive(Debug, clap::Subcommand)]
pub(crate) enum OutputCommand {
    /// Say where alerts go, and how that fares
    #[command(after_help = "Example:\n  netsage output list")]
    List(ListArgs),
    /// Set a webhook while the program runs, in place of the one of this name that was set so before; it outlasts the program
    #[command(after_help = "Examples:
  netsage output set chat url=https://hooks.example/a format=slack min-severity=high
  netsage output set soc url-file=/var/lib/netsage/outputs/secrets/soc batch=20

Files that a setting names lie in the folder outputs/secrets of the data folder of the program.")]
    Set(SetArgs),
    /// Remove an output that was set while the program ran; one of this name that is set later goes on where this one has ended
    #[command(after_help = "Example:\n  netsage output remove chat")]
    Remove(NamedArgs),
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
pub(crate) struct SetArgs {
    /// Name of the output: lower-case letters, digits and `-`
    #[arg(value_name = "NAME")]
    name: String,
    /// Settings of the webhook, as its table in a settings file has them
    #[arg(value_name = "SETTING=VALUE", required = true, value_parser = setting)]
    settings: Vec<(String, Value)>,
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
        OutputCommand::Set(args) => {
            let mut table: Map<String, Value> = args.settings.into_iter().collect();
            table.entry("type").or_insert_with(|| "webhook".into());
            let client = Client::new(&args.client, file)?;
            let _: OutputInfo = client.put_json(&of(&args.name), &OutputTable(table))?;
            say!(
                "output `{0}` is set; `netsage output test {0}` sends a test",
                args.name
            );
            Ok(())
        }
        OutputCommand::Remove(args) => {
            Client::new(&args.client, file)?.delete(&of(&args.name))?;
            say!("output `{}` is removed", args.name);
            Ok(())
        }
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

fn of(name: &str) -> String {
    format!("/outputs/{}", encoded(name))
}

fn path(name: &str, what: &str) -> String {
    format!("{}/{what}", of(name))
}

/// `NAME=VALUE`; the value is what TOML reads, such as a number or a list, and a text otherwise.
fn setting(written: &str) -> Result<(String, Value), String> {
    let (name, value) = written
        .split_once('=')
        .filter(|(name, _)| !name.trim().is_empty())
        .ok_or("write SETTING=VALUE, e.g. format=slack")?;
    let read = toml::from_str::<Map<String, Value>>(&format!("value = {value}")).ok();
    // More than one value is a line end within a text.
    let read = read
        .filter(|read| read.len() == 1)
        .and_then(|mut read| read.remove("value"));
    Ok((name.trim().to_owned(), read.unwrap_or_else(|| value.into())))
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
        say!(
            "the program has no outputs; a table [output.NAME] of its settings file makes one, and `netsage output set`"
        );
    }
    let rows: Vec<_> = outputs.iter().map(row).collect();
    let header = [
        "NAME",
        "KIND",
        "SET IN",
        "DELIVERED",
        "WAITING",
        "REFUSED",
        "LAG",
        "STATE",
    ];
    let mut out = for_people();
    table(&mut out, header, &[3, 4, 5, 6], &rows)?;
    Ok(out.flush()?)
}

fn row(output: &OutputInfo) -> [String; 8] {
    let state = match (&output.paused, &output.failure, output.is_leading) {
        (Some(reason), ..) => format!("paused: {reason}"),
        (None, Some(reason), _) => format!("trying again: {reason}"),
        (None, None, true) => "delivers".to_owned(),
        (None, None, false) => "another program delivers, or none does yet".to_owned(),
    };
    [
        output.name.clone(),
        output.kind.clone(),
        match output.set_in {
            OutputPlace::File => "file".to_owned(),
            OutputPlace::Api => "api".to_owned(),
        },
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn settings_are_read_as_a_table_has_them() {
        let check = |written: &str, expected: Result<(&str, Value), &str>| {
            let expected = expected
                .map(|(name, value)| (name.to_owned(), value))
                .map_err(str::to_owned);
            assert_eq!(setting(written), expected, "{written}");
        };
        check("format=slack", Ok(("format", json!("slack"))));
        check(
            "url=https://a.example/?x=1",
            Ok(("url", json!("https://a.example/?x=1"))),
        );
        check("batch=20", Ok(("batch", json!(20))));
        check("detectors=[\"a\", \"b\"]", Ok(("detectors", json!(["a", "b"]))));
        check("url=1\nvalue2 = 2", Ok(("url", json!("1\nvalue2 = 2"))));
        check("batch", Err("write SETTING=VALUE, e.g. format=slack"));
        check("=a", Err("write SETTING=VALUE, e.g. format=slack"));
    }
}
