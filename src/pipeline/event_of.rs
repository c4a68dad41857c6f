//! What the decider says, as events.

use std::time::Duration;

use super::embed::DecisionTerms;
use crate::clock::Clock;
use crate::decision::Ask;
use crate::domain::{CameraId, Decision, EventKind, LookDetail, MatchDetail, ModelDigest, Target, Verdict};
use crate::matching::Gallery;

/// The event of a decision.
pub(super) fn decided(
    decision: &Decision,
    camera: &CameraId,
    terms: &DecisionTerms,
    model: ModelDigest,
    gallery: &Gallery,
    clock: &dyn Clock,
) -> EventKind {
    // The others from this one: asking the calendar again would give distances a little off.
    let captured_at = clock.wall(decision.captured_at);
    let mut detail = detail(decision, camera, terms, model, captured_at);
    let about = match &decision.verdict {
        Verdict::Verified(person) => Some(person),
        Verdict::Rejected(_) => decision.evidence.best.as_ref(),
        Verdict::Unknown(_) => None,
    };
    detail.groups = about.map(|person| gallery.groups_of(person).to_vec()).unwrap_or_default();
    if let Verdict::Verified(person) = &decision.verdict {
        detail.display_name = gallery.standings().display_name(person).map(str::to_owned);
    }
    match &decision.verdict {
        Verdict::Verified(person) if terms.is_shadow => EventKind::Shadow { person: person.clone(), detail },
        Verdict::Verified(person) => EventKind::Verified {
            person: person.clone(),
            expires_at: captured_at + terms.grant_valid,
            expired: false,
            detail,
        },
        Verdict::Unknown(reason) => EventKind::Unknown { reason: *reason, detail },
        Verdict::Rejected(reason) => {
            EventKind::Rejected { person: decision.evidence.best.clone(), reason: *reason, detail }
        }
    }
}

/// The event of a prompt.
pub(super) fn asked(ask: &Ask, camera: &CameraId, clock: &dyn Clock) -> EventKind {
    EventKind::Challenge {
        camera: camera.clone(),
        track: ask.track,
        step: ask.step,
        of: ask.of,
        prompt: ask.prompt,
        text: ask.prompt.to_string(),
        until: clock.wall(ask.until),
    }
}

fn detail(
    decision: &Decision,
    camera: &CameraId,
    terms: &DecisionTerms,
    model: ModelDigest,
    captured_at: crate::clock::WallTime,
) -> MatchDetail {
    let evidence = &decision.evidence;
    let looks = evidence.looks.iter().map(|look| LookDetail {
        seq: look.seq,
        before_ms: milliseconds(decision.captured_at.since(look.captured_at)),
        similarity: look.similarity,
        agrees: look.agrees,
        quality: look.quality,
        liveness: look.liveness.filter(|_| evidence.liveness.is_some()),
    });
    MatchDetail {
        camera: camera.clone(),
        track: decision.track,
        groups: Vec::new(),
        display_name: None,
        captured_at,
        decided_at: captured_at + decision.decided_at.since(decision.captured_at),
        similarity: evidence.similarity,
        second: evidence.second,
        threshold: evidence.needed.map(|needed| needed.threshold),
        target: evidence.needed.and_then(|needed| {
            Some(Target {
                false_match_rate: needed.false_match_rate?,
                people: needed.people,
                extrapolated: needed.is_extrapolated,
            })
        }),
        observations: evidence.observations,
        agreeing: evidence.agreeing,
        liveness: evidence.liveness,
        liveness_mode: terms.liveness_mode.to_owned(),
        challenge: evidence.challenge,
        faults: evidence.faults.clone(),
        looks: looks.collect(),
        model: model.to_string(),
    }
}

fn milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
