//! Apache Kafka, as one process that is broker and controller.

mod topics;

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

pub use topics::fresh;

use crate::server::{free_port, run, tools, wait_for_port};

const VERSION: &str = "4.1.1";

/// A broker of a test's own, which can be killed and started again on what it has kept.
pub struct KafkaServer {
    libraries: PathBuf,
    port: u16,
    folder: TempDir,
    child: Child,
}

impl KafkaServer {
    /// Starts one.
    ///
    /// # Errors
    /// Why there is none.
    pub fn start() -> Result<Self, String> {
        let libraries = installed_libraries()?;
        let folder = TempDir::new().map_err(|error| format!("no temporary folder: {error}"))?;
        let port = free_port()?;
        let properties = folder.path().join("server.properties");
        let settings = settings(port, free_port()?, &folder.path().join("log"));
        fs::write(&properties, settings).map_err(|error| format!("cannot write its settings: {error}"))?;
        run(java(&libraries, "kafka.tools.StorageTool")
            .args(["format", "-t", "bmV0c2FnZS10ZXN0LTEyMw", "-c"])
            .arg(&properties))?;
        let child = spawn(&libraries, folder.path())?;
        let mut server = Self {
            libraries,
            port,
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
fn settings(port: u16, controller: u16, log: &Path) -> String {
    format!(
        "process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:{controller}
listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}
advertised.listeners=PLAINTEXT://127.0.0.1:{port}
controller.listener.names=CONTROLLER
log.dirs={}
offsets.topic.num.partitions=4
offsets.topic.replication.factor=1
transaction.state.log.num.partitions=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
group.initial.rebalance.delay.ms=0
group.min.session.timeout.ms=1000
",
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

/// The broker's libraries, fetched by Maven for all runs to come when they are not there.
fn installed_libraries() -> Result<PathBuf, String> {
    let name = format!("kafka-{VERSION}");
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
