//! Something known of people, of which a changed copy is cheap.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use crate::domain::PersonId;

/// How many parts there are. With 100,000 people each has 400, and so many are copied when one of them changes.
const PARTS: usize = 256;

/// A map from people, in parts that its copies share until they are changed.
#[derive(Debug, Clone)]
pub(super) struct PersonMap<V>(Vec<Arc<BTreeMap<PersonId, V>>>);

impl<V: Clone> PersonMap<V> {
    /// What is known of this person.
    pub(super) fn get(&self, person: &PersonId) -> Option<&V> {
        self.0.get(part(person))?.get(person)
    }

    /// Whether nothing is known of anybody.
    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.0.iter().all(|part| part.is_empty())
    }

    /// Remembers what is known of this person now, or that nothing is; gives back what was known before.
    pub(super) fn set(&mut self, person: &PersonId, value: Option<V>) -> Option<V> {
        if value.is_none() && self.get(person).is_none() {
            return None;
        }
        if self.0.is_empty() {
            self.0 = vec![Arc::default(); PARTS];
        }
        let part = Arc::make_mut(self.0.get_mut(part(person))?);
        match value {
            Some(value) => part.insert(person.clone(), value),
            None => part.remove(person),
        }
    }
}

impl<V> Default for PersonMap<V> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<V: Clone> FromIterator<(PersonId, V)> for PersonMap<V> {
    fn from_iter<I: IntoIterator<Item = (PersonId, V)>>(known: I) -> Self {
        let mut map = Self::default();
        for (person, value) in known {
            map.set(&person, Some(value));
        }
        map
    }
}

#[expect(clippy::cast_possible_truncation, reason = "any bits of a hash will do")]
fn part(person: &PersonId) -> usize {
    let mut hasher = DefaultHasher::new();
    person.hash(&mut hasher);
    hasher.finish() as usize % PARTS
}
