//! `netsage kafka`: what can be asked of a running program that reads a topic.

use netsage_api_types::SkipRequest;
use netsage_console::{Failure, say};
use netsage_gateway::config::Settings;

use crate::client::{Client, ClientArgs};

#[derive(Debug, clap::Subcommand)]
pub(crate) enum KafkaCommand {
    /// Pass over a batch of messages that cannot be unpacked and holds its partition up
    Skip(SkipArgs),
}

/// Lets a partition go on behind a batch that cannot be unpacked. Nothing but such a batch is passed over: the program looks for
/// the first message behind that can be read.
///
/// The problems that `/api/v1/health` names say which batch it is, as do the log and the Sensor page. What is passed over is
/// counted as rejected and is in no flow; where there is a dead-letter topic, it is told.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  netsage kafka skip --topic flows --partition 2 --offset 1709")]
pub(crate) struct SkipArgs {
    /// The topic
    #[arg(long, value_name = "NAME")]
    topic: String,
    /// The partition
    #[arg(long, value_name = "N")]
    partition: i32,
    /// The offset at which the partition is held up
    #[arg(long, value_name = "N")]
    offset: i64,
    #[command(flatten)]
    client: ClientArgs,
}

pub(crate) fn run(command: KafkaCommand, file: &Settings) -> Result<(), Failure> {
    let KafkaCommand::Skip(args) = command;
    let request = SkipRequest {
        topic: args.topic,
        partition: args.partition,
        offset: args.offset,
    };
    let client = Client::new(&args.client, file)?;
    let SkipRequest {
        topic,
        partition,
        offset,
    } = client.post_json("/partitions/skip", &request)?;
    say!(
        "the batch at offset {offset} of partition {partition} of topic {topic} will be passed over; the health says when that is done"
    );
    Ok(())
}
