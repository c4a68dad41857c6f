//! What is wrong with a file, where, and what would be right; shown the way compilers show it.

use std::fmt;
use std::path::PathBuf;

/// A stretch of one line of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
    /// How many characters it covers, at least 1.
    pub length: usize,
}

/// Whether a file can be used in spite of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Severity {
    /// The file cannot be used.
    Error,
    /// The file can be used; somebody should know.
    Warning,
}

/// One thing to say about a file. Shown by `Display` over several lines, without a line break at the end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostic {
    /// Error or warning.
    pub severity: Severity,
    /// The file as the user named it.
    pub file: String,
    /// Where in the file; `None` if it concerns the file as a whole.
    pub place: Option<Place>,
    /// The line at `place`. Only that line: neighbours are none of the reader's concern.
    pub source_line: Option<String>,
    /// What is wrong: one line, names the key.
    pub message: String,
    /// What would be right: one line.
    pub help: String,
}

/// Snippets show so many characters of a line at most.
const SNIPPET_CHARS: usize = 90;

impl Diagnostic {
    /// Points at `place` of `text`.
    pub(super) fn at(
        severity: Severity,
        (file, text): (&str, &str),
        place: Option<Place>,
        message: String,
        help: String,
    ) -> Self {
        let source_line =
            place.and_then(|p| text.lines().nth(p.line.saturating_sub(1))).map(ToOwned::to_owned);
        Self { severity, file: file.to_owned(), place, source_line, message, help }
    }
}

/// One line without control characters: a file cannot move the cursor of whoever reads about it.
pub(super) fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let severity = match self.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
        };
        writeln!(f, "{severity}: {}", printable(&self.message))?;
        let file = printable(&self.file);
        let help = printable(&self.help);
        let (Some(place), Some(line)) = (self.place, &self.source_line) else {
            return match self.place {
                Some(place) => write!(f, " --> {file}:{}:{}\n  = {help}", place.line, place.column),
                None => write!(f, " --> {file}\n  = {help}"),
            };
        };
        let number = place.line.to_string();
        let margin = " ".repeat(number.len());
        // A place far to the right is shown with the part of the line before it cut away.
        let start = place.column.saturating_sub(1);
        let cut = if start > SNIPPET_CHARS / 2 { start - SNIPPET_CHARS / 4 } else { 0 };
        let chars: Vec<char> = printable(line).chars().skip(cut).collect();
        let shown: String = chars.iter().take(SNIPPET_CHARS).collect();
        let before = if cut > 0 { "..." } else { "" };
        let after = if chars.len() > SNIPPET_CHARS { "..." } else { "" };
        let room = chars.len().min(SNIPPET_CHARS).saturating_sub(start - cut);
        let indent = " ".repeat(before.len() + start - cut);
        let marks = "^".repeat(place.length.min(room).max(1));
        writeln!(f, "{margin}--> {file}:{}:{}", place.line, place.column)?;
        writeln!(f, "{margin} |")?;
        writeln!(f, "{number} | {before}{}{after}", shown.trim_end())?;
        writeln!(f, "{margin} | {indent}{marks}")?;
        write!(f, "{margin} = {help}")
    }
}

/// Why a configuration file or a manifest cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// The text is not what it should be. Holds at least one diagnostic, all of them errors.
    #[error("{}", listed(.0))]
    Faults(Vec<Diagnostic>),
}

impl ConfigError {
    /// The faults in the text; empty if the file could not be read at all.
    #[must_use]
    pub fn diagnostics(&self) -> &[Diagnostic] {
        match self {
            Self::Read { .. } => &[],
            Self::Faults(faults) => faults,
        }
    }
}

fn listed(faults: &[Diagnostic]) -> String {
    let file = faults.first().map_or("the file", |first| &first.file);
    let count = match faults.len() {
        1 => "1 error".to_owned(),
        n => format!("{n} errors"),
    };
    let mut out = format!("{} cannot be used: {count}", printable(file));
    for fault in faults {
        out.push_str("\n\n");
        out.push_str(&fault.to_string());
    }
    out
}
