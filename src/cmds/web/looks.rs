//! Pictures of people: whether one can be enrolled, who is on one, and enrolling somebody from some.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Extension, State};
use axum::http::StatusCode;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::Web;
use super::endpoint::Endpoint;
use super::persons::{Person, Register, example, problem, store_problem};
use super::take::{Named, Sent};
use super::upload::{Limits, decode_text};
use crate::clock::Clock;
use crate::cmds::engine::Engine;
use crate::cmds::enroll::{self, MOST, Portrait, Standard, Written, write};
use crate::cmds::persons::Change;
use crate::cmds::pictures::{FacialArea, look_at};
use crate::cmds::terms::Terms;
use crate::config::Config;
use crate::domain::{Particulars, PersonId};
use crate::http::{Caller, Problem, Scope};

/// So many pictures are enrolled at once.
const MOST_PICTURES: usize = 10;

pub(super) fn endpoints(limits: Limits) -> Vec<Endpoint> {
    let picture = "data:image/jpeg;base64,/9j/4AAQ…";
    let area = json!({ "x": 10, "y": 12, "w": 80, "h": 96, "left_eye": [66, 50], "right_eye": [34, 50] });
    let enrolled = json!({ "person": example(), "added": 1, "pictures": [{ "number": 1, "code": null, "message": null }] });
    let unusable = "None of the pictures can be used, and why";
    let conflict = "The pictures show different people, or somebody who is enrolled under another name";
    vec![
        Endpoint::post("/v1/persons", enrol_new)
            .about("People", "Enrol somebody from pictures; none of them is kept unless the settings say so")
            .needs(Scope::Enrol)
            .takes::<NewPerson>(json!({ "person": "Ada", "images": [picture] }))
            .up_to(limits.body(MOST_PICTURES))
            .gives::<Enrolled>(StatusCode::CREATED, "They are enrolled", enrolled.clone())
            .refuses(StatusCode::CONFLICT, conflict)
            .refuses(StatusCode::UNPROCESSABLE_ENTITY, unusable),
        Endpoint::post("/v1/persons/{person}/photos", enrol_more)
            .about("People", "Enrol more pictures of somebody")
            .needs(Scope::Enrol)
            .takes::<MorePictures>(json!({ "images": [picture] }))
            .up_to(limits.body(MOST_PICTURES))
            .gives::<Enrolled>(StatusCode::OK, "They are enrolled", enrolled)
            .refuses(StatusCode::NOT_FOUND, "There is nobody of that name or record")
            .refuses(StatusCode::CONFLICT, conflict)
            .refuses(StatusCode::UNPROCESSABLE_ENTITY, unusable),
        Endpoint::post("/v1/photos/check", check)
            .about("People", "Whether a picture can be enrolled; keeps nothing")
            .needs(Scope::Enrol)
            .takes::<OnePicture>(json!({ "image": picture }))
            .up_to(limits.body(1))
            .gives::<Checked>(
                StatusCode::OK,
                "Whether it can",
                json!({
                    "usable": false, "code": "quality", "message": "the face is blurred", "width": 640, "height": 480,
                    "faces": [{ "facial_area": area, "faults": ["blurred"], "quality": 0.4 }]
                }),
            ),
        Endpoint::post("/v1/identify", identify)
            .about("People", "Who is on a picture; whether they live is not judged, so open no door by it")
            .needs(Scope::Verify)
            .takes::<OnePicture>(json!({ "image": picture }))
            .up_to(limits.body(1))
            .gives::<Identified>(
                StatusCode::OK,
                "The faces, the largest first",
                json!({
                    "faces": [{
                        "facial_area": area, "person": "Ada", "candidates": [{ "person": "Ada", "similarity": 0.8 }]
                    }],
                    "needed_similarity": 0.5, "model": "faceplugin512", "detector": "centerface"
                }),
            )
            .refuses(StatusCode::BAD_REQUEST, "There is no face, or it is no picture"),
    ]
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct NewPerson {
    /// What they are called.
    person: PersonId,
    /// One to ten pictures, each in base64 or as a data URI, with one face on each.
    #[schemars(length(min = 1, max = 10))]
    images: Vec<String>,
    /// What else is known of them.
    #[serde(default)]
    set: Change,
    /// True to take pictures also where something speaks against it.
    #[serde(default)]
    force: bool,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct MorePictures {
    /// One to ten pictures, as for a new person.
    #[schemars(length(min = 1, max = 10))]
    images: Vec<String>,
    /// True to take pictures also where something speaks against it.
    #[serde(default)]
    force: bool,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct OnePicture {
    /// A picture, in base64 or as a data URI.
    image: String,
}

#[derive(Serialize, JsonSchema)]
struct Enrolled {
    person: Person,
    /// So many templates were added.
    added: usize,
    /// What became of each picture, in the order in which they were sent.
    pictures: Vec<Fate>,
}

/// What became of a picture.
#[derive(Debug, Clone, Serialize, JsonSchema)]
struct Fate {
    /// From 1.
    number: usize,
    /// Why it was not taken, for programs; `null` if it was.
    code: Option<&'static str>,
    /// The same for people.
    message: Option<String>,
}

#[derive(Serialize, JsonSchema)]
struct Checked {
    usable: bool,
    /// Why not, for programs.
    code: Option<&'static str>,
    /// Why not, for people.
    message: Option<String>,
    faces: Vec<CheckedFace>,
    /// Of the picture, pixels.
    width: u32,
    height: u32,
}

#[derive(Serialize, JsonSchema)]
struct CheckedFace {
    facial_area: FacialArea,
    /// What is wrong with it, for people.
    faults: Vec<String>,
    /// How good it is, 0 to 1.
    quality: f32,
}

#[derive(Serialize, JsonSchema)]
struct Identified {
    faces: Vec<IdentifiedFace>,
    /// Somebody is recognised from this on, with so many people enrolled; `null` if nobody can be.
    needed_similarity: Option<f32>,
    model: String,
    detector: String,
}

#[derive(Serialize, JsonSchema)]
struct IdentifiedFace {
    facial_area: FacialArea,
    /// Who it is; `null` if nobody is alike enough, or two people are nearly equally so.
    person: Option<PersonId>,
    /// The two most alike people.
    candidates: Vec<LikelyPerson>,
}

#[derive(Serialize, JsonSchema)]
struct LikelyPerson {
    person: PersonId,
    /// -1 to 1.
    similarity: f32,
}

async fn check(
    State(web): State<Web>,
    Sent(OnePicture { image }): Sent<OnePicture>,
) -> Result<Json<Checked>, Problem> {
    let limits = web.limits;
    let told = web.pool.run(web.pool.usual(), move |engine| {
        let picture = decode_text(&image, "image", limits)?;
        let found = engine.faces(&picture).map_err(Problem::internal)?;
        let refusal = enroll::pick(found.clone(), None, false).err();
        let faces = found.iter().map(|face| CheckedFace {
            facial_area: FacialArea::new(&face.detection, picture.dimensions()),
            faults: face.quality.faults.iter().map(ToString::to_string).collect(),
            quality: face.quality.score,
        });
        Ok(Checked {
            usable: refusal.is_none(),
            code: refusal.as_ref().map(enroll::Refusal::code),
            message: refusal.as_ref().map(said),
            faces: faces.collect(),
            width: picture.width(),
            height: picture.height(),
        })
    });
    told.await.map(Json)
}

/// A refusal, without what only the command line has.
fn said(refusal: &enroll::Refusal) -> String {
    match refusal {
        enroll::Refusal::SeveralFaces(faces) => {
            format!("{} faces found: only one may be on the picture", faces.len())
        }
        other => other.to_string().replace(" (--force takes it all the same)", ""),
    }
}

async fn identify(
    State(web): State<Web>,
    Sent(OnePicture { image }): Sent<OnePicture>,
) -> Result<Json<Identified>, Problem> {
    let (gallery, config) = web.errands.ask(|_, house| (house.gallery(), house.config().clone())).await?;
    let limits = web.limits;
    let told = web.pool.run(web.pool.usual(), move |engine| {
        let picture = decode_text(&image, "image", limits)?;
        let seen = look_at(engine, std::path::Path::new("image"), &picture).map_err(Problem::internal)?;
        if seen.is_empty() {
            return Err(Problem::bad("no_face", "no face was found in `image`"));
        }
        let gallery = gallery.current();
        let (model, calibration) = (engine.embedder.name(), engine.embedder.calibration());
        let terms = Terms::new(&config, model, calibration, true).map_err(Problem::internal)?;
        let needed = terms.policy.acceptance.needed(gallery.people().max(1)).map(|needed| needed.threshold);
        let faces = seen.into_iter().map(|seen| {
            let ranking = gallery.rank(&seen.embedding).map_err(Problem::internal)?;
            let candidates: Vec<LikelyPerson> = [ranking.best, ranking.second]
                .into_iter()
                .flatten()
                .map(|one| LikelyPerson { person: one.person, similarity: one.similarity.value() })
                .collect();
            let is_clear = match &candidates[..] {
                [best, second] => best.similarity - second.similarity >= terms.policy.min_margin,
                one => !one.is_empty(),
            };
            let best = candidates
                .first()
                .filter(|best| is_clear && needed.is_some_and(|needed| best.similarity >= needed.value()));
            let person = best.map(|best| best.person.clone());
            Ok(IdentifiedFace { facial_area: seen.area, person, candidates })
        });
        Ok(Identified {
            faces: faces.collect::<Result<_, Problem>>()?,
            needed_similarity: needed.map(|needed| needed.value()),
            model: engine.embedder.name().to_owned(),
            detector: engine.detector.name().to_owned(),
        })
    });
    told.await.map(Json)
}

async fn enrol_new(
    State(web): State<Web>,
    Extension(caller): Extension<Caller>,
    Sent(new): Sent<NewPerson>,
) -> Result<(StatusCode, Json<Enrolled>), Problem> {
    let NewPerson { person, images, set, force } = new;
    let order = Order { named: None, person: Some(person), images, set, force };
    Ok((StatusCode::CREATED, enrol(&web, &caller, order).await?))
}

async fn enrol_more(
    State(web): State<Web>,
    Extension(caller): Extension<Caller>,
    Named(named): Named<String>,
    Sent(MorePictures { images, force }): Sent<MorePictures>,
) -> Result<Json<Enrolled>, Problem> {
    let order = Order { named: Some(named), person: None, images, set: Change::default(), force };
    enrol(&web, &caller, order).await
}

/// Who is to be enrolled from what.
struct Order {
    /// Somebody who is enrolled already, by name or record.
    named: Option<String>,
    /// Or somebody new.
    person: Option<PersonId>,
    images: Vec<String>,
    set: Change,
    force: bool,
}

async fn enrol(web: &Web, caller: &Caller, order: Order) -> Result<Json<Enrolled>, Problem> {
    if !(1..=MOST_PICTURES).contains(&order.images.len()) {
        return Err(Problem::unusable("cannot_be", format!("`images` has 1 to {MOST_PICTURES} pictures")));
    }
    let config = web.errands.ask(|_, house| house.config().clone()).await?;
    let (limits, clock) = (web.limits, Arc::clone(&web.clock));
    let enrolled =
        web.pool.run(web.pool.usual(), move |engine| order.carry_out(engine, config, limits, clock.as_ref()));
    let enrolled = enrolled.await?;
    tracing::info!(added = enrolled.added, "{} enrolled somebody over HTTP", caller.as_doer());
    web.gallery_changed().await?;
    Ok(Json(enrolled))
}

impl Order {
    fn carry_out(
        self,
        engine: &mut Engine,
        config: Config,
        limits: Limits,
        clock: &dyn Clock,
    ) -> Result<Enrolled, Problem> {
        let keeps_photos = config.enrolment.keep_photos;
        let register = Register::open(config)?;
        let now = clock.wall(clock.now());
        let name = self.name(&register)?;
        // What cannot be is found before anything is written.
        let known = self.set.apply(&Particulars::default(), &register.config.people, now);
        known.map_err(problem)?;
        let (portraits, mut pictures) = self.portraits(engine, limits, keeps_photos)?;
        if portraits.is_empty() {
            let problem = Problem::unusable("no_usable_picture", "none of the pictures can be used");
            return Err(problem.with("pictures", as_json(&pictures)));
        }
        let mut changes = register.store.begin().map_err(store_problem)?;
        let standard = Standard::of(&engine.embedder, MOST);
        let written = write(&mut changes, &standard, (&name, &portraits), self.force, now);
        let judged = match written.map_err(problem)? {
            Written::Refused(judged) => {
                let said: Vec<String> = judged.conflicts().iter().map(ToString::to_string).collect();
                let message = format!("nothing was enrolled: {}", said.join("; "));
                return Err(Problem::conflict("conflict", message).with("conflicts", said));
            }
            Written::Done(judged, _) => judged,
        };
        drop(changes);
        let taken = pictures.iter_mut().filter(|fate| fate.code.is_none());
        for (picture, fate) in taken.zip(&judged.fates) {
            if let Some(code) = fate.code() {
                (picture.code, picture.message) = (Some(code), Some(fate.to_string()));
            }
        }
        let mut person = register.store.get(&name).map_err(store_problem)?;
        if self.set != Change::default() {
            person =
                self.set.write((&register.store, &name), &register.config.people, now).map_err(problem)?;
        }
        let added = judged.fates.iter().filter(|fate| **fate == enroll::Fate::Kept).count();
        Ok(Enrolled { person: register.report(&person, clock), added, pictures })
    }

    /// The name of who is to be enrolled: somebody who is there, or somebody who is not.
    fn name(&self, register: &Register) -> Result<PersonId, Problem> {
        match (&self.named, &self.person) {
            (Some(named), _) => Ok(register.find(named)?.name),
            (None, Some(person)) => match register.find(person.as_str()) {
                Ok(_) => {
                    let message = "somebody of that name is enrolled; POST …/photos adds pictures to them";
                    Err(Problem::conflict("exists", message))
                }
                Err(problem) if problem.status == StatusCode::NOT_FOUND => Ok(person.clone()),
                Err(problem) => Err(problem),
            },
            (None, None) => Err(Problem::internal("an order to enrol nobody")),
        }
    }

    /// The faces that can be enrolled, and what became of each picture.
    fn portraits(
        &self,
        engine: &mut Engine,
        limits: Limits,
        keeps_photos: bool,
    ) -> Result<(Vec<Portrait>, Vec<Fate>), Problem> {
        let (mut portraits, mut fates) = (Vec::new(), Vec::new());
        for (number, image) in (1..).zip(&self.images) {
            let source = format!("upload {number}");
            let refused = |code, message| Fate { number, code: Some(code), message: Some(message) };
            let fate = match decode_text(image, "image", limits) {
                Err(problem) => refused("unreadable", problem.message),
                Ok(picture) => {
                    let how = (self.force, keeps_photos);
                    let looked = enroll::look_at(engine, (&source, &picture), None, how);
                    match looked.map_err(Problem::internal)? {
                        Ok(portrait) => {
                            portraits.push(portrait);
                            Fate { number, code: None, message: None }
                        }
                        Err(refusal) => refused(refusal.code(), said(&refusal)),
                    }
                }
            };
            fates.push(fate);
        }
        Ok((portraits, fates))
    }
}

fn as_json(fates: &[Fate]) -> Value {
    // Text and numbers always have a form in JSON.
    serde_json::to_value(fates).unwrap_or_default()
}
