//! Judging and writing what was taken, while nobody else can change the gallery: two who enrol one person at the same
//! moment cannot both find them unknown.

use super::picture::Portrait;
use super::standard::{Judged, Standard, template};
use crate::clock::WallTime;
use crate::cmds::exit::{Exit, Failure, OrExit};
use crate::cmds::gallery::store_failure;
use crate::domain::PersonId;
use crate::store::{Changes, Template};

/// What came of it.
#[derive(Debug)]
pub enum Written {
    /// Something speaks against it: nothing was changed.
    Refused(Judged),
    /// It is written, and they have so many templates now; `None`: there was nothing to add.
    Done(Judged, Option<usize>),
}

/// Judges pictures by who is enrolled, and writes those that are worth it. With `force` nothing speaks against it.
///
/// # Errors
/// If a template of the gallery is damaged, or the gallery cannot be changed.
pub(in crate::cmds) fn write(
    changes: &mut Changes<'_>,
    standard: &Standard,
    (name, portraits): (&PersonId, &[Portrait]),
    force: bool,
    now: WallTime,
) -> Result<Written, Failure> {
    let judged = standard.judge(name, portraits, changes.people()).or_exit(Exit::Data)?;
    if !judged.conflicts().is_empty() && !force {
        return Ok(Written::Refused(judged));
    }
    let mut templates = Vec::new();
    for portrait in judged.kept(portraits) {
        let photo = portrait.photo.as_deref().map(|photo| changes.keep_photo(photo, now));
        let photo = photo.transpose().map_err(store_failure)?;
        templates.push(Template { photo, ..template(portrait, now) });
    }
    if templates.is_empty() {
        return Ok(Written::Done(judged, None));
    }
    let person = changes.enrol(name, templates, now).map_err(store_failure)?;
    Ok(Written::Done(judged, Some(person.templates.len())))
}
