//! Reading a log's file line by line.

use std::io::{self, BufRead, Read as _};

use super::chain::{Entry, MAX_LINE_BYTES, Place};

/// One line.
#[derive(Debug, Default)]
pub(super) struct Line {
    /// Without its line break.
    pub(super) bytes: Vec<u8>,
    /// It ends with a line break.
    pub(super) is_whole: bool,
    /// It is longer than any entry; `bytes` is its beginning.
    pub(super) is_too_long: bool,
}

impl Line {
    /// The entry that it is; says what is wrong if it is none.
    pub(super) fn entry(&self) -> Result<Entry, String> {
        match self.is_too_long {
            true => Err("it is longer than any entry".to_owned()),
            false => Entry::read(&self.bytes),
        }
    }
}

/// Reads the next line into `line`; gives back how many bytes it has in the file, 0 at the end.
pub(super) fn next_line(log: &mut impl BufRead, line: &mut Line) -> io::Result<u64> {
    line.bytes.clear();
    let mut count = log.by_ref().take(MAX_LINE_BYTES).read_until(b'\n', &mut line.bytes)? as u64;
    line.is_whole = line.bytes.last() == Some(&b'\n');
    line.is_too_long = !line.is_whole && count == MAX_LINE_BYTES;
    if line.is_whole {
        line.bytes.pop();
    } else if line.is_too_long {
        let rest = skip_line(log)?;
        count += rest.0;
        line.is_whole = rest.1;
    }
    Ok(count)
}

/// Skips the rest of a line: how many bytes that was, and whether a line break ended it.
fn skip_line(log: &mut impl BufRead) -> io::Result<(u64, bool)> {
    let mut count = 0;
    loop {
        let piece = log.fill_buf()?;
        if piece.is_empty() {
            return Ok((count, false));
        }
        let end = piece.iter().position(|byte| *byte == b'\n');
        let used = end.map_or(piece.len(), |at| at + 1);
        log.consume(used);
        count += used as u64;
        if end.is_some() {
            return Ok((count, true));
        }
    }
}

/// What a file of the log holds.
#[derive(Debug, Default)]
pub(super) struct Scan {
    pub(super) first: Option<Entry>,
    pub(super) last: Option<Entry>,
    /// The entry that was asked for.
    pub(super) wanted: Option<Place>,
    /// Bytes of whole lines.
    pub(super) whole_bytes: u64,
    /// Bytes after them: a line that lacks its end.
    pub(super) torn_bytes: u64,
    /// What is wrong with it, and where.
    pub(super) fault: Option<String>,
}

/// Reads a whole file, and looks whether each entry follows the one before it. `wanted` is the number of an entry.
pub(super) fn scan(log: &mut impl BufRead, wanted: u64) -> io::Result<Scan> {
    let mut scan = Scan::default();
    let mut line = Line::default();
    for number in 1_u64.. {
        let count = next_line(log, &mut line)?;
        if count == 0 {
            break;
        }
        if !line.is_whole {
            scan.torn_bytes = count;
            if !is_torn_entry(&line.bytes) {
                scan.fault = Some("its end is no beginning of an entry".to_owned());
            }
            break;
        }
        scan.whole_bytes += count;
        let entry = match line.entry() {
            Ok(entry) => entry,
            Err(why) => {
                scan.fault = Some(format!("line {number}: {why}"));
                break;
            }
        };
        if scan.last.as_ref().is_some_and(|last| !entry.follows(last.place)) {
            scan.fault = Some(format!("line {number} does not continue the line before it"));
            break;
        }
        if entry.place.n == wanted {
            scan.wanted = Some(entry.place);
        }
        if scan.first.is_none() {
            scan.first = Some(entry.clone());
        }
        scan.last = Some(entry);
    }
    Ok(scan)
}

/// Whether it can be what a crash left of an entry: its beginning, or zeros where a power cut took the data.
fn is_torn_entry(bytes: &[u8]) -> bool {
    const BEGINNING: &[u8] = b"{\"schema\":";
    let common = bytes.len().min(BEGINNING.len());
    bytes.get(..common) == BEGINNING.get(..common) || bytes.iter().all(|byte| *byte == 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_read_whatever_their_length() {
        let limit = usize::try_from(MAX_LINE_BYTES).unwrap();
        let text = [vec![b'a'; 3], vec![b'\n'], vec![b'b'; limit + 5], b"\n\nend".to_vec()].concat();
        let (mut log, mut line) = (text.as_slice(), Line::default());
        let mut seen = Vec::new();
        loop {
            let count = next_line(&mut log, &mut line).unwrap();
            if count == 0 {
                break;
            }
            seen.push((count, line.is_whole, line.is_too_long));
        }
        let long = MAX_LINE_BYTES + 6;
        assert_eq!(seen, [(4, true, false), (long, true, true), (1, true, false), (3, false, false)]);
    }

    #[test]
    fn only_what_a_crash_can_leave_counts_as_torn() {
        for torn in [&b"{"[..], b"{\"schema\":1,\"id", b"\0\0\0"] {
            assert_eq!(scan(&mut &*torn, 1).unwrap().fault, None);
        }
        for odd in [&b"root:x:0"[..], b"\n", b"{}\n", b"{\"scheme"] {
            assert!(scan(&mut &*odd, 1).unwrap().fault.is_some());
        }
    }
}
