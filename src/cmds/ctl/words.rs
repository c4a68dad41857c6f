//! What the daemon says of itself, in words that fit a terminal.

use crate::clock::WallTime;
use crate::control::{CameraState, CameraStatus, ReloadReport, Status};

/// `ctl reload`.
pub(super) fn reloaded(report: &ReloadReport) -> String {
    let mut text = String::new();
    let people = if report.people == 1 { "person" } else { "people" };
    let listed = |keys: &[String]| keys.join(", ");
    if report.changed.is_empty() && report.after_restart.is_empty() {
        text.push_str("no setting has changed\n");
    }
    if !report.changed.is_empty() {
        text.push_str(&format!("in force: {}\n", listed(&report.changed)));
    }
    if !report.after_restart.is_empty() {
        text.push_str(&format!("only after a restart: {}\n", listed(&report.after_restart)));
    }
    text.push_str(&format!("{} {people} enrolled\n", report.people));
    text
}

/// `ctl status`.
pub(super) fn status(status: &Status) -> String {
    let mut page = Page(String::new());
    let up = time(seconds(status.since, status.at));
    page.line("facewarden", &format!("{}, for {up} (since {})", status.version, status.since));
    for camera in &status.cameras {
        page.camera(camera, status.at);
    }
    page.line("people", &status.people.to_string());
    for trouble in &status.gallery_trouble {
        page.line("gallery", trouble);
    }
    let waiting: Vec<String> =
        status.waiting.iter().map(|waiting| format!("{} for {}", waiting.events, waiting.sink)).collect();
    if !waiting.is_empty() {
        page.line("waiting", &waiting.join(", "));
    }
    if let Some(last) = &status.last_event {
        let at = last.camera.as_ref().map(|camera| format!(" at {camera}")).unwrap_or_default();
        let ago = time(seconds(last.at, status.at));
        page.line("last event", &format!("{}{at}, {ago} ago", last.kind));
    }
    let watchdog = match status.watchdog_ms {
        Some(ms) => format!("every {} s", ms / 1000),
        None => "off".to_owned(),
    };
    page.line("watchdog", &watchdog);
    for trouble in &status.degraded {
        page.line("degraded", &format!("{} ago: {}", time(seconds(trouble.at, status.at)), trouble.message));
    }
    page.0
}

/// The widest line that fits everywhere.
const WIDTH: usize = 80;
/// Where what is said begins.
const INDENT: usize = 12;

/// Lines with a name on the left, broken where they are too long.
struct Page(String);

impl Page {
    fn camera(&mut self, camera: &CameraStatus, now: WallTime) {
        let state = match camera.state {
            CameraState::Starting => "starting",
            CameraState::Watching => "watching",
            CameraState::Lost => "LOST",
            CameraState::Paused => "PAUSED",
            CameraState::Enrolling => "enrolling",
            CameraState::Testing => "in a liveness self-test",
        };
        let mut text = format!("{}: {state} for {}", camera.camera, time(seconds(camera.since, now)));
        if let Some(until) = camera.until {
            text.push_str(&format!(", {} more", time(seconds(now, until))));
        }
        if let Some(message) = &camera.message {
            text.push_str(&format!(", {message}"));
        }
        self.line("camera", &text);
        self.line("", &camera.source);
        let counts = &camera.counts;
        if let (Some(captured), Some(detected)) = (camera.captured_fps, camera.detected_fps) {
            let mut text = format!("{captured:.1} frames a second, {detected:.1} looked at");
            if let (Some(p50), Some(p99)) = (camera.frame_lag_p50_ms, camera.frame_lag_p99_ms) {
                text.push_str(&format!(", lag {p50} ms (p99 {p99} ms)"));
            }
            self.line("", &text);
        }
        let mut text = format!("faces: {} now, {} so far; ", camera.tracks_now, counts.tracks);
        text.push_str(&format!("{} decisions in {} frames", counts.decisions, counts.captured));
        for (count, what) in [(counts.bad_frames, "damaged"), (counts.model_failures, "model failures")] {
            if count > 0 {
                text.push_str(&format!(", {count} {what}"));
            }
        }
        self.line("", &text);
    }

    fn line(&mut self, name: &str, text: &str) {
        let mut column = INDENT;
        let indent = "";
        self.0.push_str(&format!("{name:INDENT$}"));
        for (at, word) in text.split_whitespace().enumerate() {
            let length = word.chars().count();
            if at > 0 && column + 1 + length > WIDTH {
                self.0.push_str(&format!("\n{indent:INDENT$}"));
                column = INDENT;
            } else if at > 0 {
                self.0.push(' ');
                column += 1;
            }
            self.0.push_str(word);
            column += length;
        }
        self.0.push('\n');
    }
}

fn seconds(from: WallTime, to: WallTime) -> i64 {
    (to.0.as_second() - from.0.as_second()).max(0)
}

/// The two largest units: `3 d 4 h`, `12 min`, `5 s`.
fn time(seconds: i64) -> String {
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3600 % 24, seconds / 60 % 60);
    match (days, hours, minutes) {
        (1.., ..) => format!("{days} d {hours} h"),
        (_, 1.., _) => format!("{hours} h {minutes} min"),
        (_, _, 1..) => format!("{minutes} min"),
        _ => format!("{seconds} s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::{Counts, LastEvent, Trouble, Waiting};
    use crate::domain::CameraId;

    #[test]
    fn a_page_fits_a_terminal() {
        let at = |second: i64| WallTime(jiff::Timestamp::from_second(1_800_000_000 + second).unwrap());
        let door = CameraId::new("door").unwrap();
        let camera = |id: &str, state| CameraStatus {
            camera: CameraId::new(id).unwrap(),
            state,
            since: at(90_000),
            until: None,
            message: None,
            source: "HD Webcam at /dev/v4l/by-id/usb-Some_Camera-video-index0, 1280x720 mjpg".into(),
            captured_fps: Some(29.97),
            detected_fps: Some(15.0),
            frame_lag_p50_ms: Some(12),
            frame_lag_p99_ms: Some(40),
            tracks_now: 1,
            counts: Counts { captured: 100, tracks: 3, decisions: 2, ..Counts::default() },
        };
        let mut lost = camera("yard", CameraState::Lost);
        lost.message = Some("no frame for 2.0 s".into());
        (lost.captured_fps, lost.detected_fps) = (None, None);
        lost.counts.bad_frames = 7;
        let mut paused = camera("hall", CameraState::Paused);
        (paused.until, paused.message) = (Some(at(100_000 + 600)), Some("by ada (uid 1000)".into()));
        let text = status(&Status {
            version: "0.1.0".into(),
            since: at(0),
            at: at(100_000),
            cameras: vec![camera("door", CameraState::Watching), lost, paused],
            people: 3,
            gallery_trouble: vec!["a.fwp: damaged".into()],
            waiting: vec![Waiting { sink: "attendance".into(), events: 4 }],
            last_event: Some(LastEvent { kind: "match.verified".into(), at: at(99_995), camera: Some(door) }),
            watchdog_ms: Some(10_000),
            degraded: vec![Trouble { at: at(99_000), message: "word ".repeat(40).trim().into() }],
        });
        let expected = "\
facewarden  0.1.0, for 1 d 3 h (since 2027-01-15T08:00:00.000Z)
camera      door: watching for 2 h 46 min
            HD Webcam at /dev/v4l/by-id/usb-Some_Camera-video-index0, 1280x720
            mjpg
            30.0 frames a second, 15.0 looked at, lag 12 ms (p99 40 ms)
            faces: 1 now, 3 so far; 2 decisions in 100 frames
camera      yard: LOST for 2 h 46 min, no frame for 2.0 s
            HD Webcam at /dev/v4l/by-id/usb-Some_Camera-video-index0, 1280x720
            mjpg
            faces: 1 now, 3 so far; 2 decisions in 100 frames, 7 damaged
camera      hall: PAUSED for 2 h 46 min, 10 min more, by ada (uid 1000)
            HD Webcam at /dev/v4l/by-id/usb-Some_Camera-video-index0, 1280x720
            mjpg
            30.0 frames a second, 15.0 looked at, lag 12 ms (p99 40 ms)
            faces: 1 now, 3 so far; 2 decisions in 100 frames
people      3
gallery     a.fwp: damaged
waiting     4 for attendance
last event  match.verified at door, 5 s ago
watchdog    every 10 s
degraded    16 min ago: word word word word word word word word word word word
            word word word word word word word word word word word word word
            word word word word word word word word word word word word word
            word word word
";
        assert_eq!(text, expected);
        assert!(text.lines().all(|line| line.chars().count() <= WIDTH), "{text}");
    }

    #[test]
    fn what_came_of_a_reload_is_said() {
        let report = ReloadReport {
            changed: vec!["decision.min_margin".into(), "quality.min_luma".into()],
            after_restart: vec!["events.log".into()],
            people: 1,
        };
        let expected = "in force: decision.min_margin, quality.min_luma\nonly after a restart: events.log\n1 person enrolled\n";
        assert_eq!(reloaded(&report), expected);
        assert_eq!(reloaded(&ReloadReport::default()), "no setting has changed\n0 people enrolled\n");
    }
}
