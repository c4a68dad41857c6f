//! Who is enrolled, changing what is known of them, and forgetting them. No embedding and no score is shown.

use axum::Json;
use axum::extract::{Extension, State};
use axum::http::StatusCode;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::Web;
use super::endpoint::Endpoint;
use super::orders::refused;
use super::take::{AskedFor, Named, Sent};
use crate::clock::Clock;
use crate::cmds::exit::{Exit, Failure};
use crate::cmds::forget::{Receipt, forget_enrolled};
use crate::cmds::gallery::{open_configured, store_failure};
use crate::cmds::persons::{Change, Models, PersonReport};
use crate::config::Config;
use crate::control::{Answer, Forgotten, Reply, Request};
use crate::domain::{GroupId, PersonId};
use crate::http::{Caller, Problem, Scope};
use crate::inference::ModelFolders;
use crate::store::{self, Store, StoreError};

const GROUP: &str = "People";
/// So many are listed at once.
const MOST: usize = 500;

pub(super) fn endpoints() -> Vec<Endpoint> {
    let nobody = "There is nobody of that name or record";
    vec![
        Endpoint::get("/v1/persons", list)
            .about(GROUP, "Who is enrolled, by name")
            .needs(Scope::Read)
            .query::<Wanted>()
            .gives::<People>(
                StatusCode::OK,
                "Some of them, and where to go on",
                json!({ "persons": [example()], "next": null, "total": 1, "not_used": [] }),
            ),
        Endpoint::get("/v1/persons/{person}", show)
            .about(GROUP, "One person, by name or record")
            .needs(Scope::Read)
            .gives::<Person>(StatusCode::OK, "The person", example())
            .refuses(StatusCode::NOT_FOUND, nobody),
        Endpoint::patch("/v1/persons/{person}", change)
            .about(GROUP, "Change what is known of somebody; what is not named stays as it is")
            .needs(Scope::Enrol)
            .takes::<Edit>(json!({ "set": { "valid_until": "2026-12-31" }, "add_to_groups": ["staff"] }))
            .gives::<Person>(StatusCode::OK, "The person as they are now", example())
            .refuses(StatusCode::NOT_FOUND, nobody)
            .refuses(StatusCode::CONFLICT, "The new name is taken"),
        Endpoint::delete("/v1/persons/{person}/photos/{number}", remove_photo)
            .about(GROUP, "Remove a template and the photo it was made of, counted from 1")
            .needs(Scope::Enrol)
            .gives::<Person>(StatusCode::OK, "The person as they are now", example())
            .refuses(StatusCode::NOT_FOUND, "There is no such person or template")
            .refuses(StatusCode::CONFLICT, "It is the last one: forget the person instead"),
        Endpoint::delete("/v1/persons/{person}", forget)
            .about(GROUP, "Forget somebody, with all that was kept about them; a receipt comes back")
            .needs(Scope::Admin)
            .gives::<Receipt>(
                StatusCode::OK,
                "What is gone, what is left, and what is not reached",
                receipt(),
            )
            .refuses(StatusCode::NOT_FOUND, nobody),
    ]
}

/// A person in answers.
#[derive(Serialize, JsonSchema)]
pub(super) struct Person {
    /// Names them also when they are renamed; use it in paths.
    record: String,
    #[serde(flatten)]
    report: PersonReport,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Wanted {
    /// Only names that have this in them, whatever the case; or groups.
    #[serde(default)]
    search: Option<String>,
    /// Only names after this one.
    #[serde(default)]
    after: Option<String>,
    /// At most so many.
    #[serde(default = "usual_limit")]
    #[schemars(range(min = 1, max = 500))]
    limit: usize,
}

fn usual_limit() -> usize {
    100
}

#[derive(Serialize, JsonSchema)]
struct People {
    persons: Vec<Person>,
    /// Go on with `after` this name; `null` if there are no more.
    next: Option<PersonId>,
    /// So many there are that were searched for.
    total: usize,
    /// Files of the gallery that are damaged or cannot be read, and why: whoever is in them is not recognised.
    not_used: Vec<NotUsed>,
}

#[derive(Serialize, JsonSchema)]
struct NotUsed {
    file: String,
    problem: String,
}

#[derive(Deserialize, JsonSchema, Default)]
#[serde(deny_unknown_fields, default)]
struct Edit {
    /// What is known of them and when they may be let in.
    set: Change,
    /// Into these groups.
    add_to_groups: Vec<GroupId>,
    /// Out of these groups.
    take_out_of_groups: Vec<GroupId>,
    /// The new name.
    rename: Option<PersonId>,
}

/// What the gallery is looked at with.
pub(super) struct Register {
    pub(super) config: Config,
    pub(super) store: Store,
    models: Models,
}

impl Register {
    /// The gallery of the settings. To be opened on a thread that may wait.
    pub(super) fn open(config: Config) -> Result<Self, Problem> {
        let store = open_configured(&config.gallery).map_err(store_problem)?;
        let folders = ModelFolders::or_usual(config.models.folder.clone());
        let models = Models::known(&folders, &config.models.embedder);
        Ok(Self { config, store, models })
    }

    /// Somebody by their name, or by their record.
    pub(super) fn find(&self, named: &str) -> Result<store::Person, Problem> {
        let loaded = self.store.load().map_err(store_problem)?;
        let is_meant =
            |person: &store::Person| person.id.to_string() == named || person.name.as_str() == named;
        loaded.people.into_iter().find(is_meant).ok_or_else(|| {
            Problem::missing(
                "no_such_person",
                "there is nobody of that name or record; GET /v1/persons lists them",
            )
        })
    }

    /// Somebody as they are told of.
    pub(super) fn report(&self, person: &store::Person, clock: &dyn Clock) -> Person {
        let barred = person.particulars.barred_at(clock.wall(clock.now()), &self.config.people.rules());
        Person { record: person.id.to_string(), report: self.models.report(person, barred) }
    }
}

/// A gallery that cannot be read or changed.
pub(super) fn store_problem(error: StoreError) -> Problem {
    match error {
        StoreError::NoSuchPerson(name) => {
            Problem::missing("no_such_person", format!("there is nobody called {name}"))
        }
        other => problem(store_failure(other)),
    }
}

/// What did not work with the gallery, or a change that cannot be.
pub(super) fn problem(failure: Failure) -> Problem {
    match failure.exit {
        Exit::Usage => Problem::unusable("cannot_be", failure),
        Exit::No => Problem::conflict("conflict", failure),
        Exit::Busy => Problem::busy("the gallery is being changed by another program: try again"),
        _ => Problem::internal(failure),
    }
}

impl Web {
    /// Does something with the gallery, on a thread that may wait.
    pub(super) async fn with_register<T: Send + 'static>(
        &self,
        does: impl FnOnce(&Register, &dyn Clock) -> Result<T, Problem> + Send + 'static,
    ) -> Result<T, Problem> {
        let config = self.errands.ask(|_, house| house.config().clone()).await?;
        let clock = std::sync::Arc::clone(&self.clock);
        self.aside(move || does(&Register::open(config)?, clock.as_ref())).await
    }

    /// Changes somebody, has the daemon look at the gallery, and tells of them as they are now.
    async fn with_changed(
        &self,
        change: impl FnOnce(&Register, &dyn Clock) -> Result<store::Person, Problem> + Send + 'static,
    ) -> Result<Json<Person>, Problem> {
        let changed = self.with_register(move |register, clock| {
            let person = change(register, clock)?;
            Ok(Json(register.report(&person, clock)))
        });
        let person = changed.await?;
        self.gallery_changed().await?;
        Ok(person)
    }

    /// Has the daemon look at the gallery, which was changed.
    pub(super) async fn gallery_changed(&self) -> Result<(), Problem> {
        self.errands.ask(|_, house| house.refresh_people()).await
    }
}

async fn list(State(web): State<Web>, AskedFor(wanted): AskedFor<Wanted>) -> Result<Json<People>, Problem> {
    if !(1..=MOST).contains(&wanted.limit) {
        return Err(Problem::bad("bad_query", format!("`limit` is a number from 1 to {MOST}")));
    }
    web.with_register(move |register, clock| {
        let mut loaded = register.store.load().map_err(store_problem)?;
        let search = wanted.search.as_deref().unwrap_or_default().to_lowercase();
        let has = |text: &str| text.to_lowercase().contains(&search);
        loaded.people.retain(|person| {
            has(person.name.as_str()) || person.groups.iter().any(|group| has(group.as_str()))
        });
        loaded.people.sort_by(|a, b| a.name.cmp(&b.name));
        let total = loaded.people.len();
        let from = wanted
            .after
            .as_deref()
            .map_or(0, |after| loaded.people.partition_point(|person| person.name.as_str() <= after));
        let shown = &loaded.people[from..(from + wanted.limit).min(total)];
        let more = from + shown.len() < total;
        let not_used = loaded
            .refused
            .iter()
            .map(|file| NotUsed { file: file.file_name.clone(), problem: file.problem.to_string() });
        Ok(Json(People {
            persons: shown.iter().map(|person| register.report(person, clock)).collect(),
            next: shown.last().filter(|_| more).map(|person| person.name.clone()),
            total,
            not_used: not_used.collect(),
        }))
    })
    .await
}

async fn show(State(web): State<Web>, Named(named): Named<String>) -> Result<Json<Person>, Problem> {
    web.with_register(move |register, clock| Ok(Json(register.report(&register.find(&named)?, clock)))).await
}

async fn change(
    State(web): State<Web>,
    Named(named): Named<String>,
    Sent(edit): Sent<Edit>,
) -> Result<Json<Person>, Problem> {
    web.with_changed(move |register, clock| edited(register, &named, &edit, clock)).await
}

/// Changes somebody as a whole or, where something of it cannot be, not at all.
fn edited(
    register: &Register,
    named: &str,
    edit: &Edit,
    clock: &dyn Clock,
) -> Result<store::Person, Problem> {
    let (now, people) = (clock.wall(clock.now()), &register.config.people);
    let mut person = register.find(named)?;
    let name = person.name.clone();
    // What cannot be is found before anything is written.
    edit.set.apply(&person.particulars, people, now).map_err(problem)?;
    if edit.set != Change::default() {
        person = edit.set.write((&register.store, &name), people, now).map_err(problem)?;
    }
    if !edit.add_to_groups.is_empty() || !edit.take_out_of_groups.is_empty() {
        let groups = (&edit.add_to_groups[..], &edit.take_out_of_groups[..]);
        person = register.store.regroup(&name, groups, now).map_err(store_problem)?;
    }
    match &edit.rename {
        Some(new) if *new != name => register.store.rename(&name, new, now).map_err(store_problem),
        _ => Ok(person),
    }
}

async fn remove_photo(
    State(web): State<Web>,
    Named((named, number)): Named<(String, usize)>,
) -> Result<Json<Person>, Problem> {
    web.with_changed(move |register, clock| without_template(register, &named, number, clock)).await
}

fn without_template(
    register: &Register,
    named: &str,
    number: usize,
    clock: &dyn Clock,
) -> Result<store::Person, Problem> {
    let name = register.find(named)?.name;
    let mut changes = register.store.begin().map_err(store_problem)?;
    let templates = changes.get(&name).map_or(0, |person| person.templates.len());
    if !(1..=templates).contains(&number) {
        return Err(Problem::missing(
            "no_such_photo",
            format!("there are {templates} templates, counted from 1"),
        ));
    }
    if templates == 1 {
        let message =
            "it is the last one: without it they could not be recognised; forget the person instead";
        return Err(Problem::conflict("last_photo", message));
    }
    let remove = |person: &mut store::Person| drop(person.templates.remove(number - 1));
    changes.change(&name, clock.wall(clock.now()), remove).map_err(store_problem)
}

/// The daemon is asked beforehand whether it can take away what it keeps; then they leave the gallery, and then the rest.
async fn forget(
    State(web): State<Web>,
    Extension(caller): Extension<Caller>,
    Named(named): Named<String>,
) -> Result<Json<Receipt>, Problem> {
    let (person, gallery) = web
        .with_register(move |register, _| Ok((register.find(&named)?, register.store.folder().to_owned())))
        .await?;
    let request = |only_check| Request::Forget {
        record: person.id.to_string(),
        person: Some(person.name.clone()),
        gallery: gallery.clone(),
        only_check,
    };
    web.order(request(true), &caller).await?;
    let (orders, order, runtime) = (web.clone(), request(false), tokio::runtime::Handle::current());
    web.with_register(move |register, _| {
        let finish = || runtime.block_on(finish(&orders, order, &caller));
        forget_enrolled(&register.store, person, finish).map(Json).map_err(problem)
    })
    .await
}

/// Takes away what is kept beside the gallery. What cannot be is said in the receipt, since they are out of the gallery.
async fn finish(web: &Web, order: Request, caller: &Caller) -> Forgotten {
    let done = match web.begin(order, caller).await {
        Ok(Reply::Work(work)) => web.work(work, None).await,
        Ok(Reply::Answer(answer)) => refused(answer),
        Err(problem) => Err(problem),
    };
    match done {
        Ok(Answer::Forgotten { report }) => report,
        other => {
            let why =
                other.map_or_else(|problem| problem.message, |_| "it answered something else".to_owned());
            let left =
                format!("the outbox, the recordings and the event log: the daemon did not do it: {why}");
            Forgotten { left: vec![left], ..Forgotten::default() }
        }
    }
}

/// A person for the documentation.
pub(super) fn example() -> Value {
    json!({
        "record": "01KB000000000000000000000A", "name": "Ada", "groups": ["staff"],
        "particulars": { "consent": {
            "by": "Ada", "purpose": "door access", "given": "2026-11-26T08:00:00.000Z"
        } },
        "barred": null, "file": "01KB000000000000000000000A.fwp", "enrolled": "2026-11-26T08:00:00.000Z",
        "changed": "2026-11-26T08:00:00.000Z",
        "templates": [{
            "source": "ada.jpg", "added": "2026-11-26T08:00:00.000Z", "refreshed": false, "has_photo": true,
            "model_digest": "315356c8eded", "model": "faceplugin512"
        }],
        "templates_of_other_models": 0,
        "coverage": {
            "templates": 1, "straight": 1, "left": 0, "right": 0, "up": 0, "down": 0, "not_measured": 0,
            "luma": [120.0, 120.0], "widest_face_px": 180.0, "advice": ["a picture turned to the left"]
        }
    })
}

fn receipt() -> Value {
    json!({
        "schema": "facewarden.forget/1", "at": "2026-11-26T08:00:00.000Z", "version": "0.1.0",
        "record": "01KB000000000000000000000A", "record_sha256": "5f…",
        "removed": {
            "templates": 1, "photos": 1, "quarantined": 0, "outbox_events": 3, "refused_events": 0, "recordings": 0,
            "log_entries": 3
        },
        "left": [], "not_looked_into": [], "not_reached": ["backups of the gallery"], "sha256": "9c…"
    })
}
