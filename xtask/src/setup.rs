//! What the machine needs before anything is built: checked at once, installed where that is possible.
//!
//! Each need is checked by its use (a header compiles, a program answers) instead of by the name of a package, so that
//! other distributions and hand-made installations pass as well.

use std::env;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail};

use crate::command::{first_line, quietly};
use crate::workspace::Workspace;

/// Something that the machine must have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Need {
    WasmTarget,
    Rustfmt,
    Clippy,
    CCompiler,
    CxxCompiler,
    Libpcap,
    OpenSsl,
    Chromium,
    Node,
    Npm,
    PythonVenv,
    ArgusServer,
    ArgusClient,
    Softflowd,
    Nfdump,
    Iproute,
    Maven,
    Nginx,
    Curl,
    Jq,
    Prometheus,
    Alertmanager,
    DockerCompose,
}

/// Where a need comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Origin {
    /// Arguments of rustup.
    Rustup([&'static str; 3]),
    /// A package of Debian.
    Debian(&'static str),
}

impl Need {
    fn what(self) -> &'static str {
        match self {
            Self::WasmTarget => "the Rust target wasm32-unknown-unknown",
            Self::Rustfmt => "rustfmt",
            Self::Clippy => "clippy",
            Self::CCompiler => "a C compiler",
            Self::CxxCompiler => "a C++ compiler",
            Self::Libpcap => "the headers of libpcap",
            Self::OpenSsl => "the headers of OpenSSL",
            Self::Chromium => "Chromium",
            Self::Node => "Node 18 or later",
            Self::Npm => "npm",
            Self::PythonVenv => "Python 3 with venv",
            Self::ArgusServer => "the flow meter argus",
            Self::ArgusClient => "its client ra",
            Self::Softflowd => "the exporter softflowd",
            Self::Nfdump => "nfdump, whose nfreplay is an exporter",
            Self::Iproute => "the program ip of iproute2",
            Self::Maven => "Maven with Java, which fetches Kafka and runs it",
            Self::Nginx => "nginx, the TLS end before a central",
            Self::Curl => "curl",
            Self::Jq => "jq",
            Self::Prometheus => "Prometheus with promtool",
            Self::Alertmanager => "Alertmanager with amtool",
            Self::DockerCompose => "docker-compose, which checks a composed stack without running it",
        }
    }

    fn origin(self) -> Origin {
        match self {
            Self::WasmTarget => Origin::Rustup(["target", "add", "wasm32-unknown-unknown"]),
            Self::Rustfmt => Origin::Rustup(["component", "add", "rustfmt"]),
            Self::Clippy => Origin::Rustup(["component", "add", "clippy"]),
            Self::CCompiler | Self::CxxCompiler => Origin::Debian("build-essential"),
            Self::Libpcap => Origin::Debian("libpcap-dev"),
            Self::OpenSsl => Origin::Debian("libssl-dev"),
            Self::Chromium => Origin::Debian("chromium"),
            Self::Node => Origin::Debian("nodejs"),
            Self::Npm => Origin::Debian("npm"),
            Self::PythonVenv => Origin::Debian("python3-venv"),
            Self::ArgusServer => Origin::Debian("argus-server"),
            Self::ArgusClient => Origin::Debian("argus-client"),
            Self::Softflowd => Origin::Debian("softflowd"),
            Self::Nfdump => Origin::Debian("nfdump"),
            Self::Iproute => Origin::Debian("iproute2"),
            Self::Maven => Origin::Debian("maven"),
            Self::Nginx => Origin::Debian("nginx-light"),
            Self::Curl => Origin::Debian("curl"),
            Self::Jq => Origin::Debian("jq"),
            Self::Prometheus => Origin::Debian("prometheus"),
            Self::Alertmanager => Origin::Debian("prometheus-alertmanager"),
            Self::DockerCompose => Origin::Debian("docker-compose"),
        }
    }

    fn is_met(self) -> bool {
        match self {
            Self::WasmTarget => first_line("rustc", &["--print", "sysroot"]).is_some_and(|sysroot| {
                Path::new(&sysroot)
                    .join("lib/rustlib/wasm32-unknown-unknown/lib")
                    .is_dir()
            }),
            Self::Rustfmt => first_line("rustfmt", &["--version"]).is_some(),
            Self::Clippy => first_line("cargo-clippy", &["--version"]).is_some(),
            Self::CCompiler => compiles("c", "#include <stdlib.h>\n", &[]),
            Self::CxxCompiler => compiles("c++", "#include <vector>\n", &["-lstdc++"]),
            Self::Libpcap => compiles("c", "#include <pcap/pcap.h>\n", &["-lpcap"]),
            Self::OpenSsl => compiles("c", "#include <openssl/ssl.h>\n", &["-lssl", "-lcrypto"]),
            Self::Chromium => chromium().is_some(),
            Self::Node => {
                first_line("node", &["--version"]).is_some_and(|version| node_major(&version) >= 18)
            }
            Self::Npm => first_line("npm", &["--version"]).is_some(),
            Self::PythonVenv => first_line("python3", &["-c", "import venv, ensurepip"]).is_some(),
            Self::ArgusServer => starts("argus") || starts("/usr/sbin/argus"),
            Self::ArgusClient => starts("ra"),
            Self::Softflowd => starts("softflowd") || starts("/usr/sbin/softflowd"),
            Self::Nfdump => starts("nfreplay") && starts("nfpcapd"),
            Self::Iproute => first_line("ip", &["-V"]).is_some(),
            Self::Maven => first_line("mvn", &["--version"]).is_some(),
            Self::Nginx => starts("nginx") || starts("/usr/sbin/nginx"),
            Self::Curl => first_line("curl", &["--version"]).is_some(),
            Self::Jq => first_line("jq", &["--version"]).is_some(),
            Self::Prometheus => starts("prometheus") && starts("promtool"),
            Self::Alertmanager => starts("prometheus-alertmanager") && starts("amtool"),
            Self::DockerCompose => starts("docker-compose"),
        }
    }
}

const TO_BUILD: [Need; 4] = [Need::WasmTarget, Need::CCompiler, Need::Libpcap, Need::OpenSsl];
const TO_CHECK: [Need; 2] = [Need::Rustfmt, Need::Clippy];
const TO_TEST: [Need; 11] = [
    Need::PythonVenv,
    Need::Iproute,
    Need::Softflowd,
    Need::Nfdump,
    Need::Maven,
    Need::Nginx,
    Need::Curl,
    Need::Jq,
    Need::Prometheus,
    Need::Alertmanager,
    Need::DockerCompose,
];
/// The program whose rows the meter's are compared with.
const FOR_PARITY: [Need; 2] = [Need::ArgusServer, Need::ArgusClient];
const TO_FUZZ: [Need; 1] = [Need::CxxCompiler];
const FOR_BROWSER: [Need; 3] = [Need::Chromium, Need::Node, Need::Npm];

/// What a command is about to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// Build and run.
    Build,
    /// Also format, lint and run the tests that need nothing else.
    Check,
    /// Also run the tests.
    Test {
        /// Whether with a browser.
        browser: bool,
    },
    /// Also drive a browser.
    Screenshots,
    /// Compare with Argus.
    Parity,
    /// Build and run the fuzz targets alone.
    Fuzz,
}

fn needs(purpose: Purpose) -> Vec<Need> {
    if purpose == Purpose::Fuzz {
        return TO_FUZZ.to_vec();
    }
    let mut needs = TO_BUILD.to_vec();
    if matches!(purpose, Purpose::Check | Purpose::Test { .. }) {
        needs.extend(TO_CHECK);
    }
    if matches!(purpose, Purpose::Test { .. }) {
        needs.extend(TO_TEST);
        needs.extend(TO_FUZZ);
    }
    if matches!(purpose, Purpose::Test { .. } | Purpose::Parity) {
        needs.extend(FOR_PARITY);
    }
    if matches!(purpose, Purpose::Test { browser: true } | Purpose::Screenshots) {
        needs.extend(FOR_BROWSER);
    }
    needs
}

/// Checks what a command needs, and installs what is missing where that is possible.
///
/// Fails at once, with one sentence that names package and command, when something has to be installed by hand.
pub(crate) fn ensure(workspace: &Workspace, purpose: Purpose, on_line: &mut dyn FnMut(&str)) -> Result<()> {
    let missing: Vec<Need> = needs(purpose).into_iter().filter(|need| !need.is_met()).collect();
    let (mut packages, mut package_names) = (Vec::new(), Vec::new());
    for need in &missing {
        match need.origin() {
            Origin::Debian(package) => {
                packages.push(*need);
                package_names.push(package);
            }
            Origin::Rustup(_) => {}
        }
    }
    // The packages first: when they cannot be installed, nothing else should be either.
    if !packages.is_empty() {
        let debian =
            Path::new("/etc/debian_version").exists() && first_line("apt-get", &["--version"]).is_some();
        let root = first_line("id", &["-u"]).as_deref() == Some("0");
        if !(debian && root) {
            bail!("{}", how_to_install(&packages, &package_names, debian));
        }
        install_packages(workspace, &package_names, on_line)?;
    }
    for need in &missing {
        if let Origin::Rustup(arguments) = need.origin() {
            install_by_rustup(workspace, *need, arguments, on_line)?;
        }
    }
    for need in missing {
        if !need.is_met() {
            bail!(
                "{} is still not usable after its installation; see that `{}` works",
                need.what(),
                by_hand(need)
            );
        }
    }
    Ok(())
}

fn how_to_install(needs: &[Need], packages: &[&str], debian: bool) -> String {
    let what = needs
        .iter()
        .map(|need| need.what())
        .collect::<Vec<_>>()
        .join(", ");
    let packages = packages.join(" ");
    if debian {
        format!("this machine lacks {what}: run `sudo apt-get install -y {packages}` and start again")
    } else {
        format!(
            "this machine lacks {what}: install it with the package manager of your system \
             (on Debian `sudo apt-get install -y {packages}`) and start again"
        )
    }
}

fn by_hand(need: Need) -> String {
    match need.origin() {
        Origin::Debian(package) => format!("apt-get install -y {package}"),
        Origin::Rustup(arguments) => format!("rustup {}", arguments.join(" ")),
    }
}

fn install_packages(workspace: &Workspace, packages: &[&str], on_line: &mut dyn FnMut(&str)) -> Result<()> {
    eprintln!("installing {} with apt-get", packages.join(", "));
    for arguments in [vec!["update"], vec!["install", "-y", "--no-install-recommends"]] {
        let mut command = workspace.command("apt-get");
        command.env("DEBIAN_FRONTEND", "noninteractive").args(&arguments);
        if arguments.len() > 1 {
            command.args(packages);
        }
        quietly(command, &mut *on_line).with_context(|| {
            format!(
                "cannot install {}; install it by hand and start again",
                packages.join(", ")
            )
        })?;
    }
    Ok(())
}

fn install_by_rustup(
    workspace: &Workspace,
    need: Need,
    arguments: [&str; 3],
    on_line: &mut dyn FnMut(&str),
) -> Result<()> {
    if first_line("rustup", &["--version"]).is_none() {
        bail!(
            "this Rust installation lacks {} and has no rustup to add it: install rustup from https://rustup.rs \
             and run `{}`",
            need.what(),
            by_hand(need)
        );
    }
    eprintln!("installing {} with rustup", need.what());
    let mut command = workspace.command("rustup");
    command.args(arguments);
    quietly(command, on_line)
        .with_context(|| format!("cannot install {}; try `{}`", need.what(), by_hand(need)))
}

/// The browser to use: `CHROMIUM` when set, otherwise the first of the usual names that is found.
pub(crate) fn chromium() -> Option<PathBuf> {
    if let Some(path) = env::var_os("CHROMIUM").filter(|path| !path.is_empty()) {
        return Some(PathBuf::from(path));
    }
    let folders: Vec<PathBuf> = env::split_paths(&env::var_os("PATH")?).collect();
    [
        "chromium",
        "chromium-browser",
        "google-chrome",
        "google-chrome-stable",
    ]
    .into_iter()
    .flat_map(|name| folders.iter().map(move |folder| folder.join(name)))
    .find(|path| path.is_file())
}

fn node_major(version: &str) -> u32 {
    let digits: String = version
        .trim_start_matches('v')
        .chars()
        .take_while(char::is_ascii_digit)
        .collect();
    digits.parse().unwrap_or(0)
}

/// Whether a program can be started; one that only prints how it is used may well end with a failure.
fn starts(program: &str) -> bool {
    Command::new(program)
        .arg("-h")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok()
}

fn compiles(language: &str, include: &str, libraries: &[&str]) -> bool {
    let mut command = Command::new("cc");
    command
        .args(["-x", language, "-o", "/dev/null", "-"])
        .args(libraries);
    let child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    let Ok(mut child) = child else { return false };
    if let Some(mut stdin) = child.stdin.take() {
        // A compiler that does not read its input fails, and that is what is reported.
        let _ = writeln!(stdin, "{include}int main(void) {{ return 0; }}");
    }
    child.wait().is_ok_and(|status| status.success())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_of_node_is_read() {
        let check = |version: &str, expected: u32| assert_eq!(node_major(version), expected, "{version}");
        check("v18.19.0", 18);
        check("22.1.0", 22);
        check("", 0);
        check("v", 0);
    }

    #[test]
    fn what_is_missing_is_named_in_one_sentence_with_the_command() {
        let text = how_to_install(
            &[Need::Libpcap, Need::CCompiler],
            &["libpcap-dev", "build-essential"],
            true,
        );
        assert_eq!(
            text,
            "this machine lacks the headers of libpcap, a C compiler: run \
             `sudo apt-get install -y libpcap-dev build-essential` and start again"
        );
    }

    #[test]
    fn only_browser_work_asks_for_a_browser() {
        assert!(!needs(Purpose::Build).contains(&Need::Chromium));
        assert!(!needs(Purpose::Test { browser: false }).contains(&Need::Chromium));
        assert!(needs(Purpose::Test { browser: true }).contains(&Need::Chromium));
        assert!(!needs(Purpose::Screenshots).contains(&Need::Clippy));
        assert!(needs(Purpose::Test { browser: false }).contains(&Need::ArgusServer));
    }
}
