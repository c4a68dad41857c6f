//! `facewarden migrate`: templates of another model, made of the photos that were kept.

use std::collections::BTreeSet;

use super::engine::{Engine, Face, ModelArgs};
use super::exit::{Exit, Failure, OrExit, Outcome};
use super::gallery::{GalleryArgs, store_failure, warn_of_refused};
use crate::clock::{Clock, SystemClock};
use crate::domain::ModelDigest;
use crate::inference::Embedder as _;
use crate::store::{Person, RecordId, Store, Template};
use crate::vision::photo;

/// Arguments of `migrate`.
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub struct Args {
    /// Afterwards remove the templates of other models of everybody who has some of this one
    #[arg(long)]
    drop_others: bool,
    /// Only say who could be taken along and who could not
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    gallery: GalleryArgs,
    #[command(flatten)]
    models: ModelArgs,
}

const AFTER_HELP: &str = "\
Say --model NAME for the model that is to be used from now on. Templates of both models are kept side by side, each used
by its own model, until --drop-others. Whoever has no kept photo is named and has to be enrolled anew. Can be said
again at any time: what is done is not done twice.

Exit codes: 1 somebody has no photo that could be used; others as in `facewarden --help`.";

/// What became of one photo.
enum Remade {
    Template(Box<Template>),
    Unusable(String),
}

/// Runs `migrate`.
///
/// # Errors
/// If the models, the gallery or its key cannot be used.
pub fn run(args: &Args) -> Outcome {
    let store = args.gallery.open()?;
    let mut engine = Engine::load(&args.models)?;
    let loaded = store.load().map_err(store_failure)?;
    warn_of_refused(&loaded);
    let model = engine.embedder.digest();
    let clock = SystemClock::new();
    let (mut remade, mut left_behind) = (0, Vec::new());
    for person in &loaded.people {
        let todo = photos_to_do(person, model);
        let mut templates = Vec::new();
        for id in if args.dry_run { Vec::new() } else { todo.clone() } {
            match remake(&store, &mut engine, person, id)? {
                Remade::Template(template) => templates.push(*template),
                Remade::Unusable(why) => eprintln!("facewarden: a photo of {} is no use: {why}", person.name),
            }
        }
        remade += templates.len();
        let has_some = has_template_of(person, model)
            || if args.dry_run { !todo.is_empty() } else { !templates.is_empty() };
        if !has_some {
            left_behind.push(&person.name);
            continue;
        }
        let is_cluttered = person.templates.iter().any(|template| template.embedding.model() != model);
        if !args.dry_run && (!templates.is_empty() || (args.drop_others && is_cluttered)) {
            let now = clock.wall(clock.now());
            let mut changes = store.begin().map_err(store_failure)?;
            changes
                .change(&person.name, now, |person| {
                    // Somebody may have done the same meanwhile.
                    let there: BTreeSet<_> = photos_of(person, model).collect();
                    templates.retain(|template| template.photo.is_none_or(|photo| !there.contains(&photo)));
                    person.templates.append(&mut templates);
                    if args.drop_others {
                        person.templates.retain(|template| template.embedding.model() == model);
                    }
                })
                .map_err(store_failure)?;
        }
    }
    for name in &left_behind {
        eprintln!("facewarden: {name} has no photo to make a template of: enrol them anew with this model");
    }
    let people = loaded.people.len();
    let ready = people - left_behind.len();
    let would = if args.dry_run { " would be" } else { " are" };
    super::say(&format!(
        "{ready} of {people} persons{would} recognised by {}; {remade} templates were made\n",
        args.models.model
    ))?;
    Ok(if left_behind.is_empty() { Exit::Ok } else { Exit::No })
}

fn has_template_of(person: &Person, model: ModelDigest) -> bool {
    person.templates.iter().any(|template| template.embedding.model() == model)
}

fn photos_of(person: &Person, model: ModelDigest) -> impl Iterator<Item = RecordId> + '_ {
    person.templates.iter().filter(move |t| t.embedding.model() == model).filter_map(|t| t.photo)
}

/// The photos of which this model has made no template yet, in the order they were taken.
fn photos_to_do(person: &Person, model: ModelDigest) -> Vec<RecordId> {
    let mut known: BTreeSet<RecordId> = photos_of(person, model).collect();
    person.photos().filter(|photo| known.insert(*photo)).collect()
}

/// Makes a template of a kept photo. The face it was kept for is the one in its middle.
fn remake(store: &Store, engine: &mut Engine, person: &Person, id: RecordId) -> Result<Remade, Failure> {
    let unusable = |why: String| Ok(Remade::Unusable(why));
    let bytes = match store.photo(id) {
        Ok(bytes) => bytes,
        Err(error) => return unusable(error.to_string()),
    };
    let picture = match photo::decode(&bytes) {
        Ok(picture) => picture,
        Err(error) => return unusable(error.to_string()),
    };
    #[expect(clippy::cast_precision_loss, reason = "pixels of a photo")]
    let middle = (picture.width() as f32 / 2.0, picture.height() as f32 / 2.0);
    let off = |face: &Face| {
        let centre = face.detection.box_in_frame.centre();
        (centre.x - middle.0).hypot(centre.y - middle.1)
    };
    let faces = engine.faces(&picture).or_exit(Exit::Internal)?;
    let Some(face) = faces.into_iter().min_by(|a, b| off(a).total_cmp(&off(b))) else {
        return unusable("no face found".to_owned());
    };
    let embedding = engine.embedder.embed(&picture, &face.detection).or_exit(Exit::Internal)?;
    let Some(origin) = person.templates.iter().find(|template| template.photo == Some(id)) else {
        return unusable("it belongs to no template".to_owned());
    };
    Ok(Remade::Template(Box::new(Template { embedding, ..origin.clone() })))
}
