//! Writes netsage.example.toml, .env.example and docs/settings.md from the declaration of the settings, and holds the
//! files to it. `NETSAGE_BLESS=1 cargo test -p netsage-gateway example` writes them anew.

use std::path::{Path, PathBuf};

use super::{Form, Resolved, Setting, Settings};

/// Columns of a comment.
const WIDTH: usize = 110;

const FILE_HEAD: &str = "\
# Settings of `netsage run`. Copy to netsage.toml in the working folder, or name it with --config.
# A flag wins over an environment variable (.env.example), a variable over this file.
# Every flag --some-name has the key some-name. The values here are the defaults, or examples where a
# setting has none (those are commented out).
";

const ENVIRONMENT_HEAD: &str = "\
# Settings of `netsage run` as environment variables. A flag wins over a variable, a variable over the
# settings file (netsage.example.toml). Every flag --some-name has the variable NETSAGE_SOME_NAME.
# The values here are the defaults, or examples where a setting has none (those are commented out).

# Settings file. Without it ./netsage.toml is read if it is there.
#NETSAGE_CONFIG=/etc/netsage.toml
# What to log to standard error: error, warn, info, debug, or per part, e.g. netsage_gateway=debug.
NETSAGE_LOG=warn
# Address of the running program, for the steps of `netsage detector`.
NETSAGE_URL=http://127.0.0.1:8080
";

const REFERENCE_HEAD: &str = "\
# Settings

Every setting has one name: the flag `--flow-memory` of `netsage run`, the variable `NETSAGE_FLOW_MEMORY`, the key
`flow-memory` of the settings file. A flag wins over a variable, a variable over the file, the file over the default; the
source (`pcap`, `records`, `interface`, `kafka` or `netflow`) is one choice, so that a flag for one silences a variable or a key for
another. The file is `netsage.toml` in the working folder, or the one that `--config` or `NETSAGE_CONFIG` names
([an example of it](../netsage.example.toml), [of variables](../.env.example)).

Sizes are a whole number and a unit (B, kB, MB, GB, KiB, MiB, GiB), times too (ms, s, min, h, d). Lists are arrays in the
file and separated by commas in a variable; their flags may be repeated.
";

/// A value as the settings file has it.
fn in_toml(form: Form, value: &str) -> String {
    match form {
        Form::Number | Form::Switch => value.to_owned(),
        Form::Text => format!("\"{value}\""),
        Form::List => {
            let entries: Vec<String> = value.split(',').map(|entry| format!("\"{entry}\"")).collect();
            format!("[{}]", entries.join(", "))
        }
    }
}

/// A comment over a setting, in lines that begin with `# `.
fn comment(setting: &Setting) -> String {
    let mut sentences = vec![setting.summary() + "."];
    sentences.extend(setting.details());
    if let Some(otherwise) = setting.otherwise {
        sentences.push(format!("Default: {otherwise}."));
    }
    let (mut lines, mut line) = (String::new(), String::from("#"));
    for word in sentences.join(" ").split(' ') {
        if line.len() + 1 + word.len() > WIDTH {
            lines += &format!("{line}\n");
            line = String::from("#");
        }
        line += &format!(" {word}");
    }
    lines + &line + "\n"
}

/// All settings under their comments; `assignment` writes a value.
fn listing(head: &str, assignment: impl Fn(&Setting, &str) -> String) -> String {
    let mut text = head.to_owned();
    let mut theme = "";
    for setting in Settings::ALL {
        if setting.theme != theme {
            theme = setting.theme;
            text += &format!("\n# ---- {theme} ----\n");
        }
        let (off, value) = match (setting.default, setting.example) {
            (Some(default), _) => ("", default),
            (None, Some(example)) => ("#", example),
            (None, None) => panic!("{} has neither a default nor an example", setting.name),
        };
        text += &format!("\n{}{off}{}\n", comment(setting), assignment(setting, value));
    }
    text
}

fn example_file() -> String {
    listing(FILE_HEAD, |setting, value| {
        format!("{} = {}", setting.name, in_toml(setting.form, value))
    })
}

fn example_environment() -> String {
    listing(ENVIRONMENT_HEAD, |setting, value| {
        format!("{}={value}", setting.variable)
    })
}

fn reference() -> String {
    let mut text = REFERENCE_HEAD.to_owned();
    let mut theme = "";
    for setting in Settings::ALL {
        if setting.theme != theme {
            theme = setting.theme;
            text +=
                &format!("\n## {theme}\n\n| setting | what it is | default | values |\n|---|---|---|---|\n");
        }
        let what = [vec![setting.summary() + "."], setting.details()]
            .concat()
            .join(" ");
        let default = match (setting.default, setting.otherwise) {
            (Some(default), _) => format!("`{default}`"),
            (None, words) => words.unwrap_or("none").to_owned(),
        };
        text += &format!(
            "| `{}` | {} | {} | {} |\n",
            setting.name,
            what.replace('|', "\\|"),
            default,
            values(setting)
        );
    }
    text
}

/// Which values a setting takes, in words.
fn values(setting: &Setting) -> String {
    let parser = (setting.parser)();
    let names: Option<Vec<String>> = parser
        .possible_values()
        .map(|values| values.map(|value| format!("`{}`", value.get_name())).collect());
    match names {
        Some(names) => names.join(", "),
        None => {
            let range = (setting.allowed)().map(|range| format!(", {range}"));
            setting.value_name.replace('|', "\\|") + &range.unwrap_or_default()
        }
    }
}

/// The top folder of the repository.
fn top() -> PathBuf {
    let folders = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors();
    let mut tops = folders.filter(|folder| folder.join("Cargo.lock").is_file());
    tops.next().unwrap().to_path_buf()
}

#[test]
fn the_example_files_are_those_of_the_declaration() {
    for (name, current) in [
        ("netsage.example.toml", example_file()),
        (".env.example", example_environment()),
        ("docs/settings.md", reference()),
    ] {
        let path = top().join(name);
        if std::env::var_os("NETSAGE_BLESS").is_some() {
            std::fs::write(&path, &current).unwrap();
        }
        let kept = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(
            kept == current,
            "{name} is not current: run with NETSAGE_BLESS=1 and look at the difference"
        );
    }
}

#[test]
fn the_example_file_says_what_holds_without_it() {
    let example = Settings::from_toml(Path::new("netsage.example.toml"), &example_file()).unwrap();
    let resolved = |settings| format!("{:?}", Resolved::new(settings).unwrap());
    assert_eq!(resolved(example), resolved(Settings::default()));
}

/// A value of each setting as a flag gives it: its default, otherwise its example.
fn declared() -> impl Iterator<Item = (&'static Setting, &'static str)> {
    Settings::ALL
        .iter()
        .map(|setting| (setting, setting.default.or(setting.example).unwrap()))
}

/// What flags of `netsage run` give.
fn by_flags(flags: &[String]) -> Settings {
    use clap::{Args as _, FromArgMatches as _};
    let command = Settings::augment_args(clap::Command::new("run"));
    let matches = command.try_get_matches_from([&["run".to_owned()], flags].concat());
    Settings::from_arg_matches(&matches.unwrap_or_else(|error| panic!("{error}"))).unwrap()
}

fn by_file(setting: &Setting, value: &str) -> Settings {
    let text = format!("{} = {}", setting.name, in_toml(setting.form, value));
    Settings::from_toml(Path::new("netsage.toml"), &text).unwrap_or_else(|error| panic!("{text}: {error}"))
}

#[test]
fn a_setting_is_the_same_by_flag_and_by_file() {
    for (setting, value) in declared() {
        let by_flag = by_flags(&[format!("--{}={value}", setting.name)]);
        assert_ne!(by_flag, Settings::default(), "{}", setting.name);
        assert_eq!(by_flag, by_file(setting, value), "{}", setting.name);
    }
}

const CHILD: &str = "prints_what_the_variables_give";

/// Variables are those of a process, so that another one reads them.
#[test]
fn a_setting_is_the_same_by_flag_and_by_variable() {
    for (setting, value) in declared() {
        let output = std::process::Command::new(std::env::current_exe().unwrap())
            .args([CHILD, "--ignored", "--nocapture"])
            .env(setting.variable, value)
            .output()
            .unwrap();
        let by_flag = by_flags(&[format!("--{}={value}", setting.name)]);
        let printed = String::from_utf8(output.stdout).unwrap();
        assert!(
            printed.contains(&format!("{by_flag:?}\n")),
            "{}: {printed}",
            setting.variable
        );
    }
}

#[test]
#[ignore = "is called by another test"]
fn prints_what_the_variables_give() {
    println!("\n{:?}", by_flags(&[]));
}

/// A setting that is declared and carried nowhere would be accepted and do nothing.
#[test]
fn every_setting_reaches_the_program() {
    let settings = |text: &str| Settings::from_toml(Path::new("netsage.toml"), text).unwrap();
    let resolved = |text: &str| Resolved::new(settings(&format!("{text}\ndata-dir = \"/data\""))).ok();
    let usual = format!("{:?}", resolved("").unwrap());
    for setting in Settings::ALL {
        let (before, values): (&str, &[&str]) = match setting.name {
            // The data folder is in the text of all.
            "data-dir" => continue,
            // Without live capture a program refuses interfaces.
            "interface" | "bpf" | "no-promiscuous" if cfg!(not(feature = "live")) => continue,
            "kafka" | "topic" | "group" | "kafka-reread" | "kafka-setting" | "dead-letter-topic"
                if cfg!(not(feature = "kafka")) =>
            {
                continue;
            }
            "kafka" => ("topic = \"flows\"\n", &[]),
            "topic" => ("kafka = \"broker:9092\"\n", &[]),
            "group" | "kafka-setting" | "dead-letter-topic" => {
                ("kafka = \"broker:9092\"\ntopic = \"flows\"\n", &["another"])
            }
            "kafka-reread" => ("kafka = \"broker:9092\"\ntopic = \"flows\"\n", &["1h"]),
            // What is in the file is read: `config/kafka.rs` has the test of that.
            "kafka-settings-file" => continue,
            "netflow-from" => ("netflow = \"0.0.0.0:2055\"\n", &["2001:db8::/32"]),
            "netflow-pairing" => ("netflow = \"0.0.0.0:2055\"\n", &["0s"]),
            "netflow-out-reverse" => ("netflow = \"0.0.0.0:2055\"\n", &["true"]),
            // These files are read: `config/forward.rs` has the test of that.
            "forward-token-file"
            | "forward-ca"
            | "forward-certificate"
            | "forward-key"
            | "forward-settings-file" => {
                continue;
            }
            "forward-setting" if cfg!(not(feature = "kafka")) => continue,
            "forward-setting" => ("forward = \"kafka://broker:9092/flows\"\n", &["another=1"]),
            "forward-spool" | "no-score" => ("forward = \"https://central/\"\n", &["true", "3MiB"]),
            // What is in the file is read: `config/server.rs` has the tests of that.
            "token-file" | "store-url-file" => continue,
            "bpf" | "no-promiscuous" => ("interface = [\"eth0\"]\n", &["not port 22", "true"]),
            "trust" => (
                "trusted-key = [\"RWQf6LRCGA9i53mlYecO4IzT51TGPpvWucNSCh1CBM0QTaLn73Y7GFO3\"]\n",
                &["signed"],
            ),
            "trusted-key" => ("trust = \"signed\"\n", &[]),
            "pinned-digest" => ("trust = \"pinned\"\n", &[]),
            "token" => ("", &["correct-horse"]),
            "schema" => ("", &["flow-v1"]),
            "rollout" => ("", &["active"]),
            "input-zone" => ("", &["+02:00"]),
            "listen" => ("", &["127.0.0.1:9"]),
            "on-failure" => ("", &["open"]),
            // Only a replay with an end gives its store up.
            "store-timeout" => ("pcap = \"capture.pcap\"\nexit-when-done = true\n", &["3h"]),
            "store-queue" => ("", &["5000"]),
            "store-size" => ("", &["1GiB"]),
            "store-flows" => ("", &["1/100"]),
            _ => ("", &["true", "0.5", "7", "700", "3h", "2min", "3MiB"]),
        };
        let before_only = resolved(before).map_or_else(|| usual.clone(), |resolved| format!("{resolved:?}"));
        let changes = setting.example.iter().chain(values).any(|value| {
            let text = format!("{before}{} = {}", setting.name, in_toml(setting.form, value));
            toml::from_str::<Settings>(&text).is_ok()
                && resolved(&text).is_some_and(|resolved| format!("{resolved:?}") != before_only)
        });
        assert!(changes, "no value of `{}` changes anything", setting.name);
    }
}
