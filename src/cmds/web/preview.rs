//! What a camera sees, for those who look on: each picture is drawn and encoded once, however many look.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::{Extension, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use crossbeam_channel::RecvTimeoutError;
use tokio::sync::{mpsc, watch};
use tokio_stream::wrappers::ReceiverStream;

use super::Web;
use super::cameras::{Drawn, camera_named, no_such_camera};
use super::endpoint::Endpoint;
use super::hint::{Hint, hint};
use super::take::{AskedFor, Named};
use crate::clock::Clock;
use crate::cmds::engine::gates;
use crate::cmds::view::{annotated, jpeg};
use crate::domain::CameraId;
use crate::http::{Caller, Problem, Scope};
use crate::pipeline::{Seen, Tap, Verdicts};
use crate::sys::thread::{self, Precedence, Thread};
use crate::vision::quality::Gates;

/// At most ten pictures a second.
const PAUSE: Duration = Duration::from_millis(100);
/// It is looked so often whether anybody still looks on.
const GLANCE: Duration = Duration::from_millis(200);
/// So many look at one camera at once.
const MOST: usize = 8;
const BOUNDARY: &str = "frame";

pub(super) fn endpoints() -> Vec<Endpoint> {
    vec![
        Endpoint::get("/v1/cameras/{camera}/preview", preview)
            .about(
                "Cameras",
                "What the camera sees, as a stream of JPEG pictures; with boxes it takes the scope `read`",
            )
            .needs(Scope::Kiosk)
            .query::<Drawn>()
            .gives_other(StatusCode::OK, "One picture after the other", "multipart/x-mixed-replace")
            .refuses(StatusCode::NOT_FOUND, "There is no such camera")
            .refuses(StatusCode::SERVICE_UNAVAILABLE, "Too many look on"),
    ]
}

/// A picture, and what to say to whoever stands there.
pub(super) struct Look {
    jpeg: Bytes,
    pub(super) hint: Hint,
}

/// The newest picture, as soon as there is one.
pub(super) type Looking = watch::Receiver<Option<Arc<Look>>>;

type Shown = Arc<watch::Sender<Option<Arc<Look>>>>;
type Open = HashMap<(CameraId, bool), Shown>;

/// The cameras that somebody looks at.
#[derive(Clone)]
pub(super) struct Previews {
    open: Arc<Mutex<Open>>,
    threads: Arc<Mutex<Vec<Thread<()>>>>,
    is_ending: Arc<AtomicBool>,
    clock: Arc<dyn Clock>,
}

/// What is needed to look.
struct Eyes {
    tap: Tap,
    verdicts: Verdicts,
    gates: Gates,
}

impl Previews {
    pub(super) fn new(is_ending: Arc<AtomicBool>, clock: Arc<dyn Clock>) -> Self {
        Self { open: Arc::default(), threads: Arc::default(), is_ending, clock }
    }

    /// Waits for the threads, which end soon after `is_ending` was set.
    pub(super) fn join_all(&self) {
        let threads = std::mem::take(&mut *lock(&self.threads));
        drop(threads);
    }

    fn join(&self, camera: &CameraId, boxes: bool, eyes: Eyes) -> Result<Looking, Problem> {
        lock(&self.threads).retain(|thread| !thread.is_finished());
        let mut open = lock(&self.open);
        let looking: usize =
            open.iter().filter(|((id, _), _)| id == camera).map(|(_, shown)| shown.receiver_count()).sum();
        if looking >= MOST {
            return Err(Problem::busy(format!("{MOST} look at this camera already, and that is the most")));
        }
        let key = (camera.clone(), boxes);
        if let Some(shown) = open.get(&key) {
            return Ok(shown.subscribe());
        }
        let (shown, looking) = watch::channel(None);
        let shown = Arc::new(shown);
        let show = Show { key: key.clone(), eyes, shown: Arc::clone(&shown), previews: self.clone() };
        let started = thread::spawn(&format!("show {camera}"), move || show.run());
        lock(&self.threads).push(started.map_err(Problem::internal)?);
        open.insert(key, shown);
        Ok(looking)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Shows one camera until nobody looks on.
struct Show {
    key: (CameraId, bool),
    eyes: Eyes,
    shown: Shown,
    previews: Previews,
}

impl Show {
    fn run(self) {
        if let Err(error) = thread::step_back(Precedence::Lowest) {
            tracing::warn!("the preview has the same priority as the camera: {error}");
        }
        let seen = self.eyes.tap.join(1);
        let clock = Arc::clone(&self.previews.clock);
        let mut last = None;
        loop {
            let now = clock.now();
            match seen.recv_timeout(GLANCE) {
                Ok(seen) if last.is_none_or(|last| now.since(last) >= PAUSE) => {
                    last = Some(now);
                    self.show(&seen);
                }
                Err(RecvTimeoutError::Disconnected) => break,
                Ok(_) | Err(RecvTimeoutError::Timeout) => (),
            }
            if self.previews.is_ending.load(Ordering::Acquire) {
                break;
            }
            // Whoever comes next holds the same lock.
            let mut open = lock(&self.previews.open);
            if self.shown.receiver_count() == 0 {
                open.remove(&self.key);
                return;
            }
        }
        lock(&self.previews.open).remove(&self.key);
    }

    fn show(&self, seen: &Seen) {
        let drawn;
        let picture = if self.key.1 {
            drawn = annotated(seen, &self.eyes.verdicts);
            &drawn
        } else {
            seen.frame.pixels.as_ref()
        };
        let hint = hint(seen, &self.eyes.gates);
        match jpeg(picture) {
            Ok(jpeg) => {
                self.shown.send_replace(Some(Arc::new(Look { jpeg: jpeg.into(), hint })));
            }
            Err(error) => tracing::warn!("a picture for the preview cannot be made: {error}"),
        }
    }
}

impl Web {
    /// Looks on at a camera.
    ///
    /// # Errors
    /// 404 if there is no such camera, 503 if too many look on.
    pub(super) async fn look(&self, camera: CameraId, boxes: bool) -> Result<Looking, Problem> {
        let wanted = camera.clone();
        let eyes = self
            .errands
            .ask(move |_, house| {
                let gates = gates(&house.config().quality);
                let view = house.cameras().into_iter().find(|view| view.settings.id == wanted);
                view.map(|view| Eyes { tap: view.tap, verdicts: view.verdicts, gates })
            })
            .await?;
        let eyes = eyes.ok_or_else(no_such_camera)?;
        self.previews.join(&camera, boxes, eyes)
    }
}

async fn preview(
    State(web): State<Web>,
    Extension(caller): Extension<Caller>,
    Named(name): Named<String>,
    AskedFor(Drawn { boxes }): AskedFor<Drawn>,
) -> Result<Response, Problem> {
    if boxes && !caller.may(Scope::Read) {
        return Err(Problem::forbidden("scope", "with boxes this takes a token with the scope `read`"));
    }
    let mut looking = web.look(camera_named(&name)?, boxes).await?;
    let (tell, told) = mpsc::channel::<Result<Bytes, std::convert::Infallible>>(1);
    tokio::spawn(async move {
        let start = Bytes::from(format!("--{BOUNDARY}\r\n"));
        if tell.send(Ok(start)).await.is_err() {
            return;
        }
        loop {
            tokio::select! {
                () = tell.closed() => return,
                changed = looking.changed() => if changed.is_err() { return },
            }
            let Some(look) = looking.borrow_and_update().clone() else { continue };
            if tell.send(Ok(part(&look.jpeg))).await.is_err() {
                return;
            }
        }
    });
    let kind = HeaderValue::from_static("multipart/x-mixed-replace; boundary=frame");
    Ok(([(header::CONTENT_TYPE, kind)], Body::from_stream(ReceiverStream::new(told))).into_response())
}

/// A picture and the line that ends it: a browser shows it only then.
fn part(jpeg: &Bytes) -> Bytes {
    let head = format!("Content-Type: image/jpeg\r\nContent-Length: {}\r\n\r\n", jpeg.len());
    let end = format!("\r\n--{BOUNDARY}\r\n");
    [head.as_bytes(), jpeg, end.as_bytes()].concat().into()
}
