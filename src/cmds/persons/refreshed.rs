//! `facewarden persons refreshed`: what was added to somebody by itself, and taking it away.

use super::{Args, House, Models, day, done, models};
use crate::cmds::exit::{Exit, Failure, Outcome};
use crate::cmds::gallery::store_failure;
use crate::domain::PersonId;
use crate::store::{Person, Store, Template};

/// Shows what was added, or takes it away.
///
/// # Errors
/// If there is nobody of that name, nothing else is left of them, or the gallery cannot be read or changed.
pub(super) fn run(args: &Args, store: &Store, house: &House, name: &PersonId, remove: bool) -> Outcome {
    if remove {
        let (person, count) = without(store, house, name)?;
        return done(
            args,
            &person,
            &format!("{count} added by themselves were taken away from {name}\n"),
            house,
        );
    }
    let person = store.get(name).map_err(store_failure)?;
    done(args, &person, &text(&person, &models(args)), house)
}

/// Somebody without what was added, which were so many templates.
fn without(store: &Store, house: &House, name: &PersonId) -> Result<(Person, usize), Failure> {
    let before = store.get(name).map_err(store_failure)?;
    if !before.templates.iter().any(|template| template.is_refreshed) {
        return Ok((before, 0));
    }
    let mut changes = store.begin().map_err(store_failure)?;
    let mut count = 0;
    let is_left = |person: &Person| person.templates.iter().any(|template| !template.is_refreshed);
    if changes.get(name).is_some_and(|person| !is_left(person)) {
        let message = format!(
            "nothing else is enrolled of {name}: enrol them anew first, or use `facewarden persons remove`"
        );
        return Err(Failure::new(Exit::No, message));
    }
    let take_away = |person: &mut Person| {
        let all = person.templates.len();
        person.templates.retain(|template| !template.is_refreshed);
        count = all - person.templates.len();
    };
    let person = changes.change(name, house.now, take_away).map_err(store_failure)?;
    Ok((person, count))
}

fn text(person: &Person, models: &Models) -> String {
    let added: Vec<&Template> = person.templates.iter().filter(|template| template.is_refreshed).collect();
    let mut text = format!(
        "{}: {} of {} templates added by themselves\n",
        person.name,
        added.len(),
        person.templates.len()
    );
    for template in added {
        let source = template.source.as_deref().unwrap_or("(source not recorded)").escape_debug();
        let model = models.name_of(template.embedding.model());
        text.push_str(&format!("  {}  {model}  {source}\n", day(template.added)));
    }
    text
}
