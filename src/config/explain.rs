//! The YAML library's errors in words for people who write the file, not the program.

use serde_yaml::{Error, UserMessageFormatter};

use super::diagnostic::{Diagnostic, Place, Severity, printable};
use super::suggest;
use super::tree::{KeyPath, Tree};

/// What goes wrong at which key, and what would be right.
struct Explained {
    message: String,
    help: String,
}

fn say(message: impl Into<String>, help: impl Into<String>) -> Explained {
    Explained { message: message.into(), help: help.into() }
}

/// One error of the typed parse as a diagnostic.
pub(super) fn explain(error: &Error, tree: &Tree, (file, text): (&str, &str)) -> Diagnostic {
    let error = innermost(error);
    let place = error.location().and_then(|at| {
        let known = |n: u64| usize::try_from(n).ok().filter(|n| *n > 0);
        let length = usize::try_from(at.span().len()).unwrap_or(1).max(1);
        Some(Place { line: known(at.line())?, column: known(at.column())?, length })
    });
    let tab = place.and_then(|place| indented_by_tab(text, place.line));
    let (place, explained) = match error {
        // A tab is often noticed only by what it does to the lines below.
        _ if is_syntax(error) && tab.is_some() => {
            (tab, say("a tab is used for indentation", "YAML is indented with spaces: replace the tab"))
        }
        _ => {
            let explained = in_words(error, place, tree);
            // Past the last line there is nothing to show.
            (place.filter(|place| place.line <= text.lines().count()), explained)
        }
    };
    Diagnostic::at(Severity::Error, (file, text), place, explained.message, explained.help)
}

fn innermost(error: &Error) -> &Error {
    match error {
        Error::WithSnippet { error, .. } | Error::AliasError { error, .. } => innermost(error),
        other => other,
    }
}

fn is_syntax(error: &Error) -> bool {
    matches!(error, Error::ExternalMessage { .. } | Error::Eof { .. })
}

/// The first line, down to `last`, whose indentation holds a tab.
fn indented_by_tab(text: &str, last: usize) -> Option<Place> {
    text.lines().take(last).enumerate().find_map(|(at, line)| {
        let indent = &line[..line.len() - line.trim_start_matches([' ', '\t']).len()];
        let tab = indent.find('\t').filter(|_| !line.trim().is_empty())?;
        Some(Place { line: at + 1, column: tab + 1, length: 1 })
    })
}

fn in_words(error: &Error, place: Option<Place>, tree: &Tree) -> Explained {
    let (line, column) = place.map_or((0, 0), |place| (place.line, place.column));
    let (path, written) = match tree.value_at(line, column) {
        Some((path, text)) => (path.clone(), text.map(shortened)),
        None => (KeyPath::default(), None),
    };
    // The library gives some faults of a whole value the place of its key.
    let group = tree.group_at(line, column).or_else(|| tree.key_at(line, column));
    match error {
        Error::SerdeUnknownField { field, expected, .. } => {
            let what = match tree.key_at(line, column).map(parent).filter(|p| !p.0.is_empty()) {
                Some(section) => format!("the keys of `{section}`"),
                None => "the keys here".to_owned(),
            };
            say(format!("unknown key `{}`", shortened(field)), suggest::help(field, &what, expected))
        }
        Error::SerdeUnknownVariant { variant, expected, .. } if variant == "~" => {
            say(format!("`{path}` has no value"), format!("one of: {}", expected.join(", ")))
        }
        Error::SerdeUnknownVariant { variant, expected, .. } => say(
            format!("`{path}` cannot be `{}`", shortened(variant)),
            suggest::help(variant, "one of", expected),
        ),
        Error::SerdeMissingField { field, .. } => {
            match tree.group_at(line, column).filter(|p| !p.0.is_empty()) {
                Some(group) => say(
                    format!("`{group}` lacks the key `{field}`"),
                    format!("add a line `{field}: ...` there"),
                ),
                None => say(format!("the file lacks the key `{field}`"), missing_at_the_top(field)),
            }
        }
        Error::DuplicateMappingKey { key, .. } => {
            let first = tree.key_at(line, column).and_then(|path| tree.keys(path).next());
            let earlier = first
                .filter(|p| p.line != line)
                .map_or(String::new(), |p| format!(" (first on line {})", p.line));
            let name = tree.key_at(line, column).map(ToString::to_string).or_else(|| key.clone());
            let name = name.map_or("a key".to_owned(), |name| format!("`{}`", shortened(&name)));
            say(format!("{name} is given twice{earlier}"), "keep one of the two")
        }
        Error::InvalidScalar { ty, .. } => wrong_scalar(&path, written.as_deref().unwrap_or_default(), ty),
        Error::NullIntoString { .. } => {
            say(format!("`{path}` has no value"), "write a text after the colon, or leave the whole line out")
        }
        Error::Unexpected { expected, .. } => wrong_form(&path, written.as_deref(), expected),
        Error::ExternallyTaggedEnumExpectedScalarOrMapping { .. } => {
            say(format!("`{path}` must be one word"), "write the word alone, without brackets or dashes")
        }
        Error::SerdeInvalidType { expected, .. } | Error::SerdeInvalidValue { expected, .. } => match written
        {
            Some(written) if !written.is_empty() => {
                say(format!("`{path}` cannot be `{written}`"), format!("write {expected}"))
            }
            _ => say(format!("`{path}` is not of the right kind"), format!("write {expected}")),
        },
        Error::SerdeInvalidLength { len, expected, .. } => {
            let group = group.map_or("this".to_owned(), |group| format!("`{group}`"));
            let expected = expected.replace("an array of length", "a list of exactly this length:");
            say(format!("{group} has {len} items"), format!("write {expected}"))
        }
        Error::Message { msg, .. } => match (path.0.is_empty(), written) {
            (false, Some(written)) => say(format!("`{path}` cannot be `{written}`"), msg.as_str()),
            (false, None) => say(format!("`{path}` is not right"), msg.as_str()),
            (true, _) => say("this is not right", msg.as_str()),
        },
        Error::Eof { .. } if !tree.is_empty() => {
            say("the file ends in the middle of something", "close each bracket and quotation mark")
        }
        Error::Eof { .. } => say(
            "there is nothing in this file",
            "`facewarden config default` prints a complete file to start from",
        ),
        Error::MultipleDocuments { .. } => {
            say("a second document begins here", "one file holds one document: remove the line `---`")
        }
        Error::MergeKeyNotAllowed { .. } => {
            say("`<<` is not supported", "write the keys out where they belong")
        }
        Error::UnknownAnchor { .. } => say(
            "`*` refers to an anchor that does not exist",
            "put the text in quotes if it is meant to begin with an asterisk",
        ),
        Error::Budget { .. } => {
            say("the file is nested too deeply or has far too many entries", "is this the right file?")
        }
        other => {
            let said = printable(&other.render_with_formatter(&UserMessageFormatter));
            let said = said.split(": ").last().unwrap_or_default();
            let said = said.split(" at line ").next().unwrap_or_default();
            let said = match said {
                "while parsing a block mapping, did not find expected key" => "a key was expected here",
                "mapping values are not allowed in this context" => "no colon can stand here",
                other => other,
            };
            say(format!("this is not valid YAML: {said}"), syntax_help(said))
        }
    }
}

fn missing_at_the_top(field: &str) -> String {
    match field {
        "schema" => "begin the file with `schema: 1`, the version of its format".to_owned(),
        "cameras" => "add `cameras:` and under it `- id: door` and `source: /dev/video0`".to_owned(),
        _ => format!("add a line `{field}: ...`"),
    }
}

fn syntax_help(said: &str) -> &'static str {
    if said.contains("quote") {
        "close the text with the same quotation mark it begins with"
    } else if said.contains("colon") || said.contains("simple key") {
        "a text with a colon and a space in it must be in quotes; otherwise check the indentation"
    } else if said.contains("flow") || said.contains('\'') || said.contains(',') && said.contains(']') {
        "check that each bracket is closed and that commas stand between the items"
    } else {
        "keys of one section begin in the same column, and nothing follows a closing quotation mark"
    }
}

/// A scalar that is not the number or switch it should be.
fn wrong_scalar(path: &KeyPath, written: &str, kind: &str) -> Explained {
    let whole = kind.starts_with(['u', 'i']) && kind[1..].parse::<u8>().is_ok();
    let wanted = match kind {
        "floating point" => "a number such as 0.5",
        "boolean" | "bool" => "true or false",
        _ if whole && kind.starts_with('u') => "a whole number, 0 or more, without a sign or decimals",
        _ if whole => "a whole number",
        other => other,
    };
    if is_null(written) {
        return say(format!("`{path}` has no value"), format!("write {wanted}, or leave the whole line out"));
    }
    let with_point = written.replacen(',', ".", 1);
    let plain: String = written.chars().filter(|c| !matches!(c, '_' | ' ' | '\'')).collect();
    let number = written.trim_end_matches(|c: char| c.is_alphabetic() || c == '%' || c == ' ');
    let message = format!("`{path}` cannot be `{written}`");
    if whole && written.parse::<u128>().is_ok() {
        say(message, "the number is far too large")
    } else if !whole && with_point != written && with_point.parse::<f64>().is_ok() {
        say(message, format!("write the decimal point as a point: {with_point}"))
    } else if plain != written && plain.parse::<f64>().is_ok() {
        say(message, format!("write the number without separators: {plain}"))
    } else if !number.is_empty() && number != written && number.parse::<f64>().is_ok() {
        say(message, format!("write the number alone, the unit is in the key's name: {number}"))
    } else {
        say(message, format!("write {wanted}"))
    }
}

/// A scalar where a list should be, and the like.
fn wrong_form(path: &KeyPath, written: Option<&str>, expected: &str) -> Explained {
    let name = if path.0.is_empty() { "the file".to_owned() } else { format!("`{path}`") };
    let empty = written.is_some_and(is_null);
    match expected {
        "mapping start" if empty => say(
            format!("{name} is empty"),
            "give it at least one key, indented below it, or put a `#` before this line too",
        ),
        "mapping start" => say(
            format!("{name} must be a group of keys"),
            "write its keys below it, each indented, in the form `key: value`",
        ),
        "sequence start" if empty => {
            say(format!("{name} is empty"), "write `[]` for an empty list, or put a `#` before this line too")
        }
        "sequence start" => say(
            format!("{name} must be a list"),
            match written {
                Some(one) => format!("in brackets: [{one}], or each item on a line of its own after `- `"),
                None => {
                    "write `- ` before the first key of each item, and indent its other keys alike".to_owned()
                }
            },
        ),
        "string scalar" => {
            say(format!("{name} must be a single text"), "write it on one line after the colon")
        }
        other => say(format!("{name} is not of the right kind"), format!("expected {other}")),
    }
}

/// What is read where nothing is written.
fn is_null(text: &str) -> bool {
    matches!(text, "" | "~" | "null" | "Null" | "NULL")
}

fn parent(path: &KeyPath) -> KeyPath {
    KeyPath(path.0[..path.0.len().saturating_sub(1)].to_vec())
}

/// A value as it is quoted in a message.
fn shortened(text: &str) -> String {
    const MOST: usize = 40;
    let mut short: String = printable(text).chars().take(MOST).collect();
    if text.chars().count() > MOST {
        short.push_str("...");
    }
    short
}
