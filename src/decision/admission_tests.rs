//! Whoever is recognised and may not be let in now.

use super::tests::{MS, ada, decider, heard, live, look, of, policy, rejected, unknown, verdict, verified};
use super::*;
use crate::domain::{Barred, PersonId, Reason, Verdict};

fn barred(barred: Barred, mut look: ScoredObservation) -> ScoredObservation {
    look.together.barred = Some(barred);
    look
}

fn expired(ms: u64) -> ScoredObservation {
    barred(Barred::Expired, ada(ms))
}

#[test]
fn whoever_would_be_verified_is_rejected_with_the_reason() {
    for (why, reason) in [
        (Barred::NotYetValid, Reason::NotYetValid),
        (Barred::Expired, Reason::Expired),
        (Barred::OffSchedule, Reason::OffSchedule),
        (Barred::TimeZoneUnknown, Reason::TimeZoneUnknown),
        (Barred::ConsentEnded, Reason::ConsentEnded),
        (Barred::NoConsent, Reason::NoConsent),
    ] {
        let looks = [0, 100, 200].map(|ms| barred(why, ada(ms)));
        assert_eq!(verdict(decider(), &looks), rejected(reason));
        assert_eq!(reason.barred(), Some(why));
    }
    assert_eq!(Reason::NotLive.barred(), None);
    assert_eq!(Barred::ALL.len(), 6);
}

#[test]
fn what_it_rests_on_stays_in_the_decision() {
    let mut decider = decider();
    assert_eq!(decider.observe(&ada(0), Moment(MS(0))), None);
    assert_eq!(decider.observe(&ada(100), Moment(MS(100))), None);
    let decision =
        decider.observe(&expired(200), Moment(MS(200))).expect("at once, as a verification would be");
    let evidence = decision.evidence;
    assert_eq!(evidence.best.as_ref().map(PersonId::as_str), Some("ada"));
    assert_eq!((evidence.observations, evidence.agreeing), (3, 3));
    assert!(evidence.similarity.is_some() && evidence.needed.is_some() && evidence.liveness.is_some());
}

#[test]
fn the_newest_look_says_whether_they_may_be_let_in() {
    assert_eq!(verdict(decider(), &[expired(0), expired(100), ada(200)]), verified("ada"));
    assert_eq!(verdict(decider(), &[ada(0), ada(100), expired(200)]), rejected(Reason::Expired));
}

#[test]
fn nobody_else_learns_that_somebody_is_barred() {
    let stranger = |ms| barred(Barred::Expired, look(ms, &[("ada", 0.2), ("bob", 0.1)]));
    assert_eq!(verdict(decider(), &[0, 1, 2].map(stranger)), unknown(Reason::NoMatch));
    let picture = |ms| live(expired(ms), 0.1);
    assert_eq!(verdict(decider(), &[0, 1, 2].map(picture)), rejected(Reason::NotLive));
    let twins = |ms| barred(Barred::Expired, look(ms, &[("ada", 0.7), ("bob", 0.7)]));
    assert_eq!(verdict(decider(), &[0, 1, 2].map(twins)), rejected(Reason::Ambiguous));
}

#[test]
fn a_track_is_rejected_once_and_its_person_is_verified_as_soon_as_they_may_be() {
    let mut decider = decider();
    let mut said: Vec<Verdict> = Vec::new();
    let mut feed = |track, looks: &[ScoredObservation]| {
        for look in looks {
            let decided = decider.observe(&of(track, look.clone()), look.captured_at);
            said.extend(decided.map(|decision| decision.verdict));
        }
    };
    feed(1, &[0, 100, 200, 300, 400, 500].map(expired));
    // The track had its decision; being barred is no cooldown.
    feed(1, &[600, 700, 800].map(ada));
    feed(2, &[900, 1000, 1100].map(ada));
    // A grant does not outlast what was granted: the cooldown is for grants alone.
    feed(3, &[1200, 1300, 1400].map(expired));
    let ada = said[1].clone();
    assert!(matches!(&ada, Verdict::Verified(person) if person.as_str() == "ada"), "{said:?}");
    let no = Verdict::Rejected(Reason::Expired);
    assert_eq!(said, [no.clone(), ada, no]);
}

#[test]
fn being_barred_is_no_failed_liveness() {
    let mut decider = EvidenceDecider::new(policy(), Box::new(|| 0)).expect("a good policy");
    let mut said = Vec::new();
    for track in 1..10 {
        for look in [0, 100, 200].map(|ms| of(track, expired(track * 1000 + ms))) {
            said.extend(decider.observe(&look, look.captured_at));
        }
    }
    assert!(!said.iter().any(|said| matches!(said, Said::LockedOut { .. })));
    assert_eq!(heard(said).len(), 9);
}
