//! What was found: one line each.

use std::fmt;

use serde::Serialize;

/// How it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum State {
    /// As it should be.
    Ok,
    /// It works, and not as well as it could; or it could not be told.
    Warn,
    /// It does not work.
    Fail,
}

impl State {
    fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warn => "warn",
            Self::Fail => "FAIL",
        }
    }
}

/// One line.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Finding {
    /// What was looked at, one word.
    pub(super) check: &'static str,
    pub(super) state: State,
    /// What it is like.
    pub(super) what: String,
    /// What to do about it, where `what` does not say so itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) advice: Option<String>,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:<4}  {:<11} {}", self.state.as_str(), self.check, one_line(&self.what))?;
        match &self.advice {
            Some(advice) => write!(f, ": {}", one_line(advice)),
            None => Ok(()),
        }
    }
}

/// Names and errors may have line breaks in them, and what is meant for a terminal.
fn one_line(text: &str) -> String {
    text.replace(char::is_control, " ")
}

/// All lines of one check.
#[derive(Debug, Default)]
pub(super) struct Findings(pub(super) Vec<Finding>);

impl Findings {
    pub(super) fn ok(&mut self, check: &'static str, what: impl fmt::Display) {
        self.add(check, State::Ok, &what, None);
    }

    pub(super) fn warn(&mut self, check: &'static str, what: impl fmt::Display, advice: &str) {
        self.add(check, State::Warn, &what, Some(advice));
    }

    pub(super) fn fail(&mut self, check: &'static str, what: impl fmt::Display, advice: &str) {
        self.add(check, State::Fail, &what, Some(advice));
    }

    /// Something that says itself what to do.
    pub(super) fn say(&mut self, check: &'static str, state: State, what: impl fmt::Display) {
        self.add(check, state, &what, None);
    }

    fn add(&mut self, check: &'static str, state: State, what: &dyn fmt::Display, advice: Option<&str>) {
        self.0.push(Finding { check, state, what: what.to_string(), advice: advice.map(str::to_owned) });
    }

    /// Whether anything does not work.
    pub(super) fn has_failed(&self) -> bool {
        self.0.iter().any(|finding| finding.state == State::Fail)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_finding_is_one_line_that_says_what_to_do() {
        let mut findings = Findings::default();
        findings.ok("camera", "door:\ngood");
        assert!(!findings.has_failed());
        findings.fail("models", "one is missing", "install it");
        let lines: Vec<_> = findings.0.iter().map(ToString::to_string).collect();
        assert_eq!(lines, ["ok    camera      door: good", "FAIL  models      one is missing: install it"]);
        assert!(findings.has_failed());
    }
}
