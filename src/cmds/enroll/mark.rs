//! A picture's file, known again by what is in it.

use std::fmt;

use sha2::{Digest, Sha256};

/// What comes before the digits in a template's note.
const WORD: &str = "sha256:";
/// Hexadecimal digits that are kept.
const DIGITS: usize = 16;

/// The first 64 bits of a file's SHA-256: enough to tell the pictures of one person apart, and short enough to be read
/// beside a file's name. Kept in the note on a template's source, so that gallery and memory of what was enrolled cannot
/// contradict each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FileMark(u64);

impl FileMark {
    /// The mark of a file with these bytes.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        let digest = Sha256::digest(bytes);
        Self(digest.iter().take(8).fold(0, |mark, byte| mark << 8 | u64::from(*byte)))
    }

    /// A note taken apart: the name, and the mark if there is one.
    #[must_use]
    pub fn split(note: &str) -> (&str, Option<Self>) {
        let found = note.rsplit_once(' ').and_then(|(name, mark)| Some((name, Self::parse(mark)?)));
        found.map_or((note, None), |(name, mark)| (name, Some(mark)))
    }

    /// Reads what [`fmt::Display`] writes; `None` for anything else.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let digits = text.strip_prefix(WORD)?;
        let is_whole = digits.len() == DIGITS && digits.bytes().all(|b| b.is_ascii_hexdigit());
        is_whole.then(|| u64::from_str_radix(digits, 16).ok().map(Self)).flatten()
    }
}

impl fmt::Display for FileMark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{WORD}{:016x}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_is_read_back_from_a_note_and_nothing_else_is_taken_for_one() {
        // The well-known digest of no bytes begins so.
        let mark = FileMark::of(b"");
        assert_eq!(mark.to_string(), "sha256:e3b0c44298fc1c14");
        assert_eq!(FileMark::split("a b.jpg sha256:e3b0c44298fc1c14"), ("a b.jpg", Some(mark)));
        for note in
            ["a.jpg", "", "sha256:e3b0c44298fc1c14", "a.jpg sha256:e3b0", "a.jpg sha256:+3b0c44298fc1c14"]
        {
            assert_eq!(FileMark::split(note), (note, None), "{note}");
        }
    }
}
