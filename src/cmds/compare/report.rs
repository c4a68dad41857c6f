//! What `compare` says: lines for people, DeepFace's fields for programs.

use std::path::Path;

use serde::Serialize;

use super::super::judge::Judge;
use super::super::pictures::{Seen, faults_of};
use super::super::verified::Verified;
use super::{Photo, Verdict};

/// Two photos and what came of them.
pub(super) type Pair<'p> = ([&'p Photo; 2], Verdict);

/// What all pairs have in common.
pub(super) struct Report<'e> {
    pub(super) judge: Judge,
    pub(super) model: &'e str,
    pub(super) detector: &'e str,
    /// Seconds from the start to the verdict, loading included.
    pub(super) time: f64,
}

#[derive(Serialize)]
struct NotTold<'r> {
    error: &'r str,
    file: &'r Path,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Answer<'r> {
    Told(Box<Verified>),
    NotTold(NotTold<'r>),
}

#[derive(Serialize)]
struct OfPair<'r> {
    img1: &'r Path,
    img2: &'r Path,
    #[serde(flatten)]
    answer: Answer<'r>,
}

#[derive(Serialize)]
struct OfPairs<'r> {
    pairs: Vec<OfPair<'r>>,
    time: f64,
}

impl Report<'_> {
    /// One line of JSON.
    pub(super) fn json(&self, pairs: &[Pair<'_>]) -> serde_json::Result<String> {
        let time = (self.time * 1e3).round() / 1e3;
        let line = if let [(photos, verdict)] = pairs {
            serde_json::to_string(&self.answer(photos, verdict, Some(time)))?
        } else {
            let of_pair = |pair| self.of_pair(pair);
            serde_json::to_string(&OfPairs { pairs: pairs.iter().map(of_pair).collect(), time })?
        };
        Ok(line + "\n")
    }

    fn of_pair<'r>(&'r self, (photos, verdict): &'r Pair<'r>) -> OfPair<'r> {
        let [a, b] = photos;
        OfPair { img1: &a.path, img2: &b.path, answer: self.answer(photos, verdict, None) }
    }

    fn answer<'r>(&'r self, photos: &[&'r Photo; 2], verdict: &'r Verdict, time: Option<f64>) -> Answer<'r> {
        let compared = compared(photos, verdict);
        match (verdict, compared) {
            (Verdict::Told { distance, .. }, Some([a, b])) => {
                let models = (self.model, self.detector);
                Answer::Told(Box::new(Verified::new(&self.judge, models, *distance, [a.area, b.area], time)))
            }
            (Verdict::NotTold { file, error }, _) => Answer::NotTold(NotTold { error, file }),
            (Verdict::Told { .. }, None) => unreachable!("the faces compared are among those found"),
        }
    }

    /// The verdict in words.
    pub(super) fn words(&self, verdict: &Verdict) -> &'static str {
        match verdict {
            Verdict::Told { distance, .. } if self.judge.is_same(*distance) => "same person",
            Verdict::Told { .. } => "different people",
            Verdict::NotTold { .. } => "could not tell",
        }
    }

    /// Lines for people, the verdict first.
    pub(super) fn text(&self, pairs: &[Pair<'_>]) -> String {
        let means = format!(
            "threshold {:.3}, {}, {}, {}",
            self.judge.threshold,
            self.judge.metric.as_str(),
            self.model,
            self.detector
        );
        if let [(photos, verdict)] = pairs {
            let words = self.words(verdict);
            let Verdict::Told { distance, faces } = verdict else { return format!("{words}\n") };
            let mut text = format!("{words} (distance {distance:.3}, {means})\n");
            text.push_str(&format!("confidence {:.0} of 100\n", self.judge.confidence(*distance)));
            for (number, (photo, seen)) in
                (1..).zip(photos.iter().zip(compared(photos, verdict).into_iter().flatten()))
            {
                let area = seen.area;
                let of = match (photo.faces.as_ref().map_or(0, Vec::len), faces[number - 1] + 1) {
                    (0 | 1, _) => String::new(),
                    (count, nth) => format!(", number {nth} by size of {count} faces"),
                };
                text.push_str(&format!(
                    "img{number}: {}: face of {}x{} pixels at {},{}{of}\n",
                    photo.path.display(),
                    area.w,
                    area.h,
                    area.x,
                    area.y
                ));
            }
            return text;
        }
        let same = pairs.iter().filter(|(_, v)| self.words(v) == "same person").count();
        let mut text = format!("{same} of {} pairs are the same person ({means})\n", pairs.len());
        let name = |photo: &Photo| photo.path.display().to_string();
        let width = |side: usize| pairs.iter().map(|(p, _)| name(p[side]).chars().count()).max().unwrap_or(0);
        let (first, second) = (width(0), width(1));
        for ([a, b], verdict) in pairs {
            let words = self.words(verdict);
            let (distance, words) = match verdict {
                Verdict::Told { distance, .. } => (format!("{distance:.3}"), words.to_owned()),
                Verdict::NotTold { file, .. } => ("-".to_owned(), format!("{words}: {}", file.display())),
            };
            let (a, b) = (name(a), name(b));
            text.push_str(&format!("{a:first$}  {b:second$}  {distance:>6}  {words}\n"));
        }
        text
    }
}

/// The two faces that were compared.
pub(super) fn compared<'p>(photos: &[&'p Photo; 2], verdict: &Verdict) -> Option<[&'p Seen; 2]> {
    let Verdict::Told { faces: [a, b], .. } = verdict else { return None };
    let face = |photo: &'p Photo, index: usize| photo.faces.as_ref().ok()?.get(index);
    Some([face(photos[0], *a)?, face(photos[1], *b)?])
}

/// What should be known besides: photos that cannot be judged, and what is wrong with the faces that were compared.
pub(super) fn notes(photos: &[Photo], pairs: &[Pair<'_>]) -> Vec<String> {
    let mut notes = Vec::new();
    for (number, photo) in (1..).zip(photos) {
        match &photo.faces {
            Err(error) => notes.push(error.clone()),
            Ok(faces) if faces.is_empty() => {
                notes.push(format!("{}: no face was found", photo.path.display()));
            }
            Ok(_) => {}
        }
        let used = pairs
            .iter()
            .flat_map(|(both, verdict)| both.iter().zip(compared(both, verdict).into_iter().flatten()));
        let mut faults: Vec<String> = used
            .filter(|(of, _)| std::ptr::eq(**of, photo))
            .filter_map(|(_, seen)| faults_of(seen))
            .collect();
        faults.sort();
        faults.dedup();
        notes.extend(faults.into_iter().map(|fault| format!("img{number}: {fault}")));
    }
    notes
}
