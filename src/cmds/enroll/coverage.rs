//! How well somebody is covered by their templates, and what to add. Pure.

use schemars::JsonSchema;
use serde::Serialize;

use super::turn::Turn;
use crate::domain::ModelDigest;
use crate::store::{Person, Template};

/// With fewer templates more are asked for, whatever they show.
const FEW: usize = 3;
/// Light that differs by less than this (luma, of 255) is one light.
const ONE_LIGHT: f32 = 40.0;
/// From this width of the face on, a nearer picture adds nothing that the embedder sees: its input has 112 pixels.
const LARGE_PX: f32 = 80.0;

/// What somebody's templates show.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct Coverage {
    /// Of the model in use.
    pub templates: usize,
    /// How many of them show the face turned which way; those of which that is not known are in none.
    pub straight: usize,
    /// To their own left.
    pub left: usize,
    /// To their own right.
    pub right: usize,
    /// Chin lifted.
    pub up: usize,
    /// Chin lowered.
    pub down: usize,
    /// Templates of which nothing but the face is known: enrolled before poses were kept.
    pub not_measured: usize,
    /// The darkest and the brightest face, mean luma, 0..=255; `null` if not known.
    pub luma: Option<[f32; 2]>,
    /// The widest face, pixels; `null` if not known.
    pub widest_face_px: Option<f32>,
    /// What to add, in words; nothing if nothing is missing.
    pub advice: Vec<String>,
}

impl Coverage {
    /// Of somebody, as the model with that digest sees them; of all templates if it is not known which is in use.
    #[must_use]
    pub fn of(person: &Person, model: Option<ModelDigest>) -> Self {
        let is_used = |template: &&Template| model.is_none_or(|model| template.embedding.model() == model);
        let used: Vec<&Template> = person.templates.iter().filter(is_used).collect();
        let looks: Vec<_> = used.iter().filter_map(|template| template.look).collect();
        let turned =
            |turn| looks.iter().filter(|look| Turn::of(look.yaw_deg, look.pitch_deg) == turn).count();
        let lumas = || looks.iter().map(|look| look.luma);
        let widest = looks.iter().map(|look| look.face_px).fold(0.0, f32::max);
        let mut coverage = Self {
            templates: used.len(),
            straight: turned(Turn::Straight),
            left: turned(Turn::Left),
            right: turned(Turn::Right),
            up: turned(Turn::Up),
            down: turned(Turn::Down),
            not_measured: used.len() - looks.len(),
            luma: (!looks.is_empty())
                .then(|| [lumas().fold(f32::INFINITY, f32::min), lumas().fold(0.0, f32::max)]),
            widest_face_px: (!looks.is_empty()).then_some(widest),
            advice: Vec::new(),
        };
        coverage.advice = coverage.missing();
        coverage
    }

    fn count(&self, turn: Turn) -> usize {
        match turn {
            Turn::Straight => self.straight,
            Turn::Left => self.left,
            Turn::Right => self.right,
            Turn::Up => self.up,
            Turn::Down => self.down,
        }
    }

    fn missing(&self) -> Vec<String> {
        let mut advice = Vec::new();
        match self.templates {
            0 => return vec!["no picture of the model in use: enrol them again".to_owned()],
            1 => advice.push("only one picture: add two more under other light".to_owned()),
            count if count < FEW => {
                advice.push(format!("only {count} pictures: add one more under other light"))
            }
            _ => {}
        }
        // What is not measured may show anything.
        if self.not_measured > 0 {
            advice.push(format!(
                "{} pictures were enrolled before poses were kept: what they show is not known",
                self.not_measured
            ));
            return advice;
        }
        let missing: Vec<String> = Turn::ALL
            .into_iter()
            .filter(|turn| self.count(*turn) == 0)
            .map(|turn| turn.to_string())
            .collect();
        if !missing.is_empty() {
            advice.push(format!("add a look {}", missing.join(", one ")));
        }
        if let Some([darkest, brightest]) = self.luma
            && self.templates >= FEW
            && brightest - darkest < ONE_LIGHT
        {
            advice.push(
                "all are under much the same light: add one under the light of another time of day"
                    .to_owned(),
            );
        }
        if self.widest_face_px.is_some_and(|widest| widest < LARGE_PX) {
            advice.push(format!("the face is never {LARGE_PX:.0} pixels wide: add a picture from nearer"));
        }
        advice
    }
}

impl std::fmt::Display for Coverage {
    /// Lines for `persons show`.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let turned: Vec<String> = Turn::ALL
            .into_iter()
            .filter(|turn| self.count(*turn) > 0)
            .map(|turn| format!("{} {turn}", self.count(turn)))
            .collect();
        let turned = if turned.is_empty() { "not known".to_owned() } else { turned.join(", ") };
        writeln!(f, "    pictures  {}", self.templates)?;
        writeln!(f, "    turned    {turned}")?;
        if let Some([darkest, brightest]) = self.luma {
            writeln!(f, "    light     luma {darkest:.0} to {brightest:.0} of 255")?;
        }
        writeln!(
            f,
            "    glasses   not told by these models; if worn at times, add pictures with and without"
        )?;
        self.advice.iter().try_for_each(|advice| writeln!(f, "    to do     {advice}"))
    }
}

#[cfg(test)]
mod tests {
    use super::super::standard::nobody_yet;
    use super::*;
    use crate::clock::WallTime;
    use crate::domain::{Embedding, PersonId};
    use crate::store::Look;

    const MODEL: ModelDigest = ModelDigest([1; 32]);

    /// Somebody with templates of these yaws, pitches (from one who looks straight ahead) and lumas.
    fn person(looks: &[Option<(f32, f32, f32)>]) -> Person {
        let at = WallTime(jiff::Timestamp::UNIX_EPOCH);
        let mut person = nobody_yet(&PersonId::new("Ada").unwrap(), at);
        person.templates.extend(looks.iter().map(|look| Template {
            look: look.map(|(yaw_deg, pitch, luma)| Look {
                yaw_deg,
                pitch_deg: pitch - 12.0,
                luma,
                sharpness: 0.2,
                face_px: 100.0,
            }),
            ..Template::new(Embedding::new(MODEL, vec![1.0]).unwrap(), 0.5, at)
        }));
        person
    }

    fn advice(looks: &[Option<(f32, f32, f32)>]) -> Vec<String> {
        Coverage::of(&person(looks), Some(MODEL)).advice
    }

    #[test]
    fn what_is_missing_is_said() {
        let straight = Some((0.0, 0.0, 100.0));
        assert_eq!(
            advice(&[straight]),
            [
                "only one picture: add two more under other light",
                "add a look to the left, one to the right, one up, one down",
            ]
        );
        let all = [straight, Some((20.0, 0.0, 150.0)), Some((-20.0, 0.0, 90.0)), Some((0.0, 20.0, 90.0))];
        assert_eq!(advice(&all), ["add a look down"]);
        let all = [&all[..], &[Some((0.0, -20.0, 90.0))]].concat();
        assert_eq!(advice(&all), [""; 0]);
        let dim: Vec<_> = all.iter().map(|look| look.map(|(yaw, pitch, _)| (yaw, pitch, 90.0))).collect();
        assert!(advice(&dim)[0].starts_with("all are under much the same light"));
    }

    #[test]
    fn what_was_not_measured_is_not_guessed() {
        let found = Coverage::of(&person(&[None, None, None]), Some(MODEL));
        assert_eq!((found.templates, found.not_measured, found.luma), (3, 3, None));
        assert!(found.advice[0].contains("enrolled before poses were kept"));
        assert!(found.to_string().contains("turned    not known"));
        let other = Coverage::of(&person(&[None]), Some(ModelDigest([2; 32])));
        assert_eq!(other.advice, ["no picture of the model in use: enrol them again"]);
    }
}
