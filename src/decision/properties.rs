//! What holds whatever happens at the door.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use proptest::prelude::*;

use super::tests::{Heard, MS, checks, look, of, with};
use super::*;
use crate::domain::{LiveScore, PersonId, Together, Verdict};

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

/// The looks at one track: when each was taken, and how alike it is to each person.
type History = BTreeMap<u64, Vec<(u64, [f32; 3])>>;

/// What the looks of the window together resemble: the mean similarity to each person.
fn together(history: &[(u64, [f32; 3])]) -> Together {
    let newest = history.iter().map(|(ms, _)| *ms).max().unwrap_or_default();
    let window: Vec<&[f32; 3]> =
        history.iter().filter(|(ms, _)| newest - ms <= 2000).map(|(_, people)| people).collect();
    let mean = |who: usize| window.iter().map(|people| people[who]).sum::<f32>() / window.len() as f32;
    let named: Vec<_> = (0..3).map(|who| (NAMES[who], mean(who))).collect();
    let Together { best, second, .. } = look(0, &named).together;
    let looks = u32::try_from(window.len()).unwrap();
    Together { best, second, barred: None, looks, is_restarted: false }
}

fn play(decider: &mut Heard, happenings: &[(u64, Happening)]) -> Vec<Decision> {
    let (mut now_ms, mut decisions, mut history) = (5000, vec![], History::new());
    for (seq, (step_ms, happening)) in happenings.iter().enumerate() {
        now_ms += step_ms;
        let now = Moment(MS(now_ms));
        match happening {
            Happening::Look { track, age_ms, people, liveness } => {
                let named: Vec<_> = NAMES.iter().copied().zip(people.iter().copied()).collect();
                let mut look = of(*track, look(now_ms - age_ms, &named));
                look.seq = seq as u64;
                look.liveness = liveness.map(LiveScore);
                let looks = history.entry(*track).or_default();
                looks.push((now_ms - age_ms, *people));
                look.together = together(looks);
                decisions.extend(decider.observe(&look, now));
            }
            Happening::Ended { track } => decisions.extend(decider.track_ended(TrackId(*track), now)),
            Happening::Tick => decisions.extend(decider.tick(now)),
            Happening::Reset => decider.reset(),
        }
    }
    decisions
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn what_always_holds(happenings in happenings(4), enforced in any::<bool>()) {
        let mut decider = with(|p| if !enforced { p.liveness = LivenessPolicy::Off });
        let decisions = play(&mut decider, &happenings);
        let mut decided = BTreeSet::new();
        let mut verified_at: BTreeMap<PersonId, Moment> = BTreeMap::new();
        for decision in decisions {
            prop_assert!(decided.insert(decision.track), "two decisions about {}", decision.track);
            let Verdict::Verified(person) = decision.verdict else { continue };
            prop_assert!(decision.evidence.observations >= 3);
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
            let decisions = play(&mut decider, happenings).into_iter();
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
        // Neither cooldown nor lock-out: these are meant to be felt by other tracks.
        let decider = || with(|p| {
            p.cooldown = Duration::ZERO;
            p.liveness = LivenessPolicy::Enforce(LivenessChecks { max_failed_tracks: 1000, ..checks() });
        });
        let about_first = |happenings: &[(u64, Happening)]| {
            let decisions = play(&mut decider(), happenings);
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
