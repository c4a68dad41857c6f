//! What is known of the people of a gallery beside their faces, as far as it says who may be let in and how they are
//! called.

use std::collections::BTreeMap;

use sha2::{Digest, Sha256};

use crate::clock::WallTime;
use crate::domain::{Admission, Barred, Particulars, PersonId, SiteRules};

/// How everybody stands.
#[derive(Debug, Clone, Default)]
pub struct Standings {
    rules: SiteRules,
    /// Of those of whom anything is known.
    people: BTreeMap<PersonId, Particulars>,
}

impl Standings {
    /// Takes what is known of people, and what holds for all of them.
    #[must_use]
    pub fn new(rules: SiteRules, people: impl IntoIterator<Item = (PersonId, Particulars)>) -> Self {
        let known = |(_, particulars): &(PersonId, Particulars)| *particulars != Particulars::default();
        Self { rules, people: people.into_iter().filter(known).collect() }
    }

    /// Why somebody may not be let in at `now`; `None` if they may.
    #[must_use]
    pub fn barred(&self, person: &PersonId, now: WallTime) -> Option<Barred> {
        match self.people.get(person) {
            Some(particulars) => particulars.barred_at(now, &self.rules),
            None => Particulars::default().barred_at(now, &self.rules),
        }
    }

    /// How somebody is called on a display, where that is not their name.
    #[must_use]
    pub fn display_name(&self, person: &PersonId) -> Option<&str> {
        self.people.get(person)?.display_name.as_deref()
    }

    /// Puts in what decides about people; nothing where nothing is known of anybody.
    pub(super) fn digest_into(&self, digest: &mut Sha256) {
        for (person, Particulars { admission, consent, .. }) in &self.people {
            if *admission == Admission::default() && consent.is_none() {
                continue;
            }
            // Plain data: it always has a form in JSON.
            let text = serde_json::to_vec(&(person, admission, consent)).unwrap_or_default();
            digest.update((text.len() as u64).to_le_bytes());
            digest.update(text);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{Embedding, ModelDigest};
    use crate::matching::{Gallery, GalleryEntry, GalleryMetric};

    fn person(name: &str) -> PersonId {
        PersonId::new(name).unwrap()
    }

    fn until(text: &str) -> Particulars {
        let mut particulars = Particulars::default();
        particulars.admission.valid_until = Some(WallTime(text.parse().unwrap()));
        particulars
    }

    #[test]
    fn each_stands_for_themselves_and_the_rules_hold_for_all() {
        let now = WallTime("2026-11-26T10:00:00Z".parse().unwrap());
        let people =
            || [(person("Ann"), until("2026-01-01T00:00:00Z")), (person("Bert"), Particulars::default())];
        let standings = Standings::new(SiteRules::default(), people());
        assert_eq!(standings.barred(&person("Ann"), now), Some(Barred::Expired));
        assert_eq!(standings.barred(&person("Bert"), now), None);
        let rules = SiteRules { requires_consent: true, ..SiteRules::default() };
        let standings = Standings::new(rules, people());
        for (name, barred) in
            [("Ann", Barred::Expired), ("Bert", Barred::NoConsent), ("Eve", Barred::NoConsent)]
        {
            assert_eq!(standings.barred(&person(name), now), Some(barred), "{name}");
        }
    }

    #[test]
    fn the_digest_of_a_gallery_tells_who_may_be_let_in_when() {
        let template = Embedding::new(ModelDigest([1; 32]), vec![1.0, 0.0]).unwrap();
        let entry = GalleryEntry { person: person("Ann"), template };
        let digest = |particulars: Particulars| {
            let standings = Standings::new(SiteRules::default(), [(person("Ann"), particulars)]);
            let entries = std::slice::from_ref(&entry);
            Gallery::new(ModelDigest([1; 32]), GalleryMetric::Cosine, 2, entries)
                .with_standings(standings)
                .digest()
        };
        let plain = digest(Particulars::default());
        let called = Particulars { display_name: Some("Dr. Ann".into()), ..Particulars::default() };
        assert_eq!(digest(called), plain, "how they are called decides nothing");
        let (one, other) = (digest(until("2026-01-01T00:00:00Z")), digest(until("2027-01-01T00:00:00Z")));
        assert!(one != plain && other != plain && one != other);
    }
}
