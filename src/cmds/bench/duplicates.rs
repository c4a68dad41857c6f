//! How well enrolment notices that somebody is enrolled already: on one photo each of 1,000 people, by the very code
//! that enrols.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use image::RgbImage;

use super::super::engine::{Engine, ModelArgs, read_photo};
use super::super::enroll::{
    Conflict, FALSE_REFUSALS, MOST, Portrait, Standard, duplicate_distance, nobody_yet, template,
};
use super::super::eval::main_face;
use super::super::exit::{Exit, Failure, OrExit};
use super::super::pictures::{Seen, look_at, natural, pictures};
use super::super::survey::Crew;
use super::Row;
use crate::clock::{Clock, SystemClock, WallTime};
use crate::domain::PersonId;
use crate::matching::{Metric, distance};
use crate::store::Person;
use crate::vision::pose::pose;

/// So many people are enrolled, with a photo each.
const ENROLLED: usize = 1000;
/// So many of them are offered again under other names, and so many people who are not enrolled.
const OFFERED: usize = 500;
/// Shares of new people taken for somebody enrolled, for which the table says what is found.
const SHARES: [f64; 7] = [0.3, 0.1, 0.05, 0.03, 0.01, 0.003, 0.001];

/// Of each photo of that data, in pixels.
const SIZE: (u32, u32) = (250, 250);

/// Photos of one person, the first of which are used.
struct Photos {
    person: PersonId,
    files: Vec<PathBuf>,
}

/// A photo whose face is good enough, or why there is none.
type Usable = Result<Portrait, &'static str>;

pub(super) fn measure(models: &ModelArgs, data: &Path) -> Result<Vec<Row>, Failure> {
    let folder = data.join("lfw-dev/images");
    let photos = people(&folder)?;
    // Those of whom there are several photos come first.
    let files: Vec<_> =
        photos.iter().flat_map(|photos| photos.files.iter().take(2).cloned().map(Ok)).collect();
    let mut crew = Crew::load(models, files.len())?;
    let standard = Standard::of(&crew.engine()?.embedder, MOST);
    let mut looked: BTreeMap<PathBuf, Usable> = BTreeMap::new();
    crew.look_at_all("looking", &files, |path, look| {
        looked.insert(path.to_owned(), usable(path, look.map_err(|e| Failure::new(Exit::Data, e))?, SIZE));
        Ok(())
    })?;

    let clock = SystemClock::new();
    let mut trial = Trial { standard: &standard, now: clock.wall(clock.now()), people: Vec::new() };
    let (mut rows, mut refused_by_quality, mut second) = (Vec::new(), [0_usize; 3], Vec::new());
    let mut strangers = Vec::new();
    for photos in &photos {
        let Some(first) = photos.files.first().and_then(|file| looked.get(file)) else { continue };
        let Ok(first) = first else {
            refused_by_quality[if trial.people.len() < ENROLLED { 0 } else { 2 }] += 1;
            continue;
        };
        if trial.people.len() == ENROLLED {
            strangers.push((&photos.person, first));
            continue;
        }
        // By the same check that is measured: who is taken for somebody enrolled before stays out, and is named.
        let conflicts = trial.offer(&photos.person, first)?;
        if let Some(conflict) = conflicts.first() {
            rows.push(trial.said("while enrolling, refused", &photos.person, first, conflict));
            continue;
        }
        trial.enrol(&photos.person, first);
        match photos.files.get(1).and_then(|file| looked.get(file)) {
            Some(Ok(portrait)) if second.len() < OFFERED => second.push((&photos.person, portrait)),
            Some(Err(_)) if second.len() < OFFERED => refused_by_quality[1] += 1,
            _ => {}
        }
    }
    strangers.truncate(OFFERED);
    let details = rows.split_off(0);
    rows.push(Row::new("people enrolled with one photo", trial.people.len().to_string(), ""));
    rows.push(Row::new(
        "photos left out, since enrolment refuses them for quality: first, second, of people not enrolled",
        refused_by_quality.map(|count| count.to_string()).join(", "),
        "",
    ));
    rows.extend(trial.again(&second)?);
    rows.extend(trial.new_people(&strangers)?);
    rows.extend(trial.table(crew.engine()?.embedder.calibration(), &second, &strangers)?);
    rows.push(poses(looked.values().flatten()));
    rows.push(copies(models, &photos)?);
    rows.extend(details);
    Ok(rows)
}

fn people(folder: &Path) -> Result<Vec<Photos>, Failure> {
    let read = || -> std::io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in folder.read_dir()? {
            names.push(entry?.file_name().to_string_lossy().into_owned());
        }
        Ok(names)
    };
    let mut names =
        read().map_err(|e| anyhow::anyhow!("{}: {e}", folder.display())).or_exit(Exit::NoInput)?;
    names.sort_by(|a, b| natural(a, b));
    let of = |name: &String| {
        let files = pictures(&[folder.join(name)]).into_iter().filter_map(Result::ok).collect();
        Ok(Photos { person: PersonId::new(name).or_exit(Exit::Data)?, files })
    };
    let mut photos = names.iter().map(of).collect::<Result<Vec<_>, Failure>>()?;
    // Stable: within both, by name.
    photos.sort_by_key(|photos| photos.files.len() < 2);
    Ok(photos)
}

/// The face that counts, by the custom of such data: on many photos there are others behind.
fn usable(path: &Path, seen: Vec<Seen>, size: (u32, u32)) -> Usable {
    let found: Vec<_> = seen.iter().map(|seen| seen.face.detection).collect();
    let counts = main_face(&found, size).copied().ok_or("no face")?;
    let Seen { face, embedding, .. } =
        seen.into_iter().find(|seen| seen.face.detection == counts).ok_or("no face")?;
    if !face.quality.is_usable() {
        return Err("quality");
    }
    let source = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    Ok(Portrait {
        source,
        detection: face.detection,
        quality: face.quality,
        embedding,
        mark: None,
        photo: None,
    })
}

/// A gallery in memory.
struct Trial<'a> {
    standard: &'a Standard,
    now: WallTime,
    people: Vec<Person>,
}

/// Somebody, and a photo of them.
type Offered<'a> = (&'a PersonId, &'a Portrait);

impl Trial<'_> {
    fn offer(&self, name: &PersonId, portrait: &Portrait) -> Result<Vec<Conflict>, Failure> {
        let portrait = std::slice::from_ref(portrait);
        Ok(self.standard.judge(name, portrait, &self.people).or_exit(Exit::Internal)?.findings.conflicts)
    }

    fn enrol(&mut self, name: &PersonId, portrait: &Portrait) {
        let mut person = nobody_yet(name, self.now);
        person.templates.push(template(portrait, self.now));
        self.people.push(person);
    }

    fn said(&self, what: &str, person: &PersonId, portrait: &Portrait, conflict: &Conflict) -> Row {
        let other = conflict.other().map_or("?", PersonId::as_str);
        let theirs = self.people.iter().find(|known| known.name.as_str() == other);
        let file = theirs.and_then(|known| known.templates.first()?.source.clone()).unwrap_or_default();
        let what = format!("{what}: {person}/{} looks like {other}/{file}", portrait.source);
        Row::new(&what, format!("similarity {:.3}", 1.0 - conflict.distance()), "")
    }

    /// Offers those who are enrolled under another name.
    fn again(&self, second: &[Offered<'_>]) -> Result<Vec<Row>, Failure> {
        let alias = PersonId::new("somebody new").or_exit(Exit::Internal)?;
        let (mut right, mut wrong, mut details) = (0, 0, Vec::new());
        for (person, portrait) in second {
            match self.offer(&alias, portrait)?.first() {
                Some(conflict) if conflict.other() == Some(*person) => right += 1,
                Some(conflict) => {
                    wrong += 1;
                    details.push(self.said("refused, and somebody else named", person, portrait, conflict));
                }
                None => details.push(self.missed(person, portrait)?),
            }
        }
        let share = percent(right, second.len());
        let measured = format!("{right} of {} ({share}); {wrong} more named wrongly", second.len());
        let mut rows =
            vec![Row::new("second photos under a new name, refused and named right", measured, ">= 97 %")];
        rows.extend(details);
        Ok(rows)
    }

    fn missed(&self, person: &PersonId, portrait: &Portrait) -> Result<Row, Failure> {
        let own =
            self.people.iter().find(|known| known.name == *person).and_then(|known| known.templates.first());
        let own = own.ok_or_else(|| Failure::new(Exit::Internal, "somebody was not enrolled"))?;
        let file = own.source.clone().unwrap_or_default();
        let far = distance(Metric::Cosine, &own.embedding, &portrait.embedding).or_exit(Exit::Internal)?;
        let what = format!("missed: {person}/{} is also {person}/{file}", portrait.source);
        Ok(Row::new(&what, format!("similarity {:.3}", 1.0 - far), ""))
    }

    /// Offers those who are not enrolled.
    fn new_people(&self, strangers: &[Offered<'_>]) -> Result<Vec<Row>, Failure> {
        let mut details = Vec::new();
        for (person, portrait) in strangers {
            if let Some(conflict) = self.offer(person, portrait)?.first() {
                details.push(self.said("falsely refused", person, portrait, conflict));
            }
        }
        let share = percent(details.len(), strangers.len());
        let measured = format!("{} of {} ({share})", details.len(), strangers.len());
        let target = "by the calibration, at most 10 %";
        let mut rows = vec![Row::new("people not enrolled, refused all the same", measured, target)];
        rows.extend(details);
        Ok(rows)
    }

    /// What other thresholds would come to.
    fn table(
        &self,
        curve: Option<&crate::domain::Calibration>,
        second: &[Offered<'_>],
        strangers: &[Offered<'_>],
    ) -> Result<Vec<Row>, Failure> {
        let nearest = |portrait: &Portrait| {
            let far = |known: &Person| {
                let templates = known.templates.iter();
                let all = templates.map(|t| distance(Metric::Cosine, &t.embedding, &portrait.embedding));
                let nearest = all.flatten().fold(f32::INFINITY, f32::min);
                (nearest, known.name.clone())
            };
            self.people.iter().map(far).min_by(|a, b| a.0.total_cmp(&b.0))
        };
        let own: Vec<f32> = second
            .iter()
            .filter_map(|(person, portrait)| nearest(portrait).filter(|(_, name)| name == *person))
            .map(|(far, _)| far)
            .collect();
        let others: Vec<f32> =
            strangers.iter().filter_map(|(_, portrait)| nearest(portrait)).map(|(far, _)| far).collect();
        let someone = PersonId::new("somebody new").or_exit(Exit::Internal)?;
        let used = self.standard.rule(&someone, &self.people);
        let mut levels = vec![
            (format!("in use, for {FALSE_REFUSALS}"), used.duplicate),
            ("the model's own".to_owned(), used.threshold),
        ];
        for share in SHARES {
            let far = curve.and_then(|curve| duplicate_distance(curve, share, self.people.len()));
            levels.extend(far.map(|far| (format!("for {share} of new people by the calibration"), far)));
        }
        let row = |(what, far): (String, f32)| {
            let count = |all: &[f32]| all.iter().filter(|d| **d <= far).count();
            let (found, falsely) = (count(&own), count(&others));
            let measured = format!(
                "found {} ({found} of {}), falsely refused {} ({falsely} of {})",
                percent(found, second.len()),
                second.len(),
                percent(falsely, others.len()),
                others.len()
            );
            Row::new(&format!("threshold {:.3} ({what})", 1.0 - far), measured, "")
        };
        Ok(levels.into_iter().map(row).collect())
    }
}

/// How people hold their heads on photos, as measured: for the bounds from which on a head counts as turned.
fn poses<'a>(portraits: impl Iterator<Item = &'a Portrait>) -> Row {
    let (mut yaws, mut pitches) = (Vec::new(), Vec::new());
    for pose in portraits.filter_map(|portrait| pose(&portrait.detection.landmarks_in_frame)) {
        yaws.push(f64::from(pose.yaw));
        pitches.push(f64::from(pose.pitch));
    }
    let said = |mut all: Vec<f64>| {
        all.sort_by(f64::total_cmp);
        let at = |percent: usize| all.get(all.len() * percent / 100).copied().unwrap_or(f64::NAN);
        let [few, quarter, half, most, nearly] = [5, 25, 50, 75, 95].map(at);
        format!("p5 {few:.0}, p25 {quarter:.0}, p50 {half:.0}, p75 {most:.0}, p95 {nearly:.0}")
    };
    let measured = format!("{} photos; yaw {}; pitch {}", yaws.len(), said(yaws.clone()), said(pitches));
    Row::new("how heads are held, degrees", measured, "")
}

/// How alike a photo and the same photo made anew are, beside two photos of one person: for the bound below which a
/// picture adds nothing.
fn copies(models: &ModelArgs, photos: &[Photos]) -> Result<Row, Failure> {
    let mut engine = Engine::load(models)?;
    let (mut copy, mut two) = (Vec::new(), Vec::new());
    for photos in photos.iter().take(200) {
        let [first, second, ..] = &photos.files[..] else { continue };
        let picture = read_photo(first).or_exit(Exit::NoInput)?;
        let mut face = |path: &Path, picture: &RgbImage| -> Result<Option<Portrait>, Failure> {
            let seen = look_at(&mut engine, path, picture).or_exit(Exit::Internal)?;
            Ok(usable(path, seen, picture.dimensions()).ok())
        };
        let Some(original) = face(first, &picture)? else { continue };
        if let Some(copied) = face(first, &made_anew(&picture)?)? {
            copy.push(f64::from(
                distance(Metric::Cosine, &original.embedding, &copied.embedding).or_exit(Exit::Internal)?,
            ));
        }
        if let Some(other) = face(second, &read_photo(second).or_exit(Exit::NoInput)?)? {
            two.push(f64::from(
                distance(Metric::Cosine, &original.embedding, &other.embedding).or_exit(Exit::Internal)?,
            ));
        }
    }
    let said = |mut all: Vec<f64>| {
        all.sort_by(f64::total_cmp);
        let at =
            |percent: usize| all.get((all.len() * percent / 100).min(all.len().saturating_sub(1))).copied();
        let [low, few, half, most, high] = [0, 5, 50, 95, 100].map(|p| at(p).unwrap_or(f64::NAN));
        format!(
            "{} pairs, least {low:.3}, p5 {few:.3}, p50 {half:.3}, p95 {most:.3}, most {high:.3}",
            all.len()
        )
    };
    let measured =
        format!("a photo and itself made anew: {}; two photos of one person: {}", said(copy), said(two));
    Ok(Row::new("cosine distance (made anew: scaled to 80 %, JPEG of quality 80)", measured, ""))
}

fn made_anew(picture: &RgbImage) -> Result<RgbImage, Failure> {
    let (width, height) = (picture.width() * 4 / 5, picture.height() * 4 / 5);
    let small = image::imageops::resize(picture, width, height, image::imageops::FilterType::Triangle);
    let mut bytes = Vec::new();
    image::codecs::jpeg::JpegEncoder::new_with_quality(&mut bytes, 80)
        .encode_image(&small)
        .or_exit(Exit::Internal)?;
    crate::vision::photo::decode(&bytes).or_exit(Exit::Internal)
}

fn percent(part: usize, whole: usize) -> String {
    #[expect(clippy::cast_precision_loss, reason = "counts of photos")]
    let share = 100.0 * part as f64 / whole.max(1) as f64;
    format!("{share:.1} %")
}
