//! Leads the operator through a test: what to present next, and what came of it.

use super::super::exit::Failure;
use super::console::Answer;
use super::verdict::Counts;
use super::witness::Outcome;
use crate::store::{AttackKind, Presentations};

/// What is presented.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::cmds) enum Kind {
    /// A live person.
    Live,
    /// A picture of one.
    Attack(AttackKind),
}

impl Kind {
    /// The name as on the command line.
    pub(in crate::cmds) fn as_str(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::Attack(kind) => kind.as_str(),
        }
    }

    fn what_to_do(self) -> &'static str {
        match self {
            Self::Live => {
                "Live people. One person at a time comes up to the camera, as to the door, and looks at it. Take\n\
                 different people, with the glasses, hats and scarves they wear."
            }
            Self::Attack(AttackKind::Print) => {
                "Prints. Hold a photo of a face on paper before the camera: matt and glossy, flat, bent and cut out,\n\
                 near and far, still and moving. Only the picture is to be in view, not your own face."
            }
            Self::Attack(AttackKind::Phone) => {
                "Phone screens. Hold a phone with a photo or a video of a face before the camera: at full and at half\n\
                 brightness, near and far, still and moving. Only the screen is to be in view, not your own face."
            }
            Self::Attack(AttackKind::Laptop) => {
                "Laptop and tablet screens. As with the phone: photos and videos, bright and dim, so large that the\n\
                 edges are out of the picture, too."
            }
            Self::Attack(AttackKind::Other) => {
                "Anything else that you have: a paper mask, a television. Enter `s` if there is nothing."
            }
        }
    }
}

impl Counts {
    /// Takes in what came of a presentation.
    pub(super) fn add(&mut self, kind: Kind, outcome: Outcome) {
        let counted: &mut Presentations = match kind {
            Kind::Live => &mut self.live,
            Kind::Attack(kind) => self.attacks.entry(kind).or_default(),
        };
        match outcome {
            Outcome::Live => counted.taken_for_live += 1,
            Outcome::Picture(_) => counted.taken_for_picture += 1,
            Outcome::NoVerdict(_) => counted.no_verdict += 1,
        }
    }
}

/// Who is led.
pub(super) trait Operator {
    /// Tells them something.
    fn tell(&mut self, text: &str);

    /// Waits for what they answer; `None` if they are gone or the program is to end.
    fn ask(&mut self) -> Result<Option<Answer>, Failure>;

    /// Watches what they present, and counts it; `None` if the program is to end.
    fn present(&mut self, kind: Kind) -> Result<Option<Outcome>, Failure>;
}

/// Whether it went on to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// All was presented, or the operator had enough.
    Complete,
    /// Broken off.
    BrokenOff,
}

/// Leads through all kinds, each until `per_kind` presentations came to a verdict.
pub(super) fn lead(operator: &mut dyn Operator, (per_kind, seconds): (u64, u64)) -> Result<End, Failure> {
    operator.tell(&format!(
        "Each presentation takes at most {seconds} seconds. Enter begins one, s skips to the next kind, q ends."
    ));
    let kinds = [Kind::Live].into_iter().chain(AttackKind::ALL.map(Kind::Attack));
    for kind in kinds {
        operator.tell(&format!("\n{}", kind.what_to_do()));
        let mut done = 0;
        while done < per_kind {
            operator.tell(&format!(
                "\n{} {} of {per_kind}: get ready, then Enter (s, q)",
                kind.as_str(),
                done + 1
            ));
            match operator.ask()? {
                None => return Ok(End::BrokenOff),
                Some(Answer::Quit) => return Ok(End::Complete),
                Some(Answer::Skip) => break,
                Some(Answer::Unclear) => {
                    operator.tell("Enter alone begins, s skips to the next kind, q ends.");
                    continue;
                }
                Some(Answer::Go) => (),
            }
            operator.tell("looking...");
            let Some(outcome) = operator.present(kind)? else { return Ok(End::BrokenOff) };
            done += u64::from(!matches!(outcome, Outcome::NoVerdict(_)));
            operator.tell(&format!("{}: {outcome}", kind.as_str()));
        }
    }
    Ok(End::Complete)
}

#[cfg(test)]
mod tests {
    use super::super::witness::NoVerdict;
    use super::*;
    use crate::domain::Reason;
    use std::collections::VecDeque;

    /// Answers and presents by a script; gone when that is over.
    #[derive(Default)]
    struct Scripted {
        answers: VecDeque<Answer>,
        outcomes: VecDeque<Outcome>,
        told: Vec<String>,
        counts: Counts,
    }

    impl Operator for Scripted {
        fn tell(&mut self, text: &str) {
            self.told.push(text.to_owned());
        }

        fn ask(&mut self) -> Result<Option<Answer>, Failure> {
            Ok(self.answers.pop_front())
        }

        fn present(&mut self, kind: Kind) -> Result<Option<Outcome>, Failure> {
            let outcome = self.outcomes.pop_front();
            outcome.into_iter().for_each(|outcome| self.counts.add(kind, outcome));
            Ok(outcome)
        }
    }

    const PICTURE: Outcome = Outcome::Picture(Reason::ScreenEdge);
    const NO_FACE: Outcome = Outcome::NoVerdict(NoVerdict::NoFace);

    fn led(answers: &[Answer], outcomes: &[Outcome]) -> (End, Counts, Scripted) {
        let mut operator = Scripted {
            answers: answers.iter().copied().collect(),
            outcomes: outcomes.iter().copied().collect(),
            told: Vec::new(),
            counts: Counts::default(),
        };
        let end = lead(&mut operator, (2, 6)).unwrap();
        (end, operator.counts.clone(), operator)
    }

    #[test]
    fn each_kind_has_its_turn_and_what_came_to_nothing_is_repeated() {
        use Answer::{Go, Quit, Skip, Unclear};
        let answers = [Go, Unclear, Go, Go, Skip, Go, Go, Quit];
        let outcomes = [Outcome::Live, NO_FACE, PICTURE, PICTURE, Outcome::Live];
        let (end, counts, operator) = led(&answers, &outcomes);
        assert_eq!(end, End::Complete);
        assert_eq!(counts.live, Presentations { taken_for_live: 1, taken_for_picture: 1, no_verdict: 1 });
        let phone = Presentations { taken_for_live: 1, taken_for_picture: 1, no_verdict: 0 };
        assert_eq!(counts.attacks.into_iter().collect::<Vec<_>>(), [(AttackKind::Phone, phone)]);
        let told = operator.told.join("\n");
        for text in [
            "live 2 of 2: get ready",
            "live: no face seen: again",
            "phone: taken for a picture (edges move along with the face)",
            "phone: taken for live",
            "\nlaptop 1 of 2",
        ] {
            assert!(told.contains(text), "{text}\n{told}");
        }
        assert!(!told.contains("other 1 of 2"));
    }

    #[test]
    fn an_operator_who_goes_or_a_signal_breaks_it_off() {
        assert_eq!(led(&[Answer::Go], &[Outcome::Live]).0, End::BrokenOff);
        assert_eq!(led(&[Answer::Go], &[]).0, End::BrokenOff);
        assert_eq!(led(&[Answer::Quit], &[]).0, End::Complete);
    }
}
