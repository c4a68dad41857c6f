//! Where in a file each key and value stands.
//!
//! The typed parse throws positions away, and checks that come after it want them back; this second parse
//! keeps nothing else.

use std::fmt;

use serde_yaml::granit_parser::{Event, Parser, Span};

use super::diagnostic::Place;

/// One step from a value to a value inside it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Step {
    /// The value of a key.
    Key(String),
    /// An item of a list, from 0.
    Item(usize),
}

/// The way from the top of a file to a value: `cameras[0].id`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct KeyPath(pub(super) Vec<Step>);

impl KeyPath {
    /// Reads `a.b[0].c`. Keys written so hold no dots or brackets; ours do not.
    pub(super) fn of(text: &str) -> Self {
        let mut steps = Vec::new();
        for part in text.split('.').filter(|part| !part.is_empty()) {
            let (key, items) = part.split_once('[').unwrap_or((part, ""));
            if !key.is_empty() {
                steps.push(Step::Key(key.to_owned()));
            }
            steps.extend(
                items.split('[').filter_map(|i| i.trim_end_matches(']').parse().ok()).map(Step::Item),
            );
        }
        Self(steps)
    }

    /// This with one more key.
    pub(super) fn with_key(&self, key: &str) -> Self {
        let mut steps = self.0.clone();
        steps.push(Step::Key(key.to_owned()));
        Self(steps)
    }
}

impl fmt::Display for KeyPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, step) in self.0.iter().enumerate() {
            match step {
                Step::Key(key) if at == 0 => write!(f, "{key}")?,
                Step::Key(key) => write!(f, ".{key}")?,
                Step::Item(item) => write!(f, "[{item}]")?,
            }
        }
        Ok(())
    }
}

/// One entry: the way to it, and where its key (if it has one) and its value stand.
#[derive(Debug)]
struct Entry {
    path: KeyPath,
    key: Option<Place>,
    value: Place,
    text: Option<String>,
}

/// All entries of a file in the order they stand in. A key given twice is there twice.
#[derive(Debug, Default)]
pub(super) struct Tree {
    entries: Vec<Entry>,
}

/// Nothing of ours nests deeper; the parser is not followed further down.
const MAX_DEPTH: usize = 64;

/// A list or a group of keys that has begun and not ended.
struct Open {
    path: KeyPath,
    next: Next,
}

/// What comes next inside it.
enum Next {
    Item(usize),
    Key,
    Value(String, Place),
}

impl Tree {
    /// Reads as far as the text can be read.
    pub(super) fn read(text: &str) -> Self {
        let lines: Vec<&str> = text.lines().collect();
        let mut tree = Self::default();
        let mut open: Vec<Open> = Vec::new();
        for event in Parser::new_from_str(text) {
            let Ok((event, span)) = event else { break };
            if open.len() > MAX_DEPTH {
                break;
            }
            match event {
                Event::Scalar(value, ..) => {
                    tree.add(&mut open, place(&lines, span), Some(&value));
                }
                Event::Alias(_) => {
                    tree.add(&mut open, place(&lines, span), None);
                }
                Event::SequenceStart(..) => {
                    let path = tree.add(&mut open, place(&lines, span), None);
                    open.push(Open { path, next: Next::Item(0) });
                }
                Event::MappingStart(..) => {
                    let path = tree.add(&mut open, place(&lines, span), None);
                    open.push(Open { path, next: Next::Key });
                }
                Event::SequenceEnd | Event::MappingEnd => {
                    open.pop();
                }
                Event::DocumentEnd => break,
                _ => (),
            }
        }
        tree
    }

    /// Takes the next node, a key or a value, and returns the way to it.
    fn add(&mut self, open: &mut [Open], at: Place, text: Option<&str>) -> KeyPath {
        let mut path = open.last().map(|o| o.path.clone()).unwrap_or_default();
        let mut key = None;
        match open.last_mut().map(|o| &mut o.next) {
            None => (),
            Some(Next::Item(item)) => {
                path.0.push(Step::Item(*item));
                *item += 1;
            }
            Some(next @ Next::Key) => {
                // A key that is itself a list or a group has no name; no such key is ever looked up.
                *next = Next::Value(text.unwrap_or_default().to_owned(), at);
                return path.with_key("?");
            }
            Some(next @ Next::Value(..)) => {
                if let Next::Value(name, place) = std::mem::replace(next, Next::Key) {
                    path.0.push(Step::Key(name));
                    key = Some(place);
                }
            }
        }
        self.entries.push(Entry { path: path.clone(), key, value: at, text: text.map(ToOwned::to_owned) });
        path
    }

    /// Whether anything is written at `path`.
    pub(super) fn has(&self, path: &KeyPath) -> bool {
        self.entries.iter().any(|entry| entry.path == *path)
    }

    /// Whether there is nothing in the file but remarks.
    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Where the value at `path` stands; if there is none, where the nearest thing around it does.
    pub(super) fn find(&self, path: &KeyPath) -> Option<Place> {
        let mut path = path.clone();
        let mut exact = true;
        loop {
            if let Some(entry) = self.entries.iter().find(|entry| entry.path == path) {
                // A missing key is shown at the name of the section it belongs to, and so is a whole section.
                let scalar = exact && entry.text.as_ref().is_some_and(|text| !text.is_empty());
                return Some(if scalar { entry.value } else { entry.key.unwrap_or(entry.value) });
            }
            path.0.pop()?;
            exact = false;
        }
    }

    /// The value that begins at a position: the way to it, and its text unless it is a list or a group of keys.
    pub(super) fn value_at(&self, line: usize, column: usize) -> Option<(&KeyPath, Option<&str>)> {
        self.entries
            .iter()
            .filter(|entry| (entry.value.line, entry.value.column) == (line, column))
            .min_by_key(|entry| entry.path.0.len())
            .map(|entry| (&entry.path, entry.text.as_deref()))
    }

    /// The group of keys or list that begins at a position, which is where its first key or dash stands.
    pub(super) fn group_at(&self, line: usize, column: usize) -> Option<&KeyPath> {
        self.entries
            .iter()
            .filter(|entry| entry.text.is_none() && (entry.value.line, entry.value.column) == (line, column))
            .max_by_key(|entry| entry.path.0.len())
            .map(|entry| &entry.path)
    }

    /// The way to the value of the key that stands at a position.
    pub(super) fn key_at(&self, line: usize, column: usize) -> Option<&KeyPath> {
        self.entries
            .iter()
            .find(|entry| entry.key.is_some_and(|key| (key.line, key.column) == (line, column)))
            .map(|entry| &entry.path)
    }

    /// Where the keys at `path` stand, in order.
    pub(super) fn keys(&self, path: &KeyPath) -> impl Iterator<Item = Place> {
        self.entries.iter().filter(move |entry| entry.path == *path).filter_map(|entry| entry.key)
    }

    /// All ways in the file, in order.
    #[cfg(test)]
    pub(super) fn paths(&self) -> impl Iterator<Item = String> {
        self.entries.iter().map(|entry| entry.path.to_string())
    }
}

fn place(lines: &[&str], span: Span) -> Place {
    let (line, column) = (span.start.line(), span.start.col() + 1);
    let length = if span.end.line() == line {
        span.end.col().saturating_sub(span.start.col())
    } else {
        // Goes on over several lines: to the end of the first.
        let whole = lines.get(line.saturating_sub(1)).map_or(0, |l| l.trim_end().chars().count());
        whole.saturating_sub(span.start.col())
    };
    Place { line, column, length: length.max(1) }
}
