//! Which events a sink is told of.

use std::collections::BTreeSet;

use crate::config::Only;
use crate::domain::{CameraId, Event, GroupId, PersonId};

/// A filter as the configuration says it, ready to be asked.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    kinds: Option<BTreeSet<String>>,
    cameras: Option<BTreeSet<CameraId>>,
    people: Option<BTreeSet<PersonId>>,
    groups: Option<BTreeSet<GroupId>>,
}

impl Filter {
    /// Lets through what `only` says; every kind where it names none.
    #[must_use]
    pub fn new(only: &Only) -> Self {
        Self {
            kinds: only.kinds.as_ref().map(|kinds| kinds.iter().cloned().collect()),
            cameras: only.cameras.as_ref().map(|cameras| cameras.iter().cloned().collect()),
            people: only.people.as_ref().map(|people| people.iter().cloned().collect()),
            groups: only.groups.as_ref().map(|groups| groups.iter().cloned().collect()),
        }
    }

    /// As [`Filter::new`], but only `kind` where `only` names no kinds.
    #[must_use]
    pub fn with_default_kind(only: &Only, kind: &str) -> Self {
        let mut filter = Self::new(only);
        filter.kinds.get_or_insert_with(|| BTreeSet::from([kind.to_owned()]));
        filter
    }

    /// Whether the event passes. One that belongs to no camera, or is about nobody in particular, passes what is said
    /// of cameras, people and groups. One about somebody who is not named any more passes what is said of people.
    #[must_use]
    pub fn passes(&self, event: &Event) -> bool {
        let kind = &event.kind;
        self.kinds.as_ref().is_none_or(|kinds| kinds.contains(kind.name()))
            && allows(self.cameras.as_ref(), kind.camera())
            && allows(self.people.as_ref(), kind.person())
            && (!kind.is_about_somebody() || self.is_of_group(kind.groups()))
    }

    /// Whoever belongs to no group is in none of those that are named.
    fn is_of_group(&self, groups: &[GroupId]) -> bool {
        self.groups.as_ref().is_none_or(|allowed| groups.iter().any(|group| allowed.contains(group)))
    }
}

fn allows<T: Ord>(allowed: Option<&BTreeSet<T>>, value: Option<&T>) -> bool {
    allowed.is_none_or(|allowed| value.is_none_or(|value| allowed.contains(value)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::WallTime;
    use crate::domain::{EventKind, SCHEMA};

    fn event(kind: EventKind) -> Event {
        Event { schema: SCHEMA, id: ulid::Ulid::nil(), at: WallTime(jiff::Timestamp::UNIX_EPOCH), kind }
    }

    fn lost(camera: &str) -> Event {
        event(EventKind::CameraLost { camera: camera.parse().unwrap(), message: String::new() })
    }

    fn removed(person: &str) -> Event {
        event(EventKind::PersonRemoved { record: person.to_owned(), groups: vec!["staff".parse().unwrap()] })
    }

    #[test]
    fn what_is_said_restricts_and_what_is_left_out_does_not() {
        let all = Filter::new(&Only::default());
        assert!(all.passes(&lost("a")) && all.passes(&removed("Ada")));
        let only = Only { cameras: Some(vec!["a".parse().unwrap()]), ..Only::default() };
        let of_a = Filter::new(&only);
        assert!(of_a.passes(&lost("a")) && !of_a.passes(&lost("b")));
        assert!(of_a.passes(&removed("Ada")), "belongs to no camera");
        let ada = Filter::new(&Only { people: Some(vec!["Ada".parse().unwrap()]), ..Only::default() });
        assert!(ada.passes(&removed("x")) && ada.passes(&lost("a")), "neither says whom it is about");
        let group =
            |name: &str| Filter::new(&Only { groups: Some(vec![name.parse().unwrap()]), ..Only::default() });
        assert!(group("staff").passes(&removed("Ada")) && !group("guests").passes(&removed("Ada")));
        assert!(group("guests").passes(&lost("a")), "is about nobody");
        let kinds = Filter::with_default_kind(&only, "person.removed");
        assert!(!kinds.passes(&lost("a")) && kinds.passes(&removed("Ada")));
        let named = Only { kinds: Some(vec!["camera.lost".to_owned()]), ..Only::default() };
        assert!(Filter::with_default_kind(&named, "person.removed").passes(&lost("a")));
    }
}
