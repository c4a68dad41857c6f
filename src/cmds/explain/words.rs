//! An event in words. Pure: the time is handed in.

use std::fmt::Write as _;
use std::time::Duration;

use crate::clock::WallTime;
use crate::domain::{
    CameraId, Event, EventKind, LookDetail, MatchDetail, Obstruction, PauseCause, ResumeCause, Target,
};

/// What an event says, for people; ends with a line break. `now` tells whether a grant is still good.
#[must_use]
pub fn explain(event: &Event, now: WallTime) -> String {
    let mut page = Page(String::new());
    page.text(&format!("{}  {}\n", event.id, event.kind.name()));
    page.text(&format!("{}\n", sentence(&event.kind, now)));
    match event.kind.detail() {
        Some(detail) => decision(&mut page, &event.kind, detail, now),
        None => {
            page.text("\n");
            page.line("told", &event.at.to_string());
        }
    }
    page.0
}

/// A page of labelled lines.
struct Page(String);

impl Page {
    fn text(&mut self, text: &str) {
        self.0.push_str(text);
    }

    fn line(&mut self, label: &str, says: &str) {
        // Writing to a string cannot fail.
        let _infallible = writeln!(self.0, "  {label:<12}{says}");
    }
}

/// What happened, in a sentence or two.
fn sentence(kind: &EventKind, now: WallTime) -> String {
    match kind {
        EventKind::Verified { person, .. } => {
            format!(
                "{person} was verified: the looks together are alike enough, and nothing spoke against it."
            )
        }
        EventKind::Shadow { person, .. } => format!(
            "{person} would have been verified. Nothing was granted: `decision.shadow` is on, for trying out settings."
        ),
        EventKind::Unknown { reason, .. } => {
            format!("Somebody was there and was not recognised: {}.", reason.in_words())
        }
        EventKind::Rejected { person: Some(person), reason, .. } if reason.barred().is_some() => {
            format!("{person} was recognised, and not let in: {}.", reason.in_words())
        }
        EventKind::Rejected { person: Some(person), reason, .. } => {
            format!("Somebody who resembles {person} was not let in: {}.", reason.in_words())
        }
        EventKind::Rejected { person: None, reason, .. } => {
            format!("Somebody was not let in: {}.", reason.in_words())
        }
        EventKind::Challenge { camera, track, step, of, text, until, .. } => format!(
            "The face of track {track} at camera {camera} was asked to do something, by {until}: {text} (prompt {step} \
             of {of})."
        ),
        EventKind::LockedOut { camera, until } => format!(
            "Liveness had failed too often at camera {camera}: nobody {} verified there until {until}.",
            if now < *until { "is" } else { "was" }
        ),
        EventKind::CameraLost { camera, message } => {
            format!(
                "The camera {camera} gave no frames any more: {message}. It is opened again until it is back."
            )
        }
        EventKind::CameraRecovered { camera } => format!("The camera {camera} gave frames again."),
        EventKind::CameraFrozen { camera, refuses, .. } => {
            view_fault(camera, "gave the same picture again and again", *refuses)
        }
        EventKind::CameraObstructed { camera, how: Obstruction::Covered, refuses, .. } => {
            view_fault(camera, "was covered, or there was no light", *refuses)
        }
        EventKind::CameraObstructed { camera, how: Obstruction::Blinded, refuses, .. } => {
            view_fault(camera, "was blinded by a light", *refuses)
        }
        EventKind::CameraMoved { camera, refuses, .. } => {
            view_fault(camera, "showed another place than before", *refuses)
        }
        EventKind::CameraClear { camera, over, message } => {
            format!("The camera {camera} was {over} no more: {message}.")
        }
        EventKind::CameraPaused { camera, why: PauseCause::Asked, by, until } => format!(
            "The camera {camera} was closed for {by}: nobody was looked at there {}.",
            match until {
                Some(until) => format!("until {until}, unless somebody resumed it before"),
                None => "until somebody resumed it".to_owned(),
            }
        ),
        EventKind::CameraPaused { camera, why: PauseCause::Enrolment, by, .. } => format!(
            "At the camera {camera} {by} began to enrol somebody: nobody was verified there meanwhile."
        ),
        EventKind::CameraPaused { camera, why: PauseCause::LivenessTest, by, .. } => format!(
            "At the camera {camera} {by} began a liveness self-test: nobody was verified there meanwhile."
        ),
        EventKind::CameraResumed { camera, why, by } => format!(
            "The camera {camera} watched again: {}.",
            match (why, by) {
                (ResumeCause::Asked, Some(by)) => format!("{by} asked for it"),
                (ResumeCause::Asked, None) => "somebody asked for it".to_owned(),
                (ResumeCause::TimeIsOver, _) => "the time of the pause was over".to_owned(),
                (ResumeCause::EnrolmentEnded, _) => "nobody was being enrolled any more".to_owned(),
                (ResumeCause::TestEnded, _) => "the liveness self-test had ended".to_owned(),
            }
        ),
        EventKind::CameraSnapshot { camera, by } => {
            format!("{by} asked for a picture of what the camera {camera} saw.")
        }
        EventKind::PersonEnrolled { person, templates, .. } => {
            format!("{person} was enrolled, with {}.", counted(*templates, "picture", "pictures"))
        }
        EventKind::PersonChanged { person, was: Some(was), .. } => {
            format!("{was} was renamed to {person}.")
        }
        EventKind::PersonChanged { person, was: None, templates, .. } => {
            format!(
                "What is known of {person} was changed: {} now.",
                counted(*templates, "picture", "pictures")
            )
        }
        EventKind::PersonRemoved { record, .. } => {
            format!("Somebody is not enrolled any more; their record was {record}.")
        }
        EventKind::EntryForgotten { record, was, .. } => format!(
            "This entry was forgotten with the person whose record was {record}: it was a `{was}`. Who that was, and \
             what was decided, is not kept any more; that the log was not changed otherwise, `facewarden log verify` says."
        ),
        EventKind::Degraded { message } => {
            format!("Something did not work, and the daemon went on without it: {message}.")
        }
        EventKind::Started { version, people } => {
            let people = counted(*people, "person", "people");
            format!("The daemon began to watch: Facewarden {version}, {people} enrolled.")
        }
        EventKind::Stopping { message } => format!("The daemon ended: {message}."),
    }
}

fn view_fault(camera: &CameraId, what: &str, refuses: bool) -> String {
    let consequence =
        if refuses { "Nobody was verified while that lasted" } else { "By the settings it was only told" };
    format!("The camera {camera} {what}. {consequence}.")
}

fn decision(page: &mut Page, kind: &EventKind, detail: &MatchDetail, now: WallTime) {
    page.text("\n");
    page.line("camera", &format!("{}, track {}", detail.camera, detail.track));
    page.line("picture", &format!("{}, the newest that it rests on", detail.captured_at));
    let late = between(detail.captured_at, detail.decided_at);
    page.line("decided", &format!("{}, {} later", detail.decided_at, time(late)));
    page.line("looks", &looks(detail));
    page.line("similarity", &similarity(detail));
    if let Some(threshold) = detail.threshold {
        let from =
            detail.target.map_or_else(|| "set by hand, as `decision.min_similarity`".to_owned(), target);
        page.line("threshold", &format!("{threshold}, {from}"));
    }
    if let (Some(best), Some(second)) = (detail.similarity, detail.second) {
        let behind = best.value() - second.value();
        page.line("second best", &format!("{second}, {behind:.3} behind"));
    }
    page.line("liveness", &liveness(detail));
    if let Some(fault) = detail.challenge {
        page.line("challenge", &format!("failed: {fault}"));
    }
    for (nth, fault) in detail.faults.iter().enumerate() {
        let label = if nth == 0 { "passed over" } else { "" };
        page.line(label, &format!("pictures that were {}", advised(*fault)));
    }
    if let EventKind::Verified { expires_at, .. } = kind {
        page.line("grant", &grant(*expires_at, now));
    }
    page.line("model", &detail.model);
    if !detail.looks.is_empty() {
        page.text("\n");
        table(page, &detail.looks);
    }
}

fn advised(fault: crate::domain::QualityFault) -> String {
    // The one fault whose name is a clause.
    let says = match fault {
        crate::domain::QualityFault::ImplausibleLandmarks => "no face by its points".to_owned(),
        other => other.to_string(),
    };
    format!("{says}: {}", fault.advice())
}

fn looks(detail: &MatchDetail) -> String {
    if detail.observations == 0 {
        return "none that was good enough".to_owned();
    }
    let good = counted(detail.observations as usize, "good one", "good ones");
    let over = detail.looks.iter().map(|look| look.before_ms).max().map_or_else(String::new, |longest| {
        let shortest = detail.looks.iter().map(|look| look.before_ms).min().unwrap_or(0);
        let span = time(Duration::from_millis(longest.saturating_sub(shortest)));
        if detail.looks.len() == detail.observations as usize {
            format!(" over {span}")
        } else {
            format!(", the newest {} over {span}", detail.looks.len())
        }
    });
    let agreeing = match detail.agreeing {
        0 => "none of them".to_owned(),
        all if all == detail.observations => "all of them".to_owned(),
        some => format!("{some} of them"),
    };
    format!("{good}{over}; {agreeing} most like the same person")
}

fn similarity(detail: &MatchDetail) -> String {
    match (detail.similarity, detail.threshold) {
        (None, _) => "not compared with anybody".to_owned(),
        (Some(similarity), None) => similarity.to_string(),
        (Some(similarity), Some(threshold)) => {
            let by = (similarity.value() - threshold.value()).abs();
            if similarity.reaches(threshold) {
                format!("{similarity}, {by:.3} above what was needed")
            } else {
                format!("{similarity}, {by:.3} below what was needed")
            }
        }
    }
}

fn target(target: Target) -> String {
    let Target { false_match_rate, people, extrapolated } = target;
    let drawn_on = if extrapolated { "; drawn on beyond what was measured about the model" } else { "" };
    format!(
        "so that at most one in {} strangers' visits is granted, with {} enrolled{drawn_on}",
        grouped(1.0 / false_match_rate),
        counted(people, "person", "people"),
    )
}

fn liveness(detail: &MatchDetail) -> String {
    let counts_for = match detail.liveness_mode.as_str() {
        "enforce" => "enforced",
        "challenge" => "enforced, together with a challenge",
        "report" => "only reported: it decided nothing",
        "off" => return "not judged: it is off".to_owned(),
        other => other,
    };
    match detail.liveness {
        Some(mean) => format!("{mean:.2} (0 is a picture of a face, 1 a face), {counts_for}"),
        None => format!("not judged, {counts_for}"),
    }
}

fn grant(expires_at: WallTime, now: WallTime) -> String {
    if now < expires_at {
        format!("good until {expires_at}, for {} from now", time(between(now, expires_at)))
    } else {
        format!("was good until {expires_at}; expired {} ago", time(between(expires_at, now)))
    }
}

fn table(page: &mut Page, looks: &[LookDetail]) {
    page.text("      before  similarity  agrees  quality  liveness\n");
    for look in looks {
        let number = |value: Option<f32>, digits: usize| {
            value.map_or_else(|| "-".to_owned(), |value| format!("{value:.digits$}"))
        };
        let _infallible = writeln!(
            page.0,
            "  {:>10}  {:>10}  {:>6}  {:>7.2}  {:>8}",
            time(Duration::from_millis(look.before_ms)),
            number(look.similarity.map(|similarity| similarity.value()), 3),
            if look.agrees { "yes" } else { "no" },
            look.quality,
            number(look.liveness, 2)
        );
    }
}

/// How long `later` is after `earlier`; zero if it is not.
fn between(earlier: WallTime, later: WallTime) -> Duration {
    Duration::try_from(later.0.duration_since(earlier.0)).unwrap_or(Duration::ZERO)
}

/// A duration, as precisely as people want to know it.
fn time(time: Duration) -> String {
    let seconds = time.as_secs();
    match seconds {
        0 => format!("{} ms", time.as_millis()),
        1..60 => format!("{:.1} s", time.as_secs_f64()),
        60..7200 => format!("{} min", seconds / 60),
        7200..172_800 => format!("{} h", seconds / 3600),
        _ => format!("{} days", seconds / 86_400),
    }
}

fn counted(count: usize, one: &str, several: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { several })
}

/// A large number with its thousands set apart.
fn grouped(number: f64) -> String {
    let digits = format!("{number:.0}");
    let mut grouped = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at) % 3 == 0 {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

#[cfg(test)]
mod tests;
