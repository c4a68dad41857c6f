//! What becomes of a person in an archive, given who is enrolled. Pure.

use crate::store::Person;

/// What to do with somebody who is enrolled already.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub(super) enum Existing {
    /// Leave them as they are enrolled
    #[default]
    Skip,
    /// Add the templates and groups that they do not have; all else stays as it is enrolled
    Merge,
    /// Take them as they are in the archive
    Replace,
}

/// What is done with one person of the archive.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Plan {
    /// Nobody of that name or id is enrolled.
    Add(Box<Person>),
    /// They are enrolled just so.
    Same,
    /// They are enrolled otherwise, and that stays.
    Skip,
    /// Somebody else has the name, or the name of their file.
    Clash(String),
    /// This is to be stored in place of what is.
    Put(Box<Person>),
}

/// Whether two people are the same is told by their id; or by their name, where the archive comes from a gallery in
/// which they were enrolled on their own.
pub(super) fn plan(archived: &Person, people: &[Person], rule: Existing) -> Plan {
    let same_id = people.iter().find(|person| person.id == archived.id);
    let same_name = people.iter().find(|person| person.name == archived.name);
    let known = match (same_id, same_name) {
        (None, None) => return Plan::Add(Box::new(archived.clone())),
        (Some(a), Some(b)) if a.id != b.id => {
            return Plan::Clash(format!("they are enrolled as {}, and somebody else as {}", a.name, b.name));
        }
        (Some(known), _) | (None, Some(known)) => known,
    };
    if known == archived {
        return Plan::Same;
    }
    let result = match rule {
        Existing::Skip => return Plan::Skip,
        Existing::Replace => Person { id: known.id, ..archived.clone() },
        Existing::Merge => merged(known, archived),
    };
    if result == *known { Plan::Same } else { Plan::Put(Box::new(result)) }
}

fn merged(known: &Person, archived: &Person) -> Person {
    let mut result = known.clone();
    let is_new = |template: &&crate::store::Template| {
        !known.templates.iter().any(|there| there.embedding == template.embedding)
    };
    result.templates.extend(archived.templates.iter().filter(is_new).cloned());
    result.groups.extend(archived.groups.iter().cloned());
    result.groups.sort_unstable();
    result.groups.dedup();
    if result != *known {
        result.changed = result.changed.max(archived.changed);
    }
    result
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::WallTime;
    use crate::domain::{Embedding, GroupId, ModelDigest, PersonId};
    use crate::store::{RecordId, Template};

    fn person(id: u128, name: &str, values: &[f32]) -> Person {
        let at = WallTime(jiff::Timestamp::UNIX_EPOCH);
        let face = |value: &f32| Embedding::new(ModelDigest([1; 32]), vec![*value, 1.0]).unwrap();
        Person {
            id: RecordId(ulid::Ulid(id)),
            name: PersonId::new(name).unwrap(),
            groups: vec![GroupId::new(name).unwrap()],
            particulars: Default::default(),
            created: at,
            changed: at,
            templates: values.iter().map(|value| Template::new(face(value), 0.5, at)).collect(),
        }
    }

    fn put(plan: Plan) -> Person {
        match plan {
            Plan::Put(person) => *person,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn whoever_is_not_there_is_added_and_whoever_is_there_stays() {
        let people = [person(1, "Ann", &[1.0]), person(2, "Bert", &[2.0])];
        for rule in [Existing::Skip, Existing::Merge, Existing::Replace] {
            let carla = person(3, "Carla", &[3.0]);
            assert_eq!(plan(&carla, &people, rule), Plan::Add(Box::new(carla.clone())));
            assert_eq!(plan(&people[0], &people, rule), Plan::Same);
        }
        assert_eq!(plan(&person(1, "Ann", &[9.0]), &people, Existing::Skip), Plan::Skip);
    }

    #[test]
    fn a_person_enrolled_twice_on_their_own_is_one_person() {
        let people = [person(1, "Ann", &[1.0])];
        let elsewhere = person(7, "Ann", &[1.0, 2.0]);
        let merged = put(plan(&elsewhere, &people, Existing::Merge));
        assert_eq!(
            (merged.id, merged.templates.len()),
            (people[0].id, 2),
            "what is there twice is taken once"
        );
        let replaced = put(plan(&elsewhere, &people, Existing::Replace));
        assert_eq!((replaced.id, replaced.templates), (people[0].id, elsewhere.templates));
        // All that is in the archive is there already.
        let more = [person(1, "Ann", &[1.0, 2.0])];
        assert_eq!(plan(&person(9, "Ann", &[2.0]), &more, Existing::Merge), Plan::Same);
    }

    #[test]
    fn a_new_name_is_taken_only_with_all_else() {
        let people = [person(1, "Ann", &[1.0])];
        let renamed = person(1, "Anna", &[1.0]);
        let merged = put(plan(&renamed, &people, Existing::Merge));
        assert_eq!((merged.name.as_str(), merged.groups.len()), ("Ann", 2));
        assert_eq!(put(plan(&renamed, &people, Existing::Replace)).name.as_str(), "Anna");
        let both = [person(1, "Ann", &[1.0]), person(2, "Anna", &[2.0])];
        assert!(matches!(plan(&renamed, &both, Existing::Replace), Plan::Clash(_)));
    }
}
