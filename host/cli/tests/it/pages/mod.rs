//! Pages of docs/ that a reader follows: their commands in their order, as a reader copies them, and what they print.
//!
//! A comment before a block says where the test does something else than a reader: [`Deed`] has all of them.

mod kafka_to_mongodb;
mod webhook_and_graph;

use std::fs::{self, File};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;

use super::support::{Home, PATIENCE};

/// Between two runs of a block that a reader repeats.
const PAUSE: Duration = Duration::from_millis(200);

/// What the test does with a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Deed {
    /// Runs it to its end.
    Run,
    /// Runs it again until it prints what the page shows.
    Repeat,
    /// Starts it, and goes on once it has printed what the page shows.
    Start,
    /// Gives its variables other values.
    Set,
    /// Has something of its own in place of it: each line begins with one of these.
    Replace(&'static [&'static str]),
}

impl Deed {
    fn of(comment: &str) -> Self {
        match comment {
            "runs this until the output is as below" => Self::Repeat,
            "leaves this running" => Self::Start,
            "sets other values" => Self::Set,
            "has the program" => Self::Replace(&["sudo install "]),
            "has these programs" => Self::Replace(&["sudo apt-get ", "sudo systemctl "]),
            "has servers of its own" => Self::Replace(&["docker run ", "docker rm "]),
            other => panic!("nobody knows what this means: test: {other}"),
        }
    }
}

/// A step of the page.
#[derive(Debug)]
enum Step {
    /// A block of commands, and what the page shows of its output.
    Block {
        deed: Deed,
        commands: String,
        shown: String,
    },
    /// Ctrl-C in each terminal where something runs.
    Interrupt,
}

/// Everything of a page that a reader does.
fn steps(page: &str) -> Vec<Step> {
    let mut steps = Vec::new();
    let mut deed = Deed::Run;
    let mut lines = page.lines();
    while let Some(line) = lines.next() {
        let mut block = || -> String {
            let lines = lines.by_ref().take_while(|line| *line != "```");
            lines.map(|line| format!("{line}\n")).collect()
        };
        match line {
            "```bash" => steps.push(Step::Block {
                deed: std::mem::replace(&mut deed, Deed::Run),
                commands: block(),
                shown: String::new(),
            }),
            "```text" => match steps.last_mut() {
                Some(Step::Block { shown, .. }) if shown.is_empty() => *shown = block(),
                last => panic!("an output of no command, after {last:?}"),
            },
            "<!-- test: presses Ctrl-C -->" => steps.push(Step::Interrupt),
            _ => {
                assert!(
                    !line.starts_with("```") && !line.starts_with("    "),
                    "not run: {line}"
                );
                if let Some(comment) = line.strip_prefix("<!-- test: ") {
                    assert_eq!(deed, Deed::Run, "no block for the comment before: {line}");
                    deed = Deed::of(comment.trim_end_matches(" -->"));
                }
            }
        }
    }
    steps
}

/// Whether the lines that the page shows were printed, in their order; `...` stands for anything.
fn is_shown(printed: &str, shown: &str) -> bool {
    let mut printed = printed.lines();
    let fits = |line: &str, shown: &str| {
        let mut rest = line;
        (shown.split("...")).all(|part| match rest.split_once(part) {
            Some((_, behind)) => {
                rest = behind;
                true
            }
            None => false,
        })
    };
    shown.lines().all(|shown| printed.any(|line| fits(line, shown)))
}

/// A shell, and where all that it says goes.
struct Shell {
    child: Child,
    output: PathBuf,
    commands: String,
}

impl Shell {
    fn printed(&self) -> String {
        fs::read_to_string(&self.output).unwrap()
    }

    /// Waits for `done`, which gets the status if the shell has ended.
    fn wait<T>(&mut self, mut done: impl FnMut(&Self, Option<ExitStatus>) -> Option<T>) -> T {
        let start = Instant::now();
        loop {
            let status = self.child.try_wait().unwrap();
            if let Some(found) = done(self, status) {
                return found;
            }
            let (commands, printed) = (&self.commands, self.printed());
            assert!(start.elapsed() < PATIENCE, "no end:\n{commands}\n{printed}");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    fn signal(&self, signal: Signal) {
        // The shell and what it has started; one that has ended gets none.
        let _ = killpg(Pid::from_raw(i32::try_from(self.child.id()).unwrap()), signal);
    }
}

impl Drop for Shell {
    fn drop(&mut self) {
        self.signal(Signal::SIGKILL);
        let _ = self.child.wait();
    }
}

/// Who reads the page and does what it says.
struct Reader {
    home: Home,
    /// Variables of the page: name, value there, value here.
    variables: Vec<(&'static str, String, String)>,
    shells: usize,
    running: Vec<Shell>,
}

impl Reader {
    /// Takes the values that the page gives to its variables, each of which has another value here.
    fn set(&mut self, commands: &str) {
        let set: Vec<(&str, &str)> = (commands.lines())
            .filter_map(|line| line.split_once('='))
            .collect();
        let names: Vec<&str> = set.iter().map(|&(name, _)| name).collect();
        let known: Vec<&str> = self.variables.iter().map(|&(name, ..)| name).collect();
        assert_eq!(names, known, "variables of the page");
        for ((_, there, _), (_, value)) in self.variables.iter_mut().zip(set) {
            *there = value.trim_matches('"').to_owned();
        }
    }

    /// What the page shows, with the values here.
    fn here(&self, shown: &str) -> String {
        (self.variables.iter()).fold(shown.to_owned(), |text, (_, there, here)| {
            text.replace(there, here)
        })
    }

    fn shell(&mut self, commands: &str) -> Shell {
        let variables = self.variables.iter();
        let variables: String = variables
            .map(|(name, _, here)| format!("{name}='{here}'\n"))
            .collect();
        self.shells += 1;
        let output = self.home.path().join(format!("output-{}", self.shells));
        let file = File::create(&output).unwrap();
        let program = Path::new(env!("CARGO_BIN_EXE_netsage")).parent().unwrap();
        let path = std::env::var("PATH").unwrap();
        let mut command = Command::new("bash");
        for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("NETSAGE_")) {
            command.env_remove(name);
        }
        let child = command
            .args(["-euo", "pipefail", "-c", &format!("{variables}{commands}")])
            .current_dir(self.home.path())
            .env("XDG_DATA_HOME", self.home.path())
            .env("PATH", format!("{}:{path}", program.display()))
            .stdin(Stdio::null())
            .stdout(file.try_clone().unwrap())
            .stderr(file)
            .process_group(0)
            .spawn()
            .unwrap();
        Shell {
            child,
            output,
            commands: commands.to_owned(),
        }
    }

    /// Runs commands to their end; gives whether it was a good one, and what they printed.
    fn run(&mut self, commands: &str) -> (bool, String) {
        let mut shell = self.shell(commands);
        let status = shell.wait(|_, status| status);
        (status.success(), shell.printed())
    }

    fn follow(&mut self, deed: Deed, commands: &str, shown: &str) {
        let shown = self.here(shown);
        match deed {
            Deed::Replace(beginnings) => {
                let is_known = |line: &str| beginnings.iter().any(|known| line.starts_with(known));
                assert!(commands.lines().all(is_known), "not replaced:\n{commands}");
            }
            Deed::Set => self.set(commands),
            Deed::Run => {
                let (is_good, printed) = self.run(commands);
                assert!(is_good, "failed:\n{commands}\n{printed}");
                assert!(
                    is_shown(&printed, &shown),
                    "{commands}\n{printed}\nis not\n{shown}"
                );
            }
            Deed::Repeat => {
                let start = Instant::now();
                loop {
                    let (is_good, printed) = self.run(commands);
                    if is_good && is_shown(&printed, &shown) {
                        break;
                    }
                    let is_late = start.elapsed() > PATIENCE;
                    assert!(!is_late, "{commands}\n{printed}\nis not\n{shown}");
                    std::thread::sleep(PAUSE);
                }
            }
            Deed::Start => {
                let mut shell = self.shell(commands);
                shell.wait(|shell, status| {
                    assert_eq!(status, None, "{commands}\n{}", shell.printed());
                    is_shown(&shell.printed(), &shown).then_some(())
                });
                self.running.push(shell);
            }
        }
    }

    fn interrupt(&mut self) {
        for shell in &self.running {
            shell.signal(Signal::SIGINT);
        }
        for mut shell in self.running.drain(..) {
            let status = shell.wait(|_, status| status);
            assert!(
                status.success(),
                "{status}:\n{}\n{}",
                shell.commands,
                shell.printed()
            );
        }
    }
}

/// Variables of a page, each with what it is here.
type Variables = Vec<(&'static str, String)>;

/// Why a page cannot be followed: a program that it uses is missing, or Ctrl-C would reach none.
fn missing(programs: &[&str]) -> Result<(), String> {
    // A shell that puts the test into the background has it ignore the signal, which all that it starts inherits.
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let ignored = ignored.and_then(|signals| u64::from_str_radix(signals.trim(), 16).ok());
    if ignored.is_some_and(|signals| signals & 1 << (Signal::SIGINT as u32 - 1) != 0) {
        return Err("the test ignores Ctrl-C, and so would what it starts".to_owned());
    }
    for program in programs {
        let found = Command::new(program)
            .arg("--version")
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status();
        found.map_err(|error| format!("no {program}: {error}"))?;
    }
    Ok(())
}

/// Follows a page from its begin to its end.
fn follow(page: &str, home: Home, variables: Variables) {
    let mut reader = Reader {
        home,
        variables: (variables.into_iter())
            .map(|(name, here)| (name, String::new(), here))
            .collect(),
        shells: 0,
        running: Vec::new(),
    };
    for step in steps(page) {
        match step {
            Step::Block {
                deed,
                commands,
                shown,
            } => reader.follow(deed, &commands, &shown),
            Step::Interrupt => reader.interrupt(),
        }
    }
    assert!(reader.running.is_empty(), "the page ends what it has started");
}

#[test]
fn what_a_page_shows_is_compared() {
    let check = |printed: &str, shown: &str, expected: bool| {
        assert_eq!(is_shown(printed, shown), expected, "{printed:?} {shown:?}");
    };
    check(
        "a\nsent 5 of 7 in 0.3 s\nb\n",
        "sent 5 of ... in ... s\nb\n",
        true,
    );
    check("sent 4 of 7 in 0.3 s\nb\n", "sent 5 of ... in ... s\nb\n", false);
    check("b\na\n", "a\nb\n", false);
    check("", "", true);
}

#[test]
#[should_panic(expected = "not run:")]
fn a_command_outside_of_blocks_is_found() {
    steps("Then:\n\n    netsage run\n");
}
