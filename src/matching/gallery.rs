//! The enrolled people in memory, and who among them a face resembles.

use std::ops::Range;
use std::sync::{Arc, OnceLock};

use sha2::{Digest, Sha256};

use super::block::{Block, Source, TEMPLATES, blocks};
use super::kernels::Kernel;
use super::person_map::PersonMap;
use super::search::{Found, Probe, Scan, Who, search};
use super::standing::Standings;
use crate::domain::{Candidate, Embedding, EmbeddingError, GroupId, ModelDigest, PersonId, Similarity};

/// With so many templates and more rounded rows are searched; with fewer that takes longer, as `facewarden bench --only
/// search` shows.
const ROUNDED_FROM: usize = 64;

/// What the embedder was trained for, which says how likeness is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GalleryMetric {
    /// Similarity is the cosine.
    Cosine,
    /// Similarity is `1 - distance² / 2`, cut at -1: for unit vectors the same as the cosine.
    Euclidean,
}

/// One template of one person.
#[derive(Debug, Clone)]
pub struct GalleryEntry {
    /// Whose.
    pub person: PersonId,
    /// The template.
    pub template: Embedding,
}

/// All templates of one model, ready to be searched.
///
/// It is never changed: [`Gallery::with`] and [`Gallery::without`] give another one, which shares with it all but some
/// thousand templates. Clones share everything.
#[derive(Debug, Clone)]
pub struct Gallery {
    model: ModelDigest,
    metric: GalleryMetric,
    dimension: usize,
    /// By the names of the people in them; none is empty.
    blocks: Vec<Arc<Block>>,
    people: usize,
    templates: usize,
    skipped: usize,
    /// Of whom how many templates are not searched.
    skipped_of: PersonMap<usize>,
    /// Of those who belong to any.
    groups: PersonMap<Vec<GroupId>>,
    standings: Arc<Standings>,
    digest: OnceLock<[u8; 32]>,
}

/// The two most alike people.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Ranking {
    /// The most alike; `None` when nobody is enrolled.
    pub best: Option<Candidate>,
    /// The most alike other person; `None` when fewer than two are enrolled.
    pub second: Option<Candidate>,
}

impl Gallery {
    /// Takes all templates that `model` made with `dimension` numbers; the others cannot be compared with it and are
    /// only counted, see [`Gallery::skipped`].
    #[must_use]
    pub fn new(
        model: ModelDigest,
        metric: GalleryMetric,
        dimension: usize,
        entries: &[GalleryEntry],
    ) -> Self {
        let mut sorted: Vec<&GalleryEntry> = entries.iter().collect();
        sorted.sort_by(|a, b| a.person.cmp(&b.person));
        let mut gallery = Self {
            model,
            metric,
            dimension,
            blocks: Vec::new(),
            people: 0,
            templates: 0,
            skipped: 0,
            skipped_of: PersonMap::default(),
            groups: PersonMap::default(),
            standings: Arc::default(),
            digest: OnceLock::new(),
        };
        let (mut people, mut usable) = (Vec::new(), Vec::with_capacity(entries.len()));
        for entries in sorted.chunk_by(|a, b| a.person == b.person) {
            let Some(GalleryEntry { person, .. }) = entries.first() else { continue };
            let from = usable.len();
            usable.extend(entries.iter().filter_map(|entry| gallery.usable(&entry.template)));
            gallery.count_skipped(person, entries.len() - (usable.len() - from));
            people.push((person, from..usable.len()));
        }
        let sources: Vec<Source<'_>> = people
            .into_iter()
            .map(|(person, rows)| Source::New(person, usable.get(rows).unwrap_or_default()))
            .filter(|source| source.templates() > 0)
            .collect();
        gallery.exchange(0..0, &sources);
        gallery
    }

    /// The same, in which this person has these templates and no others. The groups of somebody who is there already stay
    /// as they are; somebody new belongs to none. With no template that can be searched the person is not among the
    /// people, as after [`Gallery::without`].
    #[must_use]
    pub fn with(&self, person: &PersonId, templates: &[Embedding]) -> Self {
        let usable: Vec<&[f32]> = templates.iter().filter_map(|template| self.usable(template)).collect();
        let mut changed = self.clone();
        changed.count_skipped(person, templates.len() - usable.len());
        changed.put(person, &usable);
        changed
    }

    /// The same without this person, and without their groups. Standings stay as they are, here and in [`Gallery::with`]:
    /// they are exchanged by [`Gallery::with_standings`].
    #[must_use]
    pub fn without(&self, person: &PersonId) -> Self {
        let mut changed = self.clone();
        changed.count_skipped(person, 0);
        changed.put(person, &[]);
        changed.groups.set(person, None);
        changed
    }

    /// The same, in which this person belongs to these groups and no others.
    #[must_use]
    pub fn with_groups_of(&self, person: &PersonId, groups: Vec<GroupId>) -> Self {
        let mut changed = self.clone();
        changed.groups.set(person, Some(groups).filter(|groups| !groups.is_empty()));
        changed
    }

    /// The numbers of a template that can be searched.
    fn usable<'a>(&self, template: &'a Embedding) -> Option<&'a [f32]> {
        let values = template.values();
        (template.model() == self.model && values.len() == self.dimension).then_some(values)
    }

    fn count_skipped(&mut self, person: &PersonId, skipped: usize) {
        let before = self.skipped_of.set(person, Some(skipped).filter(|n| *n > 0)).unwrap_or(0);
        self.skipped = self.skipped - before + skipped;
    }

    /// Gives somebody these templates, which may be none, in place of those there are.
    fn put(&mut self, person: &PersonId, templates: &[&[f32]]) {
        // The last block that begins with somebody before, or with this very person.
        let at = self.blocks.partition_point(|block| block.people().first().is_some_and(|p| p <= person));
        let at = at.saturating_sub(1);
        let place = self.blocks.get(at).map_or(Err(0), |block| block.people().binary_search(person));
        if place.is_err() && templates.is_empty() {
            return;
        }
        let mut old = at..self.blocks.len().min(at + 1);
        // What has become small is joined with a small neighbour, lest many removals leave many small blocks.
        let size = |at: usize| self.blocks.get(at).map_or(0, |block| block.len());
        if size(at) <= TEMPLATES / 4 {
            if at + 1 < self.blocks.len() && size(at) + size(at + 1) <= TEMPLATES / 2 {
                old.end += 1;
            } else if at > 0 && size(at - 1) + size(at) <= TEMPLATES / 2 {
                old.start -= 1;
            }
        }
        let taken: Vec<Arc<Block>> = self.blocks.get(old.clone()).unwrap_or_default().to_vec();
        let mut sources: Vec<Source<'_>> = taken.iter().flat_map(|block| Source::all(block)).collect();
        let (from, to) = place.map_or_else(|n| (n, n), |n| (n, n + 1));
        let ahead = if old.start < at { taken.first().map_or(0, |block| block.people().len()) } else { 0 };
        sources.splice(
            ahead + from..ahead + to,
            (!templates.is_empty()).then_some(Source::New(person, templates)),
        );
        self.exchange(old, &sources);
    }

    /// Puts these people in place of some blocks.
    fn exchange(&mut self, old: Range<usize>, people: &[Source<'_>]) {
        let new = blocks(self.dimension, self.metric, people);
        let count = |blocks: &[Arc<Block>]| -> (usize, usize) {
            (blocks.iter().map(|b| b.people().len()).sum(), blocks.iter().map(|b| b.len()).sum())
        };
        let (less, more) = (count(self.blocks.get(old.clone()).unwrap_or_default()), count(&new));
        self.people = self.people + more.0 - less.0;
        self.templates = self.templates + more.1 - less.1;
        self.blocks.splice(old, new);
        self.digest = OnceLock::new();
    }

    /// The same with the groups of its people.
    #[must_use]
    pub fn with_groups(mut self, groups: impl IntoIterator<Item = (PersonId, Vec<GroupId>)>) -> Self {
        self.groups = groups.into_iter().filter(|(_, groups)| !groups.is_empty()).collect();
        self
    }

    /// The groups that somebody belongs to.
    #[must_use]
    pub fn groups_of(&self, person: &PersonId) -> &[GroupId] {
        self.groups.get(person).map_or(&[], Vec::as_slice)
    }

    /// The same with what is known of its people beside that.
    #[must_use]
    pub fn with_standings(mut self, standings: Standings) -> Self {
        self.standings = Arc::new(standings);
        self.digest = OnceLock::new();
        self
    }

    /// What is known of its people beside that: who may be let in when.
    #[must_use]
    pub fn standings(&self) -> &Standings {
        &self.standings
    }

    /// How many people can be recognised.
    #[must_use]
    pub fn people(&self) -> usize {
        self.people
    }

    /// How many templates are searched.
    #[must_use]
    pub fn templates(&self) -> usize {
        self.templates
    }

    /// How many templates were made by another model and are not searched.
    #[must_use]
    pub fn skipped(&self) -> usize {
        self.skipped
    }

    /// Memory that the templates take, in bytes, without names and groups.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.blocks.iter().map(|block| block.bytes()).sum()
    }

    /// Identifies who is enrolled with which templates, and who may be let in when: a SHA-256, the same as long as the same people are searched,
    /// however they came in. Nothing can be read from it. All templates are read when it is asked for the first time,
    /// which takes about 2 s for a million.
    #[must_use]
    pub fn digest(&self) -> [u8; 32] {
        *self.digest.get_or_init(|| {
            let mut digest = Sha256::new();
            digest.update(self.model.0);
            for block in &self.blocks {
                for (n, owner) in block.owners().iter().enumerate() {
                    let name = block.people().get(*owner as usize).map_or("", PersonId::as_str);
                    digest.update((name.len() as u64).to_le_bytes());
                    digest.update(name);
                    block.row(n).iter().for_each(|value| digest.update(value.to_le_bytes()));
                }
            }
            self.standings.digest_into(&mut digest);
            digest.finalize().into()
        })
    }

    /// Finds the two most alike people. A person is as alike as the best of their templates; several templates
    /// count once. Of equals the one whose name comes first is the better.
    ///
    /// # Errors
    /// If the probe was made by another model.
    pub fn rank(&self, probe: &Embedding) -> Result<Ranking, EmbeddingError> {
        let scan = if self.templates < ROUNDED_FROM { Scan::Full } else { Scan::Rounded };
        let found = self.rank_all(std::slice::from_ref(probe), scan)?;
        Ok(found.into_iter().next().unwrap_or_default())
    }

    /// The same for many probes, in their order. Each template is fetched from memory once for all of them. Both ways
    /// give the same.
    ///
    /// # Errors
    /// If one of the probes was made by another model.
    pub fn rank_all(&self, probes: &[Embedding], scan: Scan) -> Result<Vec<Ranking>, EmbeddingError> {
        self.rank_with(Kernel::best(), probes, scan)
    }

    /// How many templates are compared in full where rounded ones are searched.
    ///
    /// # Errors
    /// If the probe was made by another model.
    pub fn compared_in_full(&self, probe: &Embedding) -> Result<usize, EmbeddingError> {
        let found = self.find(Kernel::best(), std::slice::from_ref(probe), Scan::Rounded)?;
        Ok(found.iter().map(|found| found.compared).sum())
    }

    fn rank_with(
        &self,
        kernel: &Kernel,
        probes: &[Embedding],
        scan: Scan,
    ) -> Result<Vec<Ranking>, EmbeddingError> {
        let candidate = |found: Option<(Who, f32)>| {
            let ((block, person), score) = found?;
            let similarity = Similarity::new(score.max(-1.0)).ok()?;
            let person = self.blocks.get(block)?.people().get(person as usize)?.clone();
            Some(Candidate { person, similarity })
        };
        let ranking =
            |found: Found| Ranking { best: candidate(found.top.best), second: candidate(found.top.second) };
        Ok(self.find(kernel, probes, scan)?.into_iter().map(ranking).collect())
    }

    fn find(&self, kernel: &Kernel, probes: &[Embedding], scan: Scan) -> Result<Vec<Found>, EmbeddingError> {
        let probe = |probe: &Embedding| {
            if probe.model() != self.model {
                return Err(EmbeddingError::OtherModel(probe.model(), self.model));
            }
            if probe.values().len() != self.dimension {
                return Err(EmbeddingError::OtherLength(probe.values().len(), self.dimension));
            }
            Ok(Probe::new(self.metric, probe.values()))
        };
        let probes: Vec<Probe> = probes.iter().map(probe).collect::<Result<_, _>>()?;
        Ok(search(kernel, &self.blocks, &probes, scan))
    }
}

#[cfg(test)]
mod tests;
