//! `/metrics`: what is counted, in Prometheus' text format.
//!
//! The numbers live where they are counted, most of them in the pipelines, and are read when somebody asks. The libraries
//! for this keep numbers of their own, which would have to be counted twice; so the few lines of the format are written here.

use std::fmt::Write as _;
use std::sync::atomic::Ordering;

use axum::extract::State;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};

use super::Web;
use super::endpoint::Endpoint;
use crate::cmds::desk::{House, View};
use crate::cmds::telling::SinkCounts;
use crate::control::{CameraState, Status};
use crate::http::{Problem, Scope};
use crate::pipeline::{Latency, Stats};
use crate::sys::process;

/// The limits of histograms, milliseconds.
const LIMITS_MS: [u16; 11] = [1, 5, 10, 20, 50, 100, 200, 350, 500, 1000, 2000];

pub(super) fn endpoints() -> Vec<Endpoint> {
    vec![
        Endpoint::get("/metrics", metrics)
            .about("How it goes", "What is counted, for Prometheus")
            .needs(Scope::Read)
            .gives_other(StatusCode::OK, "Prometheus' text format, version 0.0.4", "text/plain"),
    ]
}

/// What the main thread knows.
struct Known {
    status: Status,
    cameras: Vec<View>,
    sinks: Vec<SinkCounts>,
    templates: usize,
}

async fn metrics(State(web): State<Web>) -> Result<Response, Problem> {
    let known = web
        .errands
        .ask(|desk, house: &mut dyn House| Known {
            status: desk.status(house),
            cameras: house.cameras(),
            sinks: house.sinks(),
            templates: house.gallery().current().templates(),
        })
        .await?;
    let mut page = Page::default();
    cameras(&mut page, &known);
    events(&mut page, &web);
    sinks(&mut page, &known.sinks);
    gallery(&mut page, &known);
    http(&mut page, &web);
    own_process(&mut page, &known.status);
    let kind = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
    Ok(([(header::CONTENT_TYPE, kind)], page.0).into_response())
}

type Counted = (&'static str, &'static str, fn(&Stats) -> u64);
type Labelled = (&'static str, fn(&Stats) -> u64);
type Timed = (&'static str, fn(&Stats) -> &Latency);

const COUNTERS: [Counted; 11] = [
    ("facewarden_frames_captured_total", "Frames that a camera gave.", |s| s.captured.get()),
    ("facewarden_frames_searched_total", "Frames on which faces were looked for.", |s| s.detected.get()),
    ("facewarden_frames_quiet_total", "Frames on which nothing moved while nobody was there.", |s| {
        s.quiet.get()
    }),
    ("facewarden_faces_total", "Faces found, over all frames.", |s| s.faces.get()),
    ("facewarden_tracks_total", "Faces that were followed.", |s| s.tracks.get()),
    ("facewarden_embeddings_total", "Looks that were embedded and searched for.", |s| s.embeddings.get()),
    ("facewarden_looks_dropped_total", "Looks not taken because the embedding stage was behind.", |s| {
        s.looks_dropped.get()
    }),
    ("facewarden_model_failures_total", "Runs of a model that failed.", |s| s.model_failures.get()),
    ("facewarden_recorded_total", "Decisions stored with the frames that led up to them.", |s| {
        s.recorded.get()
    }),
    ("facewarden_record_dropped_total", "Frames and decisions not kept because recording was behind.", |s| {
        s.record_dropped.get()
    }),
    ("facewarden_camera_lost_total", "Times a camera was lost.", |s| s.lost.get()),
];

const DROPPED: [Labelled; 9] = [
    ("replaced", |s| s.replaced.get()),
    ("skipped", |s| s.skipped.get()),
    ("overtaken", |s| s.overtaken.get()),
    ("missing", |s| s.missing.get()),
    ("flagged", |s| s.flagged.get()),
    ("empty", |s| s.empty.get()),
    ("truncated", |s| s.truncated.get()),
    ("corrupt", |s| s.corrupt.get()),
    ("damaged", |s| s.bad_frames.get()),
];

const LINKS: [Labelled; 3] = [
    ("work", |s| s.most_work_waiting.get()),
    ("attention", |s| s.most_attention_waiting.get()),
    ("record", |s| s.most_record_waiting.get()),
];

const STAGES: [Timed; 4] = [
    ("decode", |s| &s.decode),
    ("search", |s| &s.search),
    ("follow", |s| &s.follow),
    ("score", |s| &s.score),
];

fn cameras(page: &mut Page, known: &Known) {
    let cameras: Vec<(&str, &Stats)> =
        known.cameras.iter().map(|view| (view.settings.id.as_str(), &*view.stats)).collect();
    for (name, help, count) in COUNTERS {
        page.family(name, "counter", help);
        cameras.iter().for_each(|(camera, stats)| page.sample(name, &[("camera", camera)], count(stats)));
    }
    let name = "facewarden_frames_dropped_total";
    page.family(name, "counter", "Frames not searched, by why; damaged ones are counted as such, too.");
    for (camera, stats) in &cameras {
        DROPPED.iter().for_each(|(reason, count)| {
            page.sample(name, &[("camera", camera), ("reason", reason)], count(stats));
        });
    }
    let name = "facewarden_link_length_max";
    page.family(name, "gauge", "The most that ever waited in a link between two stages at once.");
    for (camera, stats) in &cameras {
        LINKS.iter().for_each(|(link, length)| {
            page.sample(name, &[("camera", camera), ("link", link)], length(stats));
        });
    }
    let name = "facewarden_stage_seconds";
    page.family(name, "histogram", "How long a stage took for a frame, or for a look (score).");
    for (camera, stats) in &cameras {
        STAGES
            .iter()
            .for_each(|(stage, of)| page.histogram(name, &[("camera", camera), ("stage", stage)], of(stats)));
    }
    let name = "facewarden_frame_lag_seconds";
    page.family(name, "histogram", "From the capture of a frame to the end of its detection.");
    cameras.iter().for_each(|(camera, stats)| page.histogram(name, &[("camera", camera)], &stats.frame_lag));
    let name = "facewarden_decision_lag_seconds";
    page.family(name, "histogram", "From the capture of the deciding frame to the decision.");
    cameras
        .iter()
        .for_each(|(camera, stats)| page.histogram(name, &[("camera", camera)], &stats.decision_lag));
    let name = "facewarden_tracks";
    page.family(name, "gauge", "Faces that are followed now.");
    cameras
        .iter()
        .for_each(|(camera, stats)| page.sample(name, &[("camera", camera)], stats.tracks_now.get()));
    let name = "facewarden_camera_state";
    page.family(name, "gauge", "What a camera does: 1 for that state, 0 for the others.");
    for camera in &known.status.cameras {
        for (state, named) in STATES {
            let labels = [("camera", camera.camera.as_str()), ("state", named)];
            page.sample(name, &labels, u64::from(camera.state == state));
        }
    }
}

const STATES: [(CameraState, &str); 6] = [
    (CameraState::Starting, "starting"),
    (CameraState::Watching, "watching"),
    (CameraState::Lost, "lost"),
    (CameraState::Paused, "paused"),
    (CameraState::Enrolling, "enrolling"),
    (CameraState::Testing, "testing"),
];

fn events(page: &mut Page, web: &Web) {
    let counts = web.tally.counts();
    let name = "facewarden_decisions_total";
    page.family(name, "counter", "Decisions, by what came of them and why.");
    for ((kind, camera, reason), count) in &counts {
        if let Some(verdict) = kind.strip_prefix("match.") {
            page.sample(name, &[("camera", camera), ("verdict", verdict), ("reason", reason)], *count);
        }
    }
    let name = "facewarden_events_total";
    page.family(name, "counter", "Events, by their type.");
    let mut by_kind: Vec<(&str, u64)> = Vec::new();
    for ((kind, ..), count) in &counts {
        match by_kind.last_mut() {
            Some((last, sum)) if last == kind => *sum += count,
            _ => by_kind.push((kind, *count)),
        }
    }
    by_kind.into_iter().for_each(|(kind, count)| page.sample(name, &[("type", kind)], count));
}

fn sinks(page: &mut Page, sinks: &[SinkCounts]) {
    let name = "facewarden_sink_waiting";
    page.family(name, "gauge", "Events that wait for a sink.");
    sinks.iter().for_each(|sink| page.sample(name, &[("sink", &sink.sink)], sink.waiting));
    let name = "facewarden_sink_retries_total";
    page.family(name, "counter", "Attempts to tell a sink that failed and are made again.");
    sinks.iter().for_each(|sink| page.sample(name, &[("sink", &sink.sink)], sink.retries));
    let name = "facewarden_sink_events_total";
    page.family(name, "counter", "What became of events: refused are dead letters, dropped were never told.");
    for sink in sinks {
        for (outcome, count) in [
            ("delivered", sink.delivered),
            ("refused", sink.refused),
            ("dropped", sink.dropped),
            ("failed", sink.failed),
        ] {
            page.sample(name, &[("sink", &sink.sink), ("outcome", outcome)], count);
        }
    }
}

fn gallery(page: &mut Page, known: &Known) {
    page.one("facewarden_people", "gauge", "People who can be recognised.", known.status.people as u64);
    page.one("facewarden_templates", "gauge", "Templates that are searched.", known.templates as u64);
    let troubles = known.status.gallery_trouble.len() as u64;
    page.one(
        "facewarden_gallery_troubles",
        "gauge",
        "What is wrong with the gallery: so many things.",
        troubles,
    );
}

fn http(page: &mut Page, web: &Web) {
    let name = "facewarden_http_requests_total";
    page.family(name, "counter", "Requests that were answered, by route and status.");
    for ((route, status), count) in web.gate.stats.answered() {
        page.sample(name, &[("route", &route), ("status", &status.to_string())], count);
    }
    let stats = &web.gate.stats;
    page.one("facewarden_http_connections", "gauge", "Connections that are open.", stats.connections_now());
    let help = "Connections closed at once because there were too many.";
    page.one("facewarden_http_connections_refused_total", "counter", help, stats.refused());
    let name = "facewarden_picture_jobs_total";
    page.family(name, "counter", "Pictures sent to be looked at, by what became of the request.");
    let pool = &web.pool.stats;
    for (outcome, count) in [("done", &pool.done), ("refused", &pool.refused), ("stale", &pool.stale)] {
        page.sample(name, &[("outcome", outcome)], count.load(Ordering::Relaxed));
    }
    let help = "Most requests that ever waited to be looked at, at once.";
    page.one("facewarden_picture_jobs_waiting_max", "gauge", help, pool.most_waiting.get());
    let name = "facewarden_picture_job_seconds";
    page.family(name, "histogram", "From a request with pictures to the end of the work on it.");
    page.histogram(name, &[], &pool.took);
}

fn own_process(page: &mut Page, status: &Status) {
    // Where /proc cannot be read there is nothing to tell.
    if let Ok(bytes) = process::resident_bytes() {
        page.one("facewarden_resident_memory_bytes", "gauge", "Memory of the process that is in RAM.", bytes);
    }
    let seconds = status.at.0.duration_since(status.since.0).as_secs();
    let help = "How long the daemon runs.";
    page.one("facewarden_uptime_seconds", "gauge", help, u64::try_from(seconds).unwrap_or_default());
}

/// A page of metrics.
#[derive(Default)]
struct Page(String);

impl Page {
    fn family(&mut self, name: &str, kind: &str, help: &str) {
        // Writing to a string cannot fail.
        let _ok = write!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}\n");
    }

    fn one(&mut self, name: &str, kind: &str, help: &str, value: u64) {
        self.family(name, kind, help);
        self.sample(name, &[], value);
    }

    fn sample(&mut self, name: &str, labels: &[(&str, &str)], value: impl std::fmt::Display) {
        self.0.push_str(name);
        for (at, (label, text)) in labels.iter().enumerate() {
            let _ok = write!(self.0, "{}{label}=\"{}\"", if at == 0 { '{' } else { ',' }, escaped(text));
        }
        let _ok = writeln!(self.0, "{} {value}", if labels.is_empty() { "" } else { "}" });
    }

    fn histogram(&mut self, name: &str, labels: &[(&str, &str)], latency: &Latency) {
        let (below, all, sum_us) = latency.histogram(&LIMITS_MS);
        let sum = format!("{}.{:06}", sum_us / 1_000_000, sum_us % 1_000_000);
        let bucket = format!("{name}_bucket");
        for (limit, count) in LIMITS_MS.iter().zip(&below) {
            let limit = (f64::from(*limit) / 1000.0).to_string();
            self.sample(&bucket, &[labels, &[("le", &limit)]].concat(), count);
        }
        self.sample(&bucket, &[labels, &[("le", "+Inf")]].concat(), all);
        self.sample(&format!("{name}_sum"), labels, sum);
        self.sample(&format!("{name}_count"), labels, all);
    }
}

/// A label's value, as the format wants it.
fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn samples_and_histograms_are_written_as_the_format_wants_them() {
        let mut page = Page::default();
        page.family("a_total", "counter", "So many.");
        page.sample("a_total", &[("camera", "a \"b\"\\\nc"), ("reason", "")], 3);
        let latency = Latency::default();
        [3, 3, 700, 5000].map(Duration::from_millis).into_iter().for_each(|took| latency.record(took));
        page.histogram("b_seconds", &[("camera", "x")], &latency);
        let lines: Vec<&str> = page.0.lines().collect();
        assert_eq!(
            lines[..3],
            [
                "# HELP a_total So many.",
                "# TYPE a_total counter",
                "a_total{camera=\"a \\\"b\\\"\\\\\\nc\",reason=\"\"} 3"
            ]
        );
        assert_eq!(lines[4], "b_seconds_bucket{camera=\"x\",le=\"0.005\"} 2");
        assert_eq!(
            lines[12..],
            [
                "b_seconds_bucket{camera=\"x\",le=\"1\"} 3",
                "b_seconds_bucket{camera=\"x\",le=\"2\"} 3",
                "b_seconds_bucket{camera=\"x\",le=\"+Inf\"} 4",
                "b_seconds_sum{camera=\"x\"} 5.706000",
                "b_seconds_count{camera=\"x\"} 4"
            ]
        );
    }
}
