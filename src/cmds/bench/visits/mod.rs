//! Which rule over several looks decides best: compared on visits made from photos (docs/evidence.md).

pub(super) mod dice;
mod film;
mod rules;

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::super::engine::ModelArgs;
use super::super::eval::threads;
use super::super::exit::{Exit, Failure};
use super::Row;
use crate::decision::{Acceptance, tries};
use crate::domain::{Calibration, Embedding};
use crate::matching::{Pool, SAME_FACE};
use crate::pipeline::most_looks;
use dice::Dice;
use film::{Filmed, Look, Subject, Visit};
use rules::{Prepared, RULES, Seen, sequential, weighted};

/// Looks that the rules are compared on.
const LOOKS: usize = 5;
/// People enrolled in each gallery that strangers visit.
const ENROLLED: usize = 20;
/// Visits by strangers, at least.
const STRANGERS: usize = 100_000;

pub(super) fn measure(models: &ModelArgs, data: &Path) -> Result<Vec<Row>, Failure> {
    let gates = super::super::engine::gates(&crate::config::Quality::default());
    let subjects = film::subjects(&data.join("lfw-dev/images"))?;
    let (filmed, calibration) = film::film(models, &gates, &subjects)?;
    let calibration = calibration
        .ok_or_else(|| Failure::new(Exit::Config, "the model has no calibration to compare with"))?;
    let mut rows = vec![Row::new("visits filmed", overview(&filmed), "")];
    rows.extend(compare(&filmed, &subjects, &calibration));
    rows.extend(strangers(&filmed, &calibration));
    rows.push(same_face(&filmed)?);
    rows.push(reliability(&filmed));
    Ok(rows)
}

fn overview(filmed: &Filmed) -> String {
    let some = filmed.visits.iter().filter(|visit| visit.looks.len() >= 2).count();
    let looks: usize = filmed.visits.iter().map(|visit| visit.looks.len()).sum();
    format!(
        "{} of {} frames each, {looks} frames good enough; {some} visits with at least 2",
        filmed.visits.len(),
        film::FRAMES
    )
}

/// Numbers that a rule gave, of visits by the template's person and by others.
#[derive(Default, Clone)]
struct Scores {
    genuine: Vec<f32>,
    impostor: Vec<f32>,
}

impl Scores {
    /// The number that this share of the impostors exceeds.
    fn threshold(&mut self, share: f64) -> f32 {
        self.impostor.sort_by(|a, b| b.total_cmp(a));
        self.impostor.get(part(self.impostor.len(), share)).copied().unwrap_or(1.0)
    }

    fn refused(&self, threshold: f32) -> f64 {
        ratio(self.genuine.iter().filter(|score| **score < threshold).count(), self.genuine.len())
    }

    fn accepted(&self, threshold: f32) -> f64 {
        ratio(self.impostor.iter().filter(|score| **score >= threshold).count(), self.impostor.len())
    }
}

/// All rules at the same share of false accepts, on five looks, by how many different photos the looks are from.
fn compare(filmed: &Filmed, subjects: &[Subject], calibration: &Calibration) -> Vec<Row> {
    type Chooses = fn(&Visit, usize) -> bool;
    let strata: [(&str, Chooses); 3] = [
        ("five different photos", |visit, photos| visit.several && photos >= 6),
        ("two to four photos", |visit, photos| visit.several && (3..6).contains(&photos)),
        ("one photo, five times", |visit, photos| photos >= 2 && (!visit.several || photos == 2)),
    ];
    let mut rows = Vec::new();
    for (name, chooses) in strata {
        let visits: Vec<&Visit> = filmed
            .visits
            .iter()
            .filter(|visit| {
                visit.looks.len() >= LOOKS && chooses(visit, subjects[visit.subject].photos.len())
            })
            .collect();
        let mut scores = score(&visits, &filmed.templates, calibration);
        for ((rule, _), scores) in RULES.iter().zip(&mut scores) {
            let says: Vec<String> = [1e-3, 1e-4, 3e-5]
                .map(|share| {
                    let threshold = scores.threshold(share);
                    format!("{:.1} % at {share:e}", scores.refused(threshold) * 100.0)
                })
                .to_vec();
            rows.push(Row::new(&format!("{name} ({} visits): {rule}", visits.len()), says.join(", "), ""));
        }
        rows.push(to_decision(name, &visits, &filmed.templates, &mut scores));
        if name.starts_with("five") {
            rows.push(by_looks(&visits, &filmed.templates, &mut scores));
        }
    }
    rows
}

/// What each rule gives for each visit and each template, on all cores.
fn score(visits: &[&Visit], templates: &[(usize, Embedding)], calibration: &Calibration) -> Vec<Scores> {
    let parts: Vec<Vec<Scores>> = std::thread::scope(|scope| {
        let workers: Vec<_> = visits
            .chunks(visits.len().div_ceil(threads()).max(1))
            .map(|visits| {
                scope.spawn(move || {
                    let mut scores = vec![Scores::default(); RULES.len()];
                    for visit in visits {
                        each_template(&visit.looks[..LOOKS], templates, |subject, seen| {
                            for ((_, rule), scores) in RULES.iter().zip(&mut scores) {
                                let number = rule(seen, calibration);
                                let is_own = subject == visit.subject;
                                if is_own { &mut scores.genuine } else { &mut scores.impostor }.push(number);
                            }
                        });
                    }
                    scores
                })
            })
            .collect();
        workers.into_iter().filter_map(|worker| worker.join().ok()).collect()
    });
    let mut all = vec![Scores::default(); RULES.len()];
    for part in parts {
        for (all, part) in all.iter_mut().zip(part) {
            all.genuine.extend(part.genuine);
            all.impostor.extend(part.impostor);
        }
    }
    all
}

/// Shows the looks beside each template in turn.
fn each_template(looks: &[Look], templates: &[(usize, Embedding)], mut show: impl FnMut(usize, &Seen)) {
    let visit = Prepared::new(looks);
    for (subject, template) in templates {
        let similarities: Vec<f32> =
            looks.iter().map(|look| dot(look.embedding.values(), template.values())).collect();
        show(*subject, &Seen { similarities: &similarities, visit: &visit });
    }
}

/// How many looks the rule in use takes to accept the right person.
fn to_decision(
    name: &str,
    visits: &[&Visit],
    templates: &[(usize, Embedding)],
    scores: &mut [Scores],
) -> Row {
    let threshold = scores.last_mut().map_or(1.0, |scores| scores.threshold(1e-4));
    let mut taken = [0_usize; LOOKS + 1];
    for visit in visits {
        let own: Vec<_> =
            templates.iter().filter(|(subject, _)| *subject == visit.subject).cloned().collect();
        each_template(&visit.looks[..LOOKS], &own, |_, seen| {
            let pooled = weighted(seen);
            let first = pooled.iter().skip(1).position(|similarity| *similarity >= threshold);
            taken[first.map_or(0, |at| at + 2)] += 1;
        });
    }
    let says: Vec<String> = (2..=LOOKS).map(|n| format!("{} after {n}", taken[n])).collect();
    Row::new(
        &format!("{name}: looks to the decision, in use, 1e-4"),
        format!("{}, {} never", says.join(", "), taken[0]),
        "",
    )
}

/// How the chance of a stranger grows with the number of looks, against what `tries` assumes.
fn by_looks(visits: &[&Visit], templates: &[(usize, Embedding)], scores: &mut [Scores]) -> Row {
    let Some(single) = scores.first_mut() else { return Row::new("looks", "none", "") };
    let threshold = single.threshold(1e-4);
    let base = single.accepted(threshold);
    let says: Vec<String> = [2, 3, 5]
        .map(|looks| {
            let mut scores = Scores::default();
            for visit in visits {
                each_template(&visit.looks[..looks], templates, |subject, seen| {
                    if subject != visit.subject {
                        scores.impostor.push(sequential(seen));
                    }
                });
            }
            let assumed = tries(u32::try_from(looks).unwrap_or(u32::MAX));
            format!("{looks} looks x{:.1} (assumed x{assumed:.1})", scores.accepted(threshold) / base)
        })
        .to_vec();
    Row::new("false accepts in use, against a single frame at the same threshold", says.join(", "), "")
}

/// Strangers and enrolled people before galleries, with the default target and the model's own calibration.
fn strangers(filmed: &Filmed, calibration: &Calibration) -> Vec<Row> {
    let defaults = crate::config::Decision::default();
    let looks = most_looks(Duration::from_millis(defaults.give_up_after_ms), 30.0);
    let calibration = Arc::new(calibration.clone());
    let per_visit = defaults.false_match_rate;
    let acceptance = Acceptance::FalseMatchRate { per_visit, calibration, looks };
    let Some(needed) = acceptance.needed(ENROLLED) else { return Vec::new() };
    let threshold = needed.threshold.value();
    let visits: Vec<&Visit> = filmed.visits.iter().filter(|visit| visit.looks.len() >= 2).collect();
    let rounds = STRANGERS.div_ceil(visits.len().max(1));
    let mut dice = Dice::new(2);
    let (mut seen, mut granted, mut own, mut own_granted) = (0_usize, 0_usize, 0_usize, 0_usize);
    for visit in &visits {
        for round in 0..rounds {
            let mut people = BTreeSet::new();
            while people.len() < ENROLLED.min(filmed.templates.len() - 1) {
                let at = dice.below(filmed.templates.len());
                if filmed.templates[at].0 != visit.subject {
                    people.insert(at);
                }
            }
            let gallery: Vec<_> = people.iter().map(|at| filmed.templates[*at].clone()).collect();
            seen += 1;
            granted += usize::from(is_granted(visit, &gallery, threshold, defaults.min_margin));
            if round == 0 && visit.several {
                own += 1;
                let with_own =
                    filmed.templates.iter().filter(|(subject, _)| *subject == visit.subject).cloned();
                let gallery: Vec<_> = gallery.iter().skip(1).cloned().chain(with_own).collect();
                own_granted += usize::from(is_granted(visit, &gallery, threshold, defaults.min_margin));
            }
        }
    }
    #[expect(clippy::cast_precision_loss, reason = "a number of visits")]
    let expected = seen as f64 * per_visit;
    vec![
        Row::new(
            &format!(
                "strangers' visits to galleries of {ENROLLED}, threshold {threshold:.3}, that end in a grant"
            ),
            format!("{granted} of {seen} (target: at most {expected:.0} are to be expected)"),
            "1e-4 of visits",
        ),
        Row::new(
            "visits by people enrolled with one photo, same threshold, that end in a grant",
            format!("{own_granted} of {own} ({:.1} %)", ratio(own_granted, own) * 100.0),
            "",
        ),
    ]
}

/// Whether the rule in use would grant at some look.
fn is_granted(visit: &Visit, gallery: &[(usize, Embedding)], threshold: f32, margin: f32) -> bool {
    let mut best = vec![(-1.0_f32, -1.0_f32); visit.looks.len()];
    each_template(&visit.looks, gallery, |_, seen| {
        let pooled = weighted(seen);
        for ((first, second), similarity) in best.iter_mut().zip(pooled) {
            if similarity > *first {
                (*second, *first) = (*first, similarity);
            } else {
                *second = second.max(similarity);
            }
        }
    });
    best.iter().skip(1).any(|(first, second)| *first >= threshold && first - second >= margin)
}

/// How well one look is told to belong to the looks before it.
fn same_face(filmed: &Filmed) -> Result<Row, Failure> {
    use super::super::exit::OrExit;
    let visits: Vec<&Visit> = filmed.visits.iter().filter(|v| v.several && v.looks.len() >= 4).collect();
    let (mut own, mut split, mut others, mut told) = (0_usize, 0_usize, 0_usize, 0_usize);
    for (at, visit) in visits.iter().enumerate() {
        let mut pool = Pool::default();
        for look in &visit.looks[..3] {
            pool.add(crate::clock::Moment::default(), look.embedding.clone(), Duration::MAX)
                .or_exit(Exit::Internal)?;
        }
        let Some(mean) = pool.mean() else { continue };
        let mean = mean.or_exit(Exit::Internal)?;
        let resembles = |look: &Look| -> Result<bool, Failure> {
            Ok(mean.cosine(&look.embedding).or_exit(Exit::Internal)?.value() >= SAME_FACE)
        };
        own += 1;
        split += usize::from(!resembles(&visit.looks[3])?);
        for step in 1..20 {
            let other = visits[(at + step * 7) % visits.len()];
            if other.subject != visit.subject {
                others += 1;
                told += usize::from(!resembles(&other.looks[3])?);
            }
        }
    }
    Ok(Row::new(
        &format!("looks below {SAME_FACE} to the mean of three others"),
        format!(
            "of the same person {:.1} % of {own}, of another {:.1} % of {others}",
            ratio(split, own) * 100.0,
            ratio(told, others) * 100.0
        ),
        "",
    ))
}

/// What foretells how alike a look is to its own person's template, before anybody is compared.
fn reliability(filmed: &Filmed) -> Row {
    let mut own = Vec::new();
    for visit in &filmed.visits {
        let template = filmed.templates.iter().find(|(subject, _)| *subject == visit.subject);
        let Some((_, template)) = template.filter(|_| visit.several) else { continue };
        for look in &visit.looks {
            own.push((look, dot(look.embedding.values(), template.values())));
        }
    }
    let with = |measure: fn(&Look) -> f32| {
        let pairs: Vec<(f32, f32)> =
            own.iter().map(|(look, similarity)| (measure(look), *similarity)).collect();
        correlation(&pairs)
    };
    Row::new(
        &format!("correlation with the similarity to the right person, {} looks", own.len()),
        format!(
            "strength of the embedding {:.2}, quality of the picture {:.2}",
            with(|look| look.embedding.strength()),
            with(|look| look.quality.score)
        ),
        "",
    )
}

/// Pearson's.
fn correlation(pairs: &[(f32, f32)]) -> f32 {
    #[expect(clippy::cast_precision_loss, reason = "thousands of looks")]
    let n = pairs.len().max(1) as f32;
    let mean = |of: fn(&(f32, f32)) -> f32| pairs.iter().map(of).sum::<f32>() / n;
    let (mean_a, mean_b) = (mean(|pair| pair.0), mean(|pair| pair.1));
    let (mut ab, mut aa, mut bb) = (0.0, 0.0, 0.0);
    for (a, b) in pairs {
        ab += (a - mean_a) * (b - mean_b);
        aa += (a - mean_a).powi(2);
        bb += (b - mean_b).powi(2);
    }
    ab / (aa * bb).sqrt().max(f32::MIN_POSITIVE)
}

fn dot(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

#[expect(clippy::cast_precision_loss, reason = "counts of visits")]
fn ratio(part: usize, whole: usize) -> f64 {
    part as f64 / whole.max(1) as f64
}

#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a share of a count"
)]
fn part(count: usize, share: f64) -> usize {
    (count as f64 * share) as usize
}
