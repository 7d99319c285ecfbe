//! Apache Kafka, as one process that is broker and controller.

mod secured;
mod topics;

use std::fs;
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

pub use secured::{PASSWORD, Secured, USER};
pub use topics::{Delivered, fresh};

use crate::proxy::Proxy;
use crate::server::{free_port, run, tools, wait_for_port};

const VERSION: &str = "4.1.1";

/// Commands of Kafka's folder `bin`, and the class that each calls.
const COMMANDS: [(&str, &str); 3] = [
    ("kafka-topics.sh", "TopicCommand"),
    ("kafka-console-producer.sh", "ConsoleProducer"),
    ("kafka-console-consumer.sh", "consumer.ConsoleConsumer"),
];

/// A broker of a test's own, which can be killed and started again on what it has kept.
pub struct KafkaServer {
    libraries: PathBuf,
    port: u16,
    secured: Option<Secured>,
    folder: TempDir,
    child: Child,
}

impl KafkaServer {
    /// Starts one.
    ///
    /// # Errors
    /// Why there is none.
    pub fn start() -> Result<Self, String> {
        Self::start_with(None, free_port()?, None)
    }

    /// Starts one to which all clients go through a proxy.
    ///
    /// # Errors
    /// Why there is none.
    pub fn start_behind_proxy() -> Result<(Self, Proxy), String> {
        let port = free_port()?;
        let proxy = Proxy::of_bytes(&format!("127.0.0.1:{port}"));
        let server = Self::start_with(None, port, Some(&proxy.address()))?;
        Ok((server, proxy))
    }

    /// Starts one that listens with TLS and SASL too.
    ///
    /// # Errors
    /// Why there is none.
    pub fn start_secured() -> Result<Self, String> {
        Self::start_with(Some(Secured::new()?), free_port()?, None)
    }

    /// On a port, with what clients are told in place of it.
    fn start_with(secured: Option<Secured>, port: u16, told: Option<&str>) -> Result<Self, String> {
        let libraries = installed_libraries()?;
        let folder = TempDir::new().map_err(|error| format!("no temporary folder: {error}"))?;
        let properties = folder.path().join("server.properties");
        let own = format!("127.0.0.1:{port}");
        let places = (own.as_str(), told.unwrap_or(&own));
        let settings = settings(places, free_port()?, &folder.path().join("log"), secured.as_ref());
        fs::write(&properties, settings).map_err(|error| format!("cannot write its settings: {error}"))?;
        let mut format = java(&libraries, "kafka.tools.StorageTool");
        format
            .args(["format", "-t", "bmV0c2FnZS10ZXN0LTEyMw", "-c"])
            .arg(&properties);
        if secured.is_some() {
            format.args(Secured::users());
        }
        run(&mut format)?;
        let child = spawn(&libraries, folder.path())?;
        let mut server = Self {
            libraries,
            port,
            secured,
            folder,
            child,
        };
        wait_for_port("Kafka", port, &mut server.child)?;
        Ok(server)
    }

    /// Where clients find it.
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Writes commands of Kafka's folder `bin` into a folder, as its releases have them.
    ///
    /// # Errors
    /// When a file cannot be written.
    pub fn write_commands(&self, folder: &Path) -> io::Result<()> {
        for (name, class) in COMMANDS {
            let path = folder.join(name);
            let libraries = self.libraries.join("*");
            let class = format!("org.apache.kafka.tools.{class}");
            let text = format!(
                "#!/bin/sh\nexec java -cp '{}' {class} \"$@\"\n",
                libraries.display()
            );
            fs::write(&path, text)?;
            fs::set_permissions(path, fs::Permissions::from_mode(0o755))?;
        }
        Ok(())
    }

    /// Where clients find it with TLS, of a server that was started so.
    pub fn secured(&self) -> &Secured {
        self.secured.as_ref().unwrap()
    }

    /// Damages what a batch of messages holds, counted from the first of its partition, as the broker keeps and gives them: no
    /// client can unpack it, if it is compressed.
    pub fn damage(&self, topic: &str, partition: i32, batch: usize) {
        // Offset, length, and the header of a batch behind them (KIP-98).
        const HEADER: usize = 61;
        let log = self
            .folder
            .path()
            .join("log")
            .join(format!("{topic}-{partition}"));
        let mut file = fs::OpenOptions::new()
            .read(true)
            .write(true)
            .open(log.join("00000000000000000000.log"))
            .unwrap();
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).unwrap();
        let length = |begin: usize| {
            let length = bytes[begin + 8..begin + 12].try_into().unwrap();
            12 + usize::try_from(u32::from_be_bytes(length)).unwrap()
        };
        let begin = (0..batch).fold(0, |begin, _| begin + length(begin));
        let payload = length(begin) - HEADER;
        file.seek(SeekFrom::Start((begin + HEADER) as u64)).unwrap();
        file.write_all(&vec![0xff; payload]).unwrap();
    }

    /// Ends it without a warning.
    pub fn kill(&mut self) {
        if let Some(mut pipe) = self.child.stdin.take() {
            // One that has ended already is as dead.
            let _ = pipe.write_all(b"keep\n");
        }
        let _ = self.child.wait();
    }

    /// Starts it on the same port, on what it had.
    ///
    /// # Errors
    /// Why it does not start.
    pub fn start_again(&mut self) -> Result<(), String> {
        self.child = spawn(&self.libraries, self.folder.path())?;
        wait_for_port("Kafka", self.port, &mut self.child)
    }
}

impl Drop for KafkaServer {
    fn drop(&mut self) {
        self.kill();
    }
}

/// One node in KRaft mode. Groups do not wait for more members, and may notice soon that one is dead, so that tests need
/// not wait.
fn settings((own, told): (&str, &str), controller: u16, log: &Path, secured: Option<&Secured>) -> String {
    let (listeners, more) = secured.map(Secured::settings).unwrap_or_default();
    format!(
        "process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:{controller}
listeners=PLAINTEXT://{own},CONTROLLER://127.0.0.1:{controller}{listeners}
advertised.listeners=PLAINTEXT://{told}{listeners}
controller.listener.names=CONTROLLER
log.dirs={}
offsets.topic.num.partitions=4
offsets.topic.replication.factor=1
transaction.state.log.num.partitions=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
group.initial.rebalance.delay.ms=0
group.min.session.timeout.ms=1000
{more}",
        log.display()
    )
}

fn java(libraries: &Path, class: &str) -> Command {
    let mut command = Command::new("java");
    command
        .args(["-Xmx512m", "-cp"])
        .arg(libraries.join("*"))
        .arg(class);
    command
}

/// Starts the broker under a watcher, which kills it when its standard input ends: with [`KafkaServer::kill`], which has the
/// folder kept, or with this process, however that ends.
fn spawn(libraries: &Path, folder: &Path) -> Result<Child, String> {
    let watcher = r#""$@" </dev/null & server=$!
        word=; read -r word; kill -9 "$server" 2>/dev/null; wait "$server" 2>/dev/null
        [ "$word" = keep ] || rm -rf "$0""#;
    let java = java(libraries, "kafka.Kafka");
    Command::new("sh")
        .args(["-c", watcher])
        .arg(folder)
        .arg(java.get_program())
        .args(java.get_args())
        .arg(folder.join("server.properties"))
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .map_err(|error| format!("cannot start the broker: {error}"))
}

/// The libraries of the broker and of its commands, fetched by Maven for all runs to come when they are not there.
fn installed_libraries() -> Result<PathBuf, String> {
    let name = format!("kafka-tools-{VERSION}");
    let (tools, _lock) = tools(&name)?;
    let libraries = tools.join(&name);
    if libraries.exists() {
        return Ok(libraries);
    }
    let project = TempDir::new_in(&tools).map_err(|error| format!("no temporary folder: {error}"))?;
    let pom = format!(
        "<project>
  <modelVersion>4.0.0</modelVersion>
  <groupId>netsage</groupId><artifactId>test-kafka</artifactId><version>1</version><packaging>pom</packaging>
  <dependencies>
    <dependency><groupId>org.apache.kafka</groupId><artifactId>kafka_2.13</artifactId><version>{VERSION}</version></dependency>
    <dependency>
      <groupId>org.apache.kafka</groupId><artifactId>kafka-tools</artifactId><version>{VERSION}</version>
      <exclusions><exclusion><groupId>*</groupId><artifactId>*</artifactId></exclusion></exclusions>
    </dependency>
  </dependencies>
</project>
"
    );
    fs::write(project.path().join("pom.xml"), pom)
        .map_err(|error| format!("cannot write a project for Maven: {error}"))?;
    run(Command::new("mvn")
        .args([
            "-q",
            "-B",
            "dependency:copy-dependencies",
            "-DoutputDirectory=libraries",
        ])
        .current_dir(project.path()))?;
    // Whole or not at all.
    fs::rename(project.path().join("libraries"), &libraries)
        .map_err(|error| format!("Maven brought no libraries: {error}"))?;
    Ok(libraries)
}
