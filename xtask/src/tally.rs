//! Counting tests from what their runners print.

use std::fmt;

/// How many tests ended how.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    pub(crate) passed: u64,
    pub(crate) failed: u64,
    pub(crate) skipped: u64,
}

impl fmt::Display for Tally {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "{} passed, {} failed, {} skipped",
            self.passed, self.failed, self.skipped
        )
    }
}

impl std::ops::AddAssign for Tally {
    fn add_assign(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.skipped += other.skipped;
    }
}

/// Reads what `cargo test -- --show-output` prints.
///
/// A Rust test that cannot run says `skipped: ...` and passes; it is counted as skipped here.
#[derive(Debug, Default)]
pub(crate) struct CargoReader {
    pub(crate) tally: Tally,
    /// Inside the output of tests that passed.
    in_passed_output: bool,
    /// Tests of this run that said they were skipped.
    skipped: u64,
    /// The test whose output is being read has said that it was skipped.
    counted: bool,
}

impl CargoReader {
    /// Takes a line. Returns whether it is worth showing: the output of a test that passed is not.
    pub(crate) fn line(&mut self, line: &str) -> bool {
        if line == "successes:" {
            self.in_passed_output = true;
            return false;
        }
        if line == "failures:" {
            self.in_passed_output = false;
        } else if let Some(result) = line.strip_prefix("test result: ") {
            self.in_passed_output = false;
            // The runner counts a test that skipped itself as passed.
            let skipped = std::mem::take(&mut self.skipped);
            self.tally.passed += number_before(result, " passed").saturating_sub(skipped);
            self.tally.failed += number_before(result, " failed");
            self.tally.skipped += number_before(result, " ignored") + skipped;
        } else if self.in_passed_output {
            if line.starts_with("---- ") {
                self.counted = false;
            }
            let skipped = line.trim_start().starts_with("skipped:");
            if skipped && !self.counted {
                self.counted = true;
                self.skipped += 1;
            }
            return skipped;
        }
        true
    }
}

/// Reads the closing lines of `node --test --test-reporter=tap`.
#[derive(Debug, Default)]
pub(crate) struct NodeReader {
    pub(crate) tally: Tally,
}

impl NodeReader {
    /// Takes a line.
    pub(crate) fn line(&mut self, line: &str) {
        let number = |prefix: &str| {
            line.strip_prefix(prefix)
                .and_then(|rest| rest.trim().parse::<u64>().ok())
        };
        if let Some(count) = number("# pass ") {
            self.tally.passed += count;
        } else if let Some(count) = number("# fail ").or_else(|| number("# cancelled ")) {
            self.tally.failed += count;
        } else if let Some(count) = number("# skipped ").or_else(|| number("# todo ")) {
            self.tally.skipped += count;
        }
    }
}

fn number_before(text: &str, word: &str) -> u64 {
    let before = text.split(word).next().unwrap_or_default();
    before
        .rsplit([' ', ';'])
        .next()
        .and_then(|digits| digits.parse().ok())
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cargo_output_is_counted() {
        let check = |output: &str, expected: (u64, u64, u64), shown: usize| {
            let mut reader = CargoReader::default();
            let lines = output.lines().filter(|line| reader.line(line)).count();
            let tally = reader.tally;
            assert_eq!((tally.passed, tally.failed, tally.skipped), expected, "{output}");
            assert_eq!(lines, shown, "{output}");
        };
        check(
            "test a ... ok\ntest result: ok. 12 passed; 1 failed; 2 ignored; 0 measured",
            (12, 1, 2),
            2,
        );
        check(
            "successes:\n\n---- a stdout ----\nnoise\nskipped: no data\nskipped: nor this\n\n---- b stdout ----\n\
             skipped: no server\n\nsuccesses:\n    a\n    b\n\ntest result: ok. 3 passed; 0 failed; 0 ignored",
            (1, 0, 2),
            4,
        );
        check("nothing to count", (0, 0, 0), 1);
    }

    #[test]
    fn node_output_is_counted() {
        let mut reader = NodeReader::default();
        for line in [
            "ok 1 - x",
            "# tests 9",
            "# pass 6",
            "# fail 1",
            "# cancelled 1",
            "# skipped 1",
            "# todo 0",
        ] {
            reader.line(line);
        }
        assert_eq!(reader.tally.to_string(), "6 passed, 2 failed, 1 skipped");
    }
}
