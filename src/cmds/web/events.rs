//! What happened: listed from a place on, or told as it happens; and one decision in words.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::sse::{self, KeepAlive, Sse};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio_stream::Stream;
use tokio_stream::wrappers::ReceiverStream;
use ulid::Ulid;

use super::Web;
use super::endpoint::Endpoint;
use super::take::{AskedFor, Named};
use crate::cmds::explain::explain;
use crate::domain::Event;
use crate::http::{Problem, Scope};
use crate::sinks::{Backlog, Entry, SinkError};

const GROUP: &str = "Events and decisions";
/// So many are listed at once.
const MOST: u32 = 500;
/// So many are looked through for one answer; the next one goes on there.
const LOOKED_THROUGH: usize = 5000;
/// So many are read at once.
const PAGE: usize = 250;
/// It is looked so often whether there is something new to tell.
const LOOK_EVERY: Duration = Duration::from_millis(100);

pub(super) fn endpoints() -> Vec<Endpoint> {
    let event = json!({
        "schema": 1, "id": "01KB000000000000000000000A", "at": "2026-11-26T08:00:00.000Z", "type": "camera.recovered",
        "camera": "door"
    });
    vec![
        Endpoint::get("/v1/events", list)
            .about(GROUP, "Events that are kept, in order")
            .needs(Scope::Read)
            .query::<Wanted>()
            .gives::<Page>(
                StatusCode::OK,
                "Events, and where to go on",
                json!({ "events": [{ "seq": 7, "event": event }], "next": 7, "oldest": 1, "latest": 7 }),
            ),
        Endpoint::get("/v1/events/stream", stream)
            .about(GROUP, "Events as they happen; goes on after `Last-Event-ID`")
            .needs(Scope::Read)
            .query::<From>()
            .gives_other(
                StatusCode::OK,
                "Server-sent events: `id` is the number, `data` the event",
                "text/event-stream",
            ),
        Endpoint::get("/v1/decisions/{event}/explain", explained)
            .about(GROUP, "What was decided and why, in words")
            .needs(Scope::Read)
            .gives::<Explained>(
                StatusCode::OK,
                "The event in words",
                json!({ "event": "01KB000000000000000000000A", "text": "01KB…  match.verified\n…" }),
            )
            .refuses(StatusCode::NOT_FOUND, "There is no such event, or it is not kept any more"),
    ]
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Wanted {
    /// Only events whose number is above this.
    #[serde(default)]
    after: u64,
    /// At most so many.
    #[serde(default = "usual_limit")]
    #[schemars(range(min = 1, max = 500))]
    limit: u32,
    /// Only this type, such as `match.verified`; or all that begin so, such as `match.`.
    #[serde(default, rename = "type")]
    kind: Option<String>,
    /// Only of this camera.
    #[serde(default)]
    camera: Option<String>,
    /// Only about this person.
    #[serde(default)]
    person: Option<String>,
}

fn usual_limit() -> u32 {
    100
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct From {
    /// Go on after this number; left out: only what happens from now on.
    #[serde(default)]
    after: Option<u64>,
}

#[derive(Serialize, JsonSchema)]
struct Page {
    events: Vec<Numbered>,
    /// Go on with `after` this number; what is not listed up to there is not what was asked for.
    next: u64,
    /// Number of the oldest event that is kept.
    oldest: u64,
    /// Number of the newest event.
    latest: u64,
}

#[derive(Serialize, JsonSchema)]
struct Numbered {
    /// Counts up without holes.
    seq: u64,
    event: Event,
}

#[derive(Serialize, JsonSchema)]
struct Explained {
    /// Id of the event.
    event: String,
    /// For people.
    text: String,
}

impl Wanted {
    fn fits(&self, event: &Event) -> bool {
        let kind = |wanted: &String| {
            event.kind.name() == wanted || wanted.ends_with('.') && event.kind.name().starts_with(wanted)
        };
        self.kind.as_ref().is_none_or(kind)
            && self
                .camera
                .as_ref()
                .is_none_or(|wanted| event.kind.camera().is_some_and(|id| id.as_str() == wanted))
            && self
                .person
                .as_ref()
                .is_none_or(|wanted| event.kind.person().is_some_and(|id| id.as_str() == wanted))
    }
}

fn unread(error: SinkError) -> Problem {
    Problem::internal(format!("the events that are kept cannot be read: {error}"))
}

async fn list(State(web): State<Web>, AskedFor(wanted): AskedFor<Wanted>) -> Result<Json<Page>, Problem> {
    if !(1..=MOST).contains(&wanted.limit) {
        return Err(Problem::bad("bad_query", format!("`limit` is a number from 1 to {MOST}")));
    }
    let backlog = Arc::clone(&web.backlog);
    web.aside(move || page(backlog.as_ref(), &wanted)).await.map(Json)
}

fn page(backlog: &dyn Backlog, wanted: &Wanted) -> Result<Page, Problem> {
    let (limit, mut next, mut looked_through, mut events) =
        (usize::try_from(wanted.limit).unwrap_or(PAGE), wanted.after, 0, Vec::new());
    'all: while looked_through < LOOKED_THROUGH {
        let read = backlog.after(next, PAGE).map_err(unread)?;
        if read.is_empty() {
            break;
        }
        looked_through += read.len();
        for Entry { seq, event } in read {
            next = seq;
            if wanted.fits(&event) {
                events.push(Numbered { seq, event: Arc::unwrap_or_clone(event) });
                if events.len() == limit {
                    break 'all;
                }
            }
        }
    }
    Ok(Page { events, next, oldest: backlog.oldest(), latest: backlog.latest() })
}

async fn stream(
    State(web): State<Web>,
    headers: HeaderMap,
    AskedFor(From { after }): AskedFor<From>,
) -> Result<Sse<impl Stream<Item = Result<sse::Event, Infallible>>>, Problem> {
    let last = headers.get("last-event-id").and_then(|id| id.to_str().ok());
    let last = last.map(str::parse::<u64>).transpose();
    let last = last.map_err(|_| Problem::bad("bad_header", "`Last-Event-ID` is the number of an event"))?;
    let mut at = last.or(after).unwrap_or_else(|| web.backlog.latest());
    let (tell, told) = tokio::sync::mpsc::channel(PAGE);
    tokio::spawn(async move {
        // Ends when whoever reads has gone.
        while !tell.is_closed() {
            if web.backlog.latest() <= at {
                tokio::time::sleep(LOOK_EVERY).await;
                continue;
            }
            let backlog = Arc::clone(&web.backlog);
            let read = web.aside(move || backlog.after(at, PAGE).map_err(unread)).await;
            let Ok(read) = read else { return };
            for Entry { seq, event } in read {
                at = seq;
                let Ok(data) = serde_json::to_string(event.as_ref()) else { return };
                let one = sse::Event::default().id(seq.to_string()).event(event.kind.name()).data(data);
                if tell.send(Ok(one)).await.is_err() {
                    return;
                }
            }
        }
    });
    Ok(Sse::new(ReceiverStream::new(told)).keep_alive(KeepAlive::default()))
}

async fn explained(State(web): State<Web>, Named(id): Named<String>) -> Result<Json<Explained>, Problem> {
    let id =
        Ulid::from_string(&id).map_err(|_| Problem::missing("no_such_event", "that is no id of an event"))?;
    let (backlog, clock) = (Arc::clone(&web.backlog), Arc::clone(&web.clock));
    web.aside(move || {
        let gone = || Problem::missing("no_such_event", "there is no such event, or it is not kept any more: `facewarden explain` looks into the event log");
        let seq = backlog.seq_of(id).map_err(unread)?.ok_or_else(gone)?;
        let read = backlog.after(seq.saturating_sub(1), 1).map_err(unread)?;
        let entry = read.into_iter().find(|entry| entry.seq == seq).ok_or_else(gone)?;
        let text = explain(&entry.event, clock.wall(clock.now()));
        Ok(Json(Explained { event: id.to_string(), text }))
    })
    .await
}
