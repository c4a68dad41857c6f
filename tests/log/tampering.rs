//! Whatever is done to a log afterwards is found, and the first entry that is not as it was is named.

use std::fs;

use facewarden::sinks::{Fault, VerifyError, What, verify};
use proptest::prelude::*;
use proptest::sample::Index;

use super::{NEVER, Place, notice, three_entries};

/// A closed log with eleven entries in four files: three, three, three and two.
fn rotated() -> Place {
    let place = Place::new();
    place.write(three_entries(), 1..=11);
    assert_eq!(place.verify().unwrap().files.len(), 4);
    place
}

const FILES: [&str; 4] = [
    "events-00000000000000000003.jsonl",
    "events-00000000000000000006.jsonl",
    "events-00000000000000000009.jsonl",
    "events.jsonl",
];

/// In which file an entry is, and on which line.
fn place_of(n: u64) -> (&'static str, u64) {
    (FILES[usize::try_from((n - 1) / 3).unwrap()], (n - 1) % 3 + 1)
}

#[track_caller]
fn fault(place: &Place) -> Fault {
    match place.verify() {
        Err(VerifyError::Damaged(fault)) => *fault,
        other => panic!("{other:?}"),
    }
}

/// What is reported as the first fault: the file's name, the line, the number, and what.
#[track_caller]
fn found(place: &Place) -> (String, u64, u64, What) {
    let fault = fault(place);
    let file = fault.file.file_name().unwrap().to_str().unwrap().to_owned();
    (file, fault.line, fault.n, fault.what)
}

fn lines(place: &Place, file: &str) -> Vec<Vec<u8>> {
    let bytes = fs::read(place.beside(file)).unwrap();
    bytes.split_inclusive(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect()
}

fn put(place: &Place, file: &str, lines: &[Vec<u8>]) {
    fs::write(place.beside(file), lines.concat()).unwrap();
}

#[test]
fn a_changed_byte_is_found_in_every_line_and_at_every_place_of_it() {
    let place = rotated();
    for n in 1..=11 {
        let (file, line) = place_of(n);
        let whole = lines(&place, file);
        let at = usize::try_from(line - 1).unwrap();
        for byte in (0..whole[at].len() - 1).step_by(3) {
            let mut changed = whole.clone();
            // Stays text, so that what is found is the chain.
            changed[at][byte] = if changed[at][byte] == b'7' { b'8' } else { b'7' };
            put(&place, file, &changed);
            let (in_file, on_line, number, what) = found(&place);
            assert_eq!((in_file.as_str(), on_line, number), (file, line, n), "byte {byte}: {what:?}");
            assert!(matches!(what, What::Changed(_)), "byte {byte} of {n}: {what:?}");
        }
        put(&place, file, &whole);
    }
    assert!(place.verify().is_ok());
}

#[test]
fn a_removed_line_is_found() {
    let place = rotated();
    for n in 1..=11 {
        let (file, line) = place_of(n);
        let whole = lines(&place, file);
        let mut without = whole.clone();
        without.remove(usize::try_from(line - 1).unwrap());
        put(&place, file, &without);
        let (in_file, on_line, number, what) = found(&place);
        if n == 11 {
            assert_eq!(
                (in_file.as_str(), on_line, number, what),
                (file, 2, 11, What::MissingAtEnd { to: 11 })
            );
        } else {
            // Found at the entry that came after it.
            let after = if line == 3 { place_of(n + 1) } else { (file, line) };
            assert_eq!(
                (in_file.as_str(), on_line, number, what),
                (after.0, after.1, n, What::Removed { to: n })
            );
        }
        put(&place, file, &whole);
    }
}

#[test]
fn swapped_lines_are_found() {
    let place = Place::new();
    place.write(NEVER, 1..=7);
    let whole = lines(&place, "events.jsonl");
    for (a, b) in (0..7).flat_map(|a| (a + 1..7).map(move |b| (a, b))) {
        let mut swapped = whole.clone();
        swapped.swap(a, b);
        put(&place, "events.jsonl", &swapped);
        let (_, on_line, number, what) = found(&place);
        let (a, b) = (a as u64 + 1, b as u64 + 1);
        assert_eq!((on_line, number), (a, a), "{b}: {what:?}");
        let file = place.path.clone();
        assert_eq!(what, What::Reordered { file, line: b }, "{a} {b}");
    }
}

#[test]
fn an_inserted_line_is_found() {
    let place = Place::new();
    place.write(NEVER, 1..=7);
    let whole = lines(&place, "events.jsonl");
    let unchained = serde_json::to_vec(&notice(3)).unwrap();
    for at in 0..=whole.len() {
        for extra in 0..=whole.len() {
            let mut inserted = whole.clone();
            let text = whole.get(extra).cloned().unwrap_or_else(|| [&unchained[..], b"\n"].concat());
            inserted.insert(at, text);
            put(&place, "events.jsonl", &inserted);
            let (_, on_line, _, what) = found(&place);
            let at_end = at == whole.len();
            if extra == at || (extra < whole.len() && extra + 1 == at) {
                assert!(
                    on_line == at as u64 + 1 || on_line == at as u64 + 2,
                    "{extra} at {at}: {on_line} {what:?}"
                );
            } else {
                assert_eq!(on_line, at as u64 + 1, "{extra} at {at}: {what:?}");
            }
            assert!(what == What::Inserted || at_end, "{extra} at {at}: {what:?}");
        }
    }
}

#[test]
fn a_forged_entry_that_hangs_on_the_one_before_it_is_found() {
    let (place, forger) = (Place::new(), Place::new());
    place.write(NEVER, 1..=7);
    let whole = lines(&place, "events.jsonl");
    for at in 1..7 {
        // What the program itself would have written there.
        fs::write(&forger.path, whole[..at].concat()).unwrap();
        drop(fs::remove_file(forger.beside("events.jsonl.head")));
        forger.write(NEVER, 900..=900);
        let forged = lines(&forger, "events.jsonl").pop().unwrap();
        let mut inserted = whole.clone();
        inserted.insert(at, forged.clone());
        put(&place, "events.jsonl", &inserted);
        let (_, on_line, number, what) = found(&place);
        let n = at as u64 + 1;
        assert_eq!((on_line, number, what), (n, n, What::Inserted));
        let mut replaced = whole.clone();
        replaced[at] = forged;
        put(&place, "events.jsonl", &replaced);
        let (_, on_line, number, what) = found(&place);
        assert_eq!((on_line, number), (n, n), "{what:?}");
        assert!(matches!(what, What::Changed(_)), "{what:?}");
    }
}

#[test]
fn a_cut_tail_is_found_wherever_it_is_cut() {
    let place = rotated();
    let whole = fs::read(&place.path).unwrap();
    let first = whole.iter().position(|byte| *byte == b'\n').unwrap() + 1;
    for length in (0..whole.len()).step_by(7) {
        fs::write(&place.path, &whole[..length]).unwrap();
        let n = if length < first { 10 } else { 11 };
        let (in_file, on_line, number, what) = found(&place);
        assert_eq!(number, n, "{length}");
        assert_eq!(what, What::MissingAtEnd { to: 11 }, "{length}");
        let expected = if length < first { (FILES[2], 4) } else { ("events.jsonl", 2) };
        assert_eq!((in_file.as_str(), on_line), expected, "{length}");
    }
}

#[test]
fn a_removed_file_is_found() {
    for (at, file) in FILES.into_iter().enumerate() {
        let place = rotated();
        fs::remove_file(place.beside(file)).unwrap();
        let from = at as u64 * 3 + 1;
        let (in_file, on_line, number, what) = found(&place);
        if at == 3 {
            assert_eq!((number, what), (10, What::MissingAtEnd { to: 11 }));
        } else {
            let expected = (FILES[at + 1].to_owned(), 1, from, What::Removed { to: from + 2 });
            assert_eq!((in_file, on_line, number, what), expected);
        }
    }
}

#[test]
fn without_the_head_file_only_a_head_that_was_noted_tells() {
    let place = rotated();
    let noted = place.verify().unwrap().head.1;
    let head = place.beside("events.jsonl.head");
    let kept = fs::read(&head).unwrap();
    fs::remove_file(&head).unwrap();
    assert_eq!(found(&place).3, What::HeadMissing);
    assert!(verify(&place.path, Some(noted)).unwrap().is_head_missing);
    let mut cut = lines(&place, "events.jsonl");
    cut.pop();
    put(&place, "events.jsonl", &cut);
    let error = verify(&place.path, Some(noted)).unwrap_err().to_string();
    assert!(error.contains("no entry has the head that was noted"), "{error}");
    // Who can write the folder can forge both; nothing but the note tells.
    place.write(NEVER, 12..=12);
    assert!(place.verify().is_ok());
    assert!(verify(&place.path, Some(noted)).is_err());
    fs::write(&head, &kept[1..]).unwrap();
    assert_eq!(found(&place).3, What::HeadDamaged);
}

#[test]
fn a_head_of_an_older_log_that_was_put_back_is_found() {
    let place = Place::new();
    place.write(NEVER, 1..=3);
    let old = fs::read(&place.path).unwrap();
    place.write(NEVER, 4..=6);
    fs::write(&place.path, &old).unwrap();
    assert_eq!(found(&place).3, What::MissingAtEnd { to: 6 });
    // The same entries, rewritten from the second on: the head file has another hash for the last.
    let other = Place::new();
    other.write(NEVER, 1..=1);
    other.write(NEVER, 12..=16);
    fs::copy(&other.path, &place.path).unwrap();
    let (_, on_line, number, what) = found(&place);
    assert_eq!((on_line, number), (6, 6));
    assert!(matches!(&what, What::Changed(how) if how.contains("events.jsonl.head")), "{what:?}");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, ..ProptestConfig::default() })]

    /// Any bytes in the place of any others: found, unless nothing changed or all that changed is that half a line
    /// stands at the end.
    #[test]
    fn no_edit_goes_unnoticed(
        file in 0..4_usize,
        from in any::<Index>(),
        length in 0..400_usize,
        with in prop::collection::vec(any::<u8>(), 0..40),
        copy in prop::option::of((any::<Index>(), 1..700_usize)),
    ) {
        let place = rotated();
        let whole = fs::read(place.beside(FILES[file])).unwrap();
        let from = from.index(whole.len());
        let to = (from + length).min(whole.len());
        let with = match copy {
            Some((at, length)) => {
                let at = at.index(whole.len());
                whole[at..(at + length).min(whole.len())].to_vec()
            }
            None => with,
        };
        let edited = [&whole[..from], &with, &whole[to..]].concat();
        fs::write(place.beside(FILES[file]), &edited).unwrap();
        let is_harmless = edited == whole
            || file == 3 && edited.strip_prefix(&whole[..]).is_some_and(|tail| !tail.contains(&b'\n'));
        let result = place.verify();
        prop_assert_eq!(result.is_ok(), is_harmless, "{:?}", result);
        if let Err(VerifyError::Damaged(fault)) = result {
            // Not before the first line that was touched, and not past the one after the last.
            let name = fault.file.file_name().unwrap().to_str().unwrap().to_owned();
            let at = FILES.iter().position(|known| *known == name).unwrap();
            prop_assert!(at + 1 >= file && at <= file + 1, "{}", fault);
        }
    }
}
