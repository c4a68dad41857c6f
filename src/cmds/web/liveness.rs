//! The liveness self-test at a running camera: begun, presented to as often as one likes, and ended with a report. Meanwhile
//! nobody is verified at that camera.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::Json;
use axum::extract::{Extension, State};
use axum::http::StatusCode;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::Web;
use super::cameras::{camera_named, no_such_camera};
use super::endpoint::Endpoint;
use super::orders::refused;
use super::take::{Named, Sent};
use crate::cmds::desk::Hold;
use crate::cmds::exit::{Exit, Failure};
use crate::cmds::liveness_test::{Counts, Extent, GLANCE, Kind, Report, Test, tapped, untested};
use crate::config::Config;
use crate::domain::CameraId;
use crate::http::{Caller, Problem};
use crate::pipeline::Tap;
use crate::store::{AttackKind, Origin, Presentations};

const GROUP: &str = "Liveness self-test";
const PATH: &str = "/v1/cameras/{camera}/liveness-test";
/// It is looked so often whether a test was called off.
const SWEEP: Duration = Duration::from_secs(1);

pub(super) fn endpoints() -> Vec<Endpoint> {
    let none = "There is no such camera";
    vec![
        Endpoint::get(PATH, standing)
            .about(GROUP, "Whether a test is asked for, and what is missing")
            .gives::<Standing>(StatusCode::OK, "How it stands", json!({ "is_required": false, "missing": null, "is_going_on": false }))
            .refuses(StatusCode::NOT_FOUND, none),
        Endpoint::post(PATH, begin)
            .about(GROUP, "Begin a test; nobody is verified at the camera until it has ended, or for three minutes after the last presentation")
            .gives::<Begun>(StatusCode::CREATED, "Present something", json!({ "camera": "door", "min_presentations": USUAL_LEAST }))
            .refuses(StatusCode::NOT_FOUND, none)
            .refuses(StatusCode::CONFLICT, "The camera is paused or used for something else, or `liveness.mode` is off")
            .refuses(StatusCode::SERVICE_UNAVAILABLE, "The camera is lost")
            .refuses(StatusCode::INSUFFICIENT_STORAGE, "The result could not be stored (`liveness.self_test_file`)"),
        Endpoint::delete(PATH, break_off)
            .about(GROUP, "Break a test off, also while something is presented; nothing is stored")
            .gives_other(StatusCode::NO_CONTENT, "The camera watches again", "")
            .refuses(StatusCode::CONFLICT, "No test was begun at this camera, or it was called off"),
        Endpoint::post("/v1/cameras/{camera}/liveness-test/presentations", present)
            .about(GROUP, "Watch one presentation: at most for that long, and as soon as it is clear what it is taken for")
            .takes::<Presented>(json!({ "kind": "phone", "seconds": 6 }))
            .gives::<Told>(StatusCode::OK, "What it was taken for, and the counts so far", told_example())
            .refuses(StatusCode::CONFLICT, NOT_NOW)
            .refuses(StatusCode::SERVICE_UNAVAILABLE, "The camera is lost"),
        Endpoint::post("/v1/cameras/{camera}/liveness-test/end", end)
            .about(GROUP, "End a test and store its result")
            .takes::<Ending>(json!({ "min_presentations": USUAL_LEAST }))
            .gives::<Ended>(StatusCode::OK, "The report", ended_example())
            .refuses(StatusCode::CONFLICT, NOT_NOW)
            .refuses(StatusCode::INSUFFICIENT_STORAGE, "The result cannot be stored; the test can be ended again"),
    ]
}

const NOT_NOW: &str = "No test was begun at this camera, it was called off, or a presentation goes on";
/// As on the command line.
const USUAL_LEAST: u64 = 5;

#[derive(Serialize, JsonSchema)]
struct Standing {
    /// True if the settings let nobody in before a test was passed (`liveness.require_self_test`).
    is_required: bool,
    /// Why nobody is let in for want of a test; null if nothing is missing.
    missing: Option<String>,
    /// True while a test goes on.
    is_going_on: bool,
}

#[derive(Serialize, JsonSchema)]
struct Begun {
    camera: CameraId,
    /// So many presentations are needed for a pass: of live people, and of at least one kind of attack.
    min_presentations: u64,
}

/// What is presented.
#[derive(Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum What {
    Live,
    Print,
    Phone,
    Laptop,
    Other,
}

impl From<What> for Kind {
    fn from(what: What) -> Self {
        match what {
            What::Live => Self::Live,
            What::Print => Self::Attack(AttackKind::Print),
            What::Phone => Self::Attack(AttackKind::Phone),
            What::Laptop => Self::Attack(AttackKind::Laptop),
            What::Other => Self::Attack(AttackKind::Other),
        }
    }
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Presented {
    kind: What,
    /// The longest time that it takes, 2 to 30 seconds.
    #[serde(default = "usual_seconds")]
    #[schemars(range(min = 2, max = 30))]
    seconds: u64,
}

fn usual_seconds() -> u64 {
    6
}

#[derive(Serialize, JsonSchema)]
struct Told {
    /// `live`, `picture_model`, `picture_edges` or `picture_light`; or, where it is to be repeated, `no_face`, `poor`,
    /// `too_little` or `several_faces`.
    code: &'static str,
    /// The same for people.
    message: String,
    /// Live people.
    live: Presentations,
    /// Attacks, by kind.
    attacks: BTreeMap<&'static str, Presentations>,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Ending {
    /// So many presentations are needed for a pass: of live people, and of at least one kind of attack.
    #[serde(default = "usual_least")]
    #[schemars(range(min = 1))]
    min_presentations: u64,
}

fn usual_least() -> u64 {
    USUAL_LEAST
}

#[derive(Serialize, JsonSchema)]
struct Ended {
    report: Report,
    /// Why nobody is let in for want of a passed test, now that this one was stored; null if nothing is missing.
    missing: Option<String>,
}

/// The tests that go on, by camera.
#[derive(Clone, Default)]
pub(super) struct Tests(Arc<Mutex<BTreeMap<CameraId, Arc<Running>>>>);

/// A test that goes on.
struct Running {
    hold: Hold,
    tap: Tap,
    test: Mutex<Test>,
}

impl Running {
    /// Whether it was called off, or came to an end by a defect.
    fn is_over(&self) -> bool {
        self.hold.is_called_off() || self.test.is_poisoned()
    }

    /// Whether that flag is its own.
    fn is(&self, flag: &Arc<AtomicBool>) -> bool {
        Arc::ptr_eq(&self.hold.flag(), flag)
    }

    /// The test itself, unless somebody is at it.
    fn test(&self) -> Result<MutexGuard<'_, Test>, Problem> {
        self.test
            .try_lock()
            .map_err(|_busy| Problem::conflict("in_use", "a presentation goes on: wait for its end"))
    }
}

impl Tests {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<CameraId, Arc<Running>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn find(&self, camera: &CameraId) -> Result<Arc<Running>, Problem> {
        let found = self.lock().get(camera).map(Arc::clone);
        found.filter(|running| !running.is_over()).ok_or_else(none_begun)
    }

    /// Takes out a test, if it is that one.
    fn take(&self, camera: &CameraId, flag: &Arc<AtomicBool>) -> Option<Arc<Running>> {
        let mut tests = self.lock();
        let is_it = tests.get(camera).is_some_and(|running| running.is(flag));
        if is_it { tests.remove(camera) } else { None }
    }
}

fn none_begun() -> Problem {
    let message = "no test goes on at this camera: none was begun, or it was broken off, or called off because the camera \
                   was paused or nothing was presented for three minutes";
    Problem::conflict("no_test", message)
}

async fn standing(State(web): State<Web>, Named(name): Named<String>) -> Result<Json<Standing>, Problem> {
    let camera = camera_named(&name)?;
    let is_going_on = web.tests.find(&camera).is_ok();
    let config = web.own_config(camera).await?;
    let is_required = config.liveness.require_self_test;
    let missing = web.aside(move || untested(&config).map_err(problem)).await?;
    Ok(Json(Standing { is_required, missing, is_going_on }))
}

async fn begin(
    State(web): State<Web>,
    Extension(caller): Extension<Caller>,
    Named(name): Named<String>,
) -> Result<(StatusCode, Json<Begun>), Problem> {
    let camera = camera_named(&name)?;
    let (asked, by) = (camera.clone(), caller.as_doer());
    let taken = web.errands.ask(move |desk, house| {
        tracing::info!("{by} asked for a liveness self-test at {asked} over HTTP");
        desk.begin_liveness_test(&asked, &by, house)
    });
    let taken = match taken.await? {
        Ok(taken) => taken,
        Err(answer) => {
            refused(answer)?;
            return Err(Problem::internal("a test was refused without a reason"));
        }
    };
    let (clock, hold) = (Arc::clone(&web.clock), taken.hold);
    // With an error the camera watches again.
    let (test, hold) =
        web.aside(move || Ok((Test::new(taken.config, true, clock).map_err(problem)?, hold))).await?;
    let flag = hold.flag();
    let running = Arc::new(Running { hold, tap: taken.tap, test: Mutex::new(test) });
    let stale = web.tests.lock().insert(camera.clone(), running);
    let let_go = move || {
        drop(stale);
        Ok(())
    };
    web.aside(let_go).await?;
    tokio::spawn(sweep(web.tests.clone(), camera.clone(), flag));
    Ok((StatusCode::CREATED, Json(Begun { camera, min_presentations: USUAL_LEAST })))
}

/// Lets go of a test that is over without anybody having ended it: it holds models.
async fn sweep(tests: Tests, camera: CameraId, flag: Arc<AtomicBool>) {
    loop {
        tokio::time::sleep(SWEEP).await;
        match tests.lock().get(&camera) {
            Some(running) if running.is(&flag) && running.is_over() => break,
            Some(running) if running.is(&flag) => (),
            _ => return,
        }
    }
    let taken = tests.take(&camera, &flag);
    let _gone = tokio::task::spawn_blocking(move || drop(taken)).await;
}

async fn present(
    State(web): State<Web>,
    Named(name): Named<String>,
    Sent(Presented { kind, seconds }): Sent<Presented>,
) -> Result<Json<Told>, Problem> {
    if !(2..=30).contains(&seconds) {
        return Err(Problem::bad("bad_field", "`seconds` is a number from 2 to 30"));
    }
    let camera = camera_named(&name)?;
    let running = web.tests.find(&camera)?;
    let flag = running.hold.flag();
    if !web.errands.ask(move |desk, _| desk.go_on_testing(&camera, &flag)).await? {
        return Err(none_begun());
    }
    let is_ending = Arc::clone(&web.is_ending);
    let told = web.aside(move || {
        let mut test = running.test()?;
        let mut go_on = || {
            std::thread::sleep(GLANCE);
            !running.hold.is_called_off() && !is_ending.load(Ordering::Acquire)
        };
        let extent = Extent::AtMost(Duration::from_secs(seconds));
        let outcome = test.present(kind.into(), tapped(running.tap.clone()), extent, &mut go_on);
        let outcome = outcome.map_err(problem)?.ok_or_else(none_begun)?;
        let Counts { live, attacks } = &test.counts;
        let attacks = attacks.iter().map(|(kind, counted)| (kind.as_str(), *counted)).collect();
        Ok(Told { code: outcome.code(), message: outcome.to_string(), live: *live, attacks })
    });
    told.await.map(Json)
}

async fn end(
    State(web): State<Web>,
    Named(name): Named<String>,
    Sent(Ending { min_presentations }): Sent<Ending>,
) -> Result<Json<Ended>, Problem> {
    if min_presentations == 0 {
        return Err(Problem::bad("bad_field", "`min_presentations` is at least 1"));
    }
    let camera = camera_named(&name)?;
    let running = web.tests.find(&camera)?;
    let (tests, own) = (web.tests.clone(), camera.clone());
    let report = web.aside(move || {
        let test = running.test()?;
        let mut report = test.report(Origin::Camera, true, min_presentations);
        test.save(&mut report).map_err(problem)?;
        drop(test);
        drop(tests.take(&own, &running.hold.flag()));
        Ok(report)
    });
    let report = report.await?;
    let config = web.own_config(camera).await?;
    let mut missing = None;
    if config.liveness.require_self_test {
        // Where people are let in only after a test, this one counts from now on.
        let reloaded = web.errands.ask(|_, house| house.reload()).await?;
        missing = reloaded.err().map(|failure| format!("the settings could not be read again: {failure}"));
    }
    if missing.is_none() {
        missing = web.aside(move || untested(&config).map_err(problem)).await?;
    }
    Ok(Json(Ended { report, missing }))
}

/// What speaks against a test, or went wrong in it.
fn problem(failure: Failure) -> Problem {
    match failure.exit {
        Exit::Config => Problem::conflict("not_testable", failure),
        Exit::Unavailable => Problem::unavailable("unavailable", failure),
        Exit::CannotWrite | Exit::Permission | Exit::Data => {
            Problem::new(StatusCode::INSUFFICIENT_STORAGE, "cannot_write", failure)
        }
        _ => Problem::internal(failure),
    }
}

async fn break_off(State(web): State<Web>, Named(name): Named<String>) -> Result<StatusCode, Problem> {
    let camera = camera_named(&name)?;
    let running = web.tests.find(&camera)?;
    let tests = web.tests.clone();
    running.hold.call_off();
    let ended = web.aside(move || {
        // A presentation that goes on ends within a glance.
        drop(running.test.lock());
        drop(tests.take(&camera, &running.hold.flag()));
        Ok(StatusCode::NO_CONTENT)
    });
    ended.await
}

impl Web {
    /// The settings in force, with that camera alone.
    async fn own_config(&self, camera: CameraId) -> Result<Config, Problem> {
        let config = self.errands.ask(move |_, house| house.config().of_camera(&camera));
        config.await?.ok_or_else(no_such_camera)
    }
}

fn told_example() -> Value {
    json!({
        "code": "picture_model", "message": "taken for a picture (by the passive model)",
        "live": { "taken_for_live": 9, "taken_for_picture": 1, "no_verdict": 2 },
        "attacks": { "phone": { "taken_for_live": 0, "taken_for_picture": 1, "no_verdict": 0 } }
    })
}

fn ended_example() -> Value {
    let live = json!({ "kind": "live", "taken_for_live": 9, "taken_for_picture": 1, "no_verdict": 2,
        "error_rate": { "rate": 0.1, "low": 0.0025, "high": 0.445 } });
    let rate = json!({ "rate": 0.0, "low": 0.0, "high": 0.308 });
    let phone = json!({ "kind": "phone", "taken_for_live": 0, "taken_for_picture": 10, "no_verdict": 0, "error_rate": rate });
    json!({
        "report": {
            "camera": "door", "at": "2026-11-26T08:30:00.000Z", "from": "camera", "is_complete": true, "mode": "enforce",
            "live": live, "attacks": [phone], "worst_kind": "phone", "apcer": rate,
            "bpcer": { "rate": 0.1, "low": 0.0025, "high": 0.445 }, "max_apcer": 0.1, "max_bpcer": 0.3,
            "min_presentations": 5, "is_passed": true, "shortfalls": [], "fingerprint": "4f1c…",
            "saved_to": "/var/lib/facewarden/liveness-test.json"
        },
        "missing": null
    })
}
