//! What holds whatever happens at the door.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use proptest::prelude::*;

use super::tests::{MS, look, of, policy, with};
use super::*;
use crate::domain::{LiveScore, PersonId, Verdict};

/// One thing that happens at a door: a look at a track, its end, a tick or a reset; and the time since the last.
#[derive(Debug, Clone)]
enum Happening {
    Look { track: u64, age_ms: u64, people: [f32; 3], liveness: Option<f32> },
    Ended { track: u64 },
    Tick,
    Reset,
}

const NAMES: [&str; 3] = ["ada", "bob", "cid"];

fn happenings(tracks: u64) -> impl Strategy<Value = Vec<(u64, Happening)>> {
    let similarity = prop_oneof![Just(0.1_f32), Just(0.5), Just(0.53), Just(0.7), -1.0_f32..1.0];
    let liveness = prop_oneof![
        4 => (0.3_f32..1.0).prop_map(Some), 1 => Just(None), 1 => Just(Some(f32::NAN)), 1 => Just(Some(0.0)),
    ];
    let look = (
        1..=tracks,
        prop_oneof![8 => 0_u64..300, 1 => 0_u64..3000],
        prop::array::uniform3(similarity),
        liveness,
    )
        .prop_map(|(track, age_ms, people, liveness)| Happening::Look {
            track,
            age_ms,
            people,
            liveness,
        });
    let happening = prop_oneof![
        20 => look, 1 => (1..=tracks).prop_map(|track| Happening::Ended { track }),
        3 => Just(Happening::Tick), 1 => Just(Happening::Reset),
    ];
    prop::collection::vec((0_u64..400, happening), 1..80)
}

/// Every look that was handed in, by track: when it was taken, and the person it is strong for.
type Strong = BTreeMap<TrackId, Vec<PersonId>>;

fn play(decider: &mut AgreementDecider, happenings: &[(u64, Happening)]) -> (Vec<Decision>, Strong) {
    let (mut now_ms, mut decisions, mut strong) = (5000, vec![], Strong::new());
    for (seq, (step_ms, happening)) in happenings.iter().enumerate() {
        now_ms += step_ms;
        let now = Moment(MS(now_ms));
        let before = decisions.len();
        match happening {
            Happening::Look { track, age_ms, people, liveness } => {
                let named: Vec<_> = NAMES.iter().copied().zip(people.iter().copied()).collect();
                let mut look = of(*track, look(now_ms - age_ms, &named));
                look.seq = seq as u64;
                look.liveness = liveness.map(LiveScore);
                let best = look.best.clone().expect("three are enrolled");
                if best.similarity.reaches(policy().threshold) {
                    strong.entry(look.track).or_default().push(best.person);
                }
                decisions.extend(decider.observe(&look, now));
            }
            Happening::Ended { track } => decisions.extend(decider.track_ended(TrackId(*track), now)),
            Happening::Tick => decisions.extend(decider.tick(now)),
            Happening::Reset => decider.reset(),
        }
        for decision in &decisions[before..] {
            if let Verdict::Verified(person) = &decision.verdict {
                let looks = strong[&decision.track].iter().filter(|named| *named == person).count();
                assert!(looks >= 3, "{person} was verified on {looks} looks");
            }
        }
    }
    (decisions, strong)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn what_always_holds(happenings in happenings(4), enforced in any::<bool>()) {
        let mut decider = with(|p| if !enforced { p.liveness = LivenessPolicy::Off });
        let (decisions, _) = play(&mut decider, &happenings);
        let mut decided = BTreeSet::new();
        let mut verified_at: BTreeMap<PersonId, Moment> = BTreeMap::new();
        for decision in decisions {
            prop_assert!(decided.insert(decision.track), "two decisions about {}", decision.track);
            let Verdict::Verified(person) = decision.verdict else { continue };
            prop_assert!(decision.evidence.agreeing >= 3);
            prop_assert!(decision.evidence.similarity.expect("known").value() >= 0.5 - 1e-6);
            prop_assert!(decision.decided_at.since(decision.captured_at) < MS(2000));
            prop_assert!(!enforced || decision.evidence.liveness.expect("judged") >= 0.5);
            if let Some(before) = verified_at.insert(person, decision.decided_at) {
                prop_assert!(decision.decided_at.since(before) >= MS(10_000));
            }
        }
    }

    #[test]
    fn likeness_to_one_person_never_lets_another_in(
        happenings in happenings(1), who in 0_usize..3, more in prop::collection::vec(0.0_f32..0.8, 80),
        enforced in any::<bool>(),
    ) {
        let others = |happenings: &[(u64, Happening)]| {
            let mut decider = with(|p| if !enforced { p.liveness = LivenessPolicy::Off });
            let decisions = play(&mut decider, happenings).0.into_iter();
            let verified = decisions.filter_map(|d| match d.verdict {
                Verdict::Verified(person) => Some(person),
                Verdict::Unknown(_) | Verdict::Rejected(_) => None,
            });
            verified.filter(|person| person.as_str() != NAMES[who]).collect::<Vec<_>>()
        };
        let mut raised = happenings.clone();
        for ((_, happening), more) in raised.iter_mut().zip(more) {
            if let Happening::Look { people, .. } = happening {
                people[who] = (people[who] + more).min(1.0);
            }
        }
        if others(&happenings).is_empty() {
            prop_assert_eq!(others(&raised), Vec::<PersonId>::new());
        }
    }

    #[test]
    fn the_liveness_of_another_track_has_no_effect(
        happenings in happenings(2), scores in prop::collection::vec(prop::option::of(0.0_f32..1.0), 80),
    ) {
        // No cooldown: else the other track may verify the same person first.
        let about_first = |happenings: &[(u64, Happening)]| {
            let decisions = play(&mut with(|p| p.cooldown = Duration::ZERO), happenings).0;
            decisions.into_iter().filter(|decision| decision.track == TrackId(1)).collect::<Vec<_>>()
        };
        let mut changed = happenings.clone();
        for ((_, happening), score) in changed.iter_mut().zip(scores) {
            if let Happening::Look { track: 2, liveness, .. } = happening {
                *liveness = score;
            }
        }
        prop_assert_eq!(about_first(&happenings), about_first(&changed));
    }
}
