//! What happened to a log, from the first line that does not continue the one before it.

use std::path::PathBuf;

use super::chain::{Entry, Place};
use super::head::Head;
use super::verify::{FoundFault, Located, VerifyError, What};

/// What comes before a line.
#[derive(Clone, Copy)]
pub(super) struct Before<'a> {
    /// The line before it, which continues the one before that.
    pub(super) last: Option<&'a Located>,
    /// The place before that one.
    pub(super) one_earlier: Option<Place>,
}

/// What is wrong with the line `found`, which `next` follows; `None` if it is as it ought to be. `find` looks for an
/// entry further down.
///
/// The hash of an entry is in the one after it. A line that does not fit is therefore held against what follows: the
/// one of two that the rest of the log agrees with is as it was.
pub(super) fn diagnose(
    found: &Located,
    before: Before<'_>,
    next: Option<&Entry>,
    head: Option<Head>,
    find: impl Fn(u64) -> Result<Option<(PathBuf, u64)>, VerifyError>,
) -> Result<Option<FoundFault>, VerifyError> {
    let here = |n: u64, what: What| Ok(Some((found.file, found.line, n, what)));
    let last = before.last.and_then(|last| Some((last, last.place()?)));
    let expected = match (last, head) {
        (Some((_, place)), _) => place.n.saturating_add(1),
        (None, Some(head)) => head.first,
        (None, None) => 1,
    };
    let entry = match &found.entry {
        Ok(entry) => entry,
        Err(why) => {
            let is_extra = last.zip(next).is_some_and(|((_, place), next)| next.follows(place))
                || last.is_none() && next.is_some_and(|next| next.place.n == expected);
            return here(expected, if is_extra { What::Inserted } else { What::Changed(why.clone()) });
        }
    };
    let is_confirmed = |entry: &Entry| match next {
        Some(next) => next.follows(entry.place),
        None => head.is_none_or(|head| head.newest == entry.place),
    };
    let removed = || match find(expected)? {
        // A copy of a later entry, which is where it belongs as well.
        Some(_) if find(entry.place.n)?.is_some() => here(entry.place.n, What::Inserted),
        Some((file, line)) => here(expected, What::Reordered { file, line }),
        None => here(expected, What::Removed { to: entry.place.n - 1 }),
    };
    let number = || What::Changed(format!("its number is {}", entry.place.n));
    let Some((last, place)) = last else {
        return match () {
            // Without a head file, nobody knows with which number the oldest file begins.
            () if head.is_none() || entry.place.n <= expected => Ok(None),
            () => match find(expected)? {
                None if next.is_some_and(|next| next.place.n == expected + 1) => here(expected, number()),
                _ => removed(),
            },
        };
    };
    if entry.follows(place) {
        return Ok(None);
    }
    if entry.place == place {
        return here(place.n, What::Inserted);
    }
    if before.one_earlier.is_some_and(|earlier| entry.follows(earlier)) {
        return Ok(Some((last.file, last.line, place.n, What::Inserted)));
    }
    if next.is_some_and(|next| next.follows(place)) {
        let is_from_further_down = entry.place.n > expected && find(entry.place.n)?.is_none();
        return if is_from_further_down { removed() } else { here(entry.place.n, What::Inserted) };
    }
    if entry.prev == place.hash {
        return here(expected, number());
    }
    if entry.place.n == expected {
        return if is_confirmed(entry) {
            let how = format!("entry {expected} names another hash for it");
            Ok(Some((last.file, last.line, place.n, What::Changed(how))))
        } else {
            here(
                expected,
                What::Changed(
                    "it does not name the hash of the entry before it, which may be the one that was changed"
                        .to_owned(),
                ),
            )
        };
    }
    if entry.place.n < expected {
        return here(entry.place.n, What::Inserted);
    }
    removed()
}
