//! What a person's file holds, and what it refuses.

use proptest::prelude::*;

use sha2::{Digest, Sha256};
use ulid::Ulid;

use super::error::FormatError;
use super::format::*;
use super::key::{Key, KeyRing};
use super::person::{Look, Person, RecordId, Template};
use super::seal::{CHECKSUM_BYTES, HEADER_BYTES, SEALED_AT};
use crate::clock::WallTime;
use crate::domain::{Admission, Embedding, GroupId, ModelDigest, Particulars, PersonId};

fn key(number: u8) -> Key {
    Key::of([number; 32].into())
}

fn written(person: &Person) -> Result<Vec<u8>, FormatError> {
    encode(person, &key(1))
}

fn read(bytes: &[u8]) -> Result<Person, FormatError> {
    decode(bytes, Some(&KeyRing::of(key(1))))
}

fn time(milliseconds: i64) -> WallTime {
    WallTime(jiff::Timestamp::from_millisecond(milliseconds).unwrap())
}

prop_compose! {
    fn template()(
        model in 0_u8..3,
        values in prop::collection::vec(-1.0_f32..1.0, 4),
        source in prop::option::of("\\PC{0,20}"),
        quality in 0.0_f32..=1.0,
        look in prop::option::of(any::<[i16; 5]>().prop_map(|numbers| numbers.map(f32::from))),
        photo in prop::option::of(any::<u128>()),
        is_refreshed: bool,
        added in 0_i64..4_000_000_000_000,
    ) -> Template {
        let mut values = values;
        values[0] += 2.0;
        values.truncate(4 - usize::from(model));
        let embedding = Embedding::new(ModelDigest([model; 32]), values).unwrap();
        let look = look.map(Look::of);
        let photo = photo.map(|id| RecordId(Ulid(id)));
        Template { source, look, photo, is_refreshed, ..Template::new(embedding, quality, time(added)) }
    }
}

prop_compose! {
    fn person()(
        id in any::<u128>(),
        name in "[^\\pC\\s]{1,30}",
        created in 0_i64..4_000_000_000_000,
        notes in prop::option::of("\\PC{0,20}"),
        until in prop::option::of(0_i64..4_000_000_000_000),
        groups in prop::collection::btree_set("[a-z]{1,8}", 0..4),
        templates in prop::collection::vec(template(), 1..6),
    ) -> Person {
        let name = PersonId::new(&name).unwrap();
        let groups = groups.iter().map(|group| GroupId::new(group).unwrap()).collect();
        let admission = Admission { valid_until: until.map(time), ..Admission::default() };
        let particulars = Particulars { notes, admission, ..Particulars::default() };
        let (created, changed) = (time(created), time(created + 5));
        Person { id: RecordId(Ulid(id)), name, groups, particulars, created, changed, templates }
    }
}

fn sample() -> Person {
    let template = |model: u8, source: Option<&str>| {
        let embedding = Embedding::new(ModelDigest([model; 32]), vec![0.25, -1.0, 3.5]).unwrap();
        Template {
            source: source.map(str::to_owned),
            look: source.map(|_| Look::of([1.0, 2.0, 120.0, 0.3, 88.0])),
            photo: source.map(|_| RecordId(Ulid(7))),
            ..Template::new(embedding, 0.75, time(1_700_000_000_123))
        }
    };
    Person {
        id: RecordId(Ulid(42)),
        name: PersonId::new("../Zoë/Ω").unwrap(),
        groups: ["night", "staff"].map(|group| GroupId::new(group).unwrap()).to_vec(),
        particulars: Particulars { notes: Some("night porter".into()), ..Particulars::default() },
        created: time(1_700_000_000_000),
        changed: time(1_700_000_000_456),
        templates: vec![template(1, Some("passport.jpg")), template(2, None)],
    }
}

/// Puts a right checksum on whatever the bytes are, to reach what lies behind it.
fn sealed(mut bytes: Vec<u8>) -> Vec<u8> {
    bytes.truncate(bytes.len().saturating_sub(CHECKSUM_BYTES));
    let checksum = Sha256::digest(&bytes);
    bytes.extend_from_slice(&checksum);
    bytes
}

/// A person without anything that was not known then, as a program wrote them before files were encrypted.
fn unencrypted(person: &Person, version: u8) -> Vec<u8> {
    let mut bytes = b"FWPERSON".to_vec();
    bytes.extend([version, 0, 0, 0, 0, 0, 0, 0]);
    bytes.extend(person.id.0.to_bytes());
    for time in [person.created, person.changed] {
        bytes.extend(time.0.as_millisecond().to_le_bytes());
    }
    let text = |bytes: &mut Vec<u8>, text: &str| {
        bytes.extend(u16::try_from(text.len()).unwrap().to_le_bytes());
        bytes.extend(text.as_bytes());
    };
    text(&mut bytes, person.name.as_str());
    if version > 1 {
        bytes.extend(u16::try_from(person.groups.len()).unwrap().to_le_bytes());
        person.groups.iter().for_each(|group| text(&mut bytes, group.as_str()));
    }
    bytes.extend([u8::try_from(person.templates.len()).unwrap(), 0]);
    for template in &person.templates {
        bytes.extend(template.embedding.model().0);
        bytes.extend(template.added.0.as_millisecond().to_le_bytes());
        bytes.extend(template.quality.to_le_bytes());
        bytes.push(u8::from(template.source.is_some()));
        template.source.iter().for_each(|source| text(&mut bytes, source));
        bytes.extend(u16::try_from(template.embedding.values().len()).unwrap().to_le_bytes());
        template.embedding.values().iter().for_each(|value| bytes.extend(value.to_le_bytes()));
    }
    let length = u32::try_from(bytes.len() + CHECKSUM_BYTES).unwrap();
    bytes[HEADER_BYTES - 4..HEADER_BYTES].copy_from_slice(&length.to_le_bytes());
    bytes.extend([0; CHECKSUM_BYTES]);
    sealed(bytes)
}

/// A person in whom nothing is that the first formats did not have.
fn simple(version: u8) -> Person {
    let mut person = Person { particulars: Particulars::default(), ..sample() };
    if version == 1 {
        person.groups.clear();
    }
    for template in &mut person.templates {
        (template.look, template.photo) = (None, None);
    }
    person
}

#[test]
fn files_from_before_encryption_are_read_only_when_that_is_asked_for() {
    for version in [1, 2] {
        let person = simple(version);
        let bytes = unencrypted(&person, version);
        assert_eq!(read(&bytes), Err(FormatError::NotEncrypted(version.into())));
        assert_eq!(decode_unencrypted(&bytes), Ok(person));
    }
    assert!(matches!(decode_unencrypted(&written(&sample()).unwrap()), Err(FormatError::Invalid { .. })));
}

#[test]
fn nothing_of_a_person_is_readable_in_the_file() {
    let (person, bytes) = (sample(), written(&sample()).unwrap());
    let value = 3.5_f32.to_le_bytes();
    let source = person.templates[0].source.as_deref().unwrap().as_bytes();
    let words = [person.name.as_str().as_bytes(), b"staff", b"porter", source, &value, &[1; 32]];
    let is_in = |bytes: &[u8], word: &[u8]| bytes.windows(word.len()).any(|window| window == word);
    let open = plain(&person).unwrap();
    for word in words {
        assert!(is_in(&open, word), "{word:?} is not even in what is encrypted");
        assert!(!is_in(&bytes, word), "{word:?}");
    }
    // And nothing is written twice alike.
    let again = written(&person).unwrap();
    assert!(
        bytes[SEALED_AT..].iter().zip(&again[SEALED_AT..]).filter(|(a, b)| a == b).count() < bytes.len() / 8
    );
}

#[test]
fn without_its_key_a_file_says_which_it_needs_and_nothing_else() {
    let bytes = written(&sample()).unwrap();
    let other = KeyRing::of(key(2));
    let refused = Err(FormatError::OtherKey(key(1).id()));
    assert_eq!(decode(&bytes, Some(&other)), refused);
    assert_eq!(decode(&bytes, None), refused);
    let both = KeyRing { current: key(2), former: Some(key(1)) };
    assert_eq!(decode(&bytes, Some(&both)), Ok(sample()));
}

#[test]
fn whoever_has_no_key_cannot_write_a_file_whatever_they_do_to_one() {
    let bytes = written(&sample()).unwrap();
    for at in HEADER_BYTES..bytes.len() - CHECKSUM_BYTES {
        let mut changed = bytes.clone();
        changed[at] ^= 1;
        let error = read(&sealed(changed)).expect_err("a forged file was believed");
        assert!(matches!(error, FormatError::Forged | FormatError::OtherKey(_)), "byte {at}: {error}");
    }
    // An id, a nonce or a body from another file of the same key fits nowhere else.
    let other = written(&Person { id: RecordId(Ulid(43)), ..sample() }).unwrap();
    let mixed = [&other[..HEADER_BYTES + 16], &bytes[HEADER_BYTES + 16..]].concat();
    assert_eq!(read(&sealed(mixed)), Err(FormatError::Forged));
}

#[test]
fn groups_are_sorted_and_few() {
    let person = sample();
    let groups = |names: &[&str]| names.iter().map(|name| GroupId::new(name).unwrap()).collect::<Vec<_>>();
    for groups in [groups(&["b", "a"]), groups(&["a", "a"])] {
        assert!(written(&Person { groups, ..person.clone() }).is_err());
    }
    let many: Vec<String> = (100..101 + MAX_GROUPS).map(|number| number.to_string()).collect();
    let many = groups(&many.iter().map(String::as_str).collect::<Vec<_>>());
    assert!(written(&Person { groups: many, ..person }).is_err());
}

#[test]
fn every_truncation_is_found() {
    let bytes = written(&sample()).unwrap();
    for length in 0..bytes.len() {
        assert!(read(&bytes[..length]).is_err(), "cut to {length} bytes");
    }
    let mut longer = bytes;
    longer.push(0);
    assert!(matches!(read(&longer), Err(FormatError::WrongLength { .. })));
}

#[test]
fn every_change_of_a_byte_is_found_and_is_never_taken_for_a_newer_format() {
    let bytes = written(&sample()).unwrap();
    let mut changed = bytes.clone();
    for at in 0..bytes.len() {
        for mask in 1..=255_u8 {
            changed[at] = bytes[at] ^ mask;
            let error = read(&changed).expect_err("a changed byte was not noticed");
            assert!(!matches!(error, FormatError::Newer { .. }), "byte {at}, mask {mask}");
        }
        changed[at] = bytes[at];
    }
    assert_eq!(read(&changed), Ok(sample()));
}

#[test]
fn a_newer_format_is_named() {
    let mut bytes = written(&sample()).unwrap();
    bytes[8] = 9;
    let error = read(&sealed(bytes)).unwrap_err();
    assert_eq!(error, FormatError::Newer { is: 9, known: VERSION });
    assert!(error.to_string().contains("newer program"), "{error}");
}

#[test]
fn what_no_program_may_write_is_refused() {
    let person = sample();
    let bytes = plain(&person).unwrap();
    let name_at = 16;
    let groups_at = name_at + 2 + sample().name.as_str().len();
    let groups: usize = sample().groups.iter().map(|group| 2 + group.as_str().len()).sum();
    let json_at = groups_at + 2 + groups;
    let json = u32::from_le_bytes(bytes[json_at..json_at + 4].try_into().unwrap());
    let count_at = json_at + 4 + usize::try_from(json).unwrap();
    let quality_at = count_at + 2 + 32 + 8;
    let look_at = quality_at + 4 + 1 + 1 + 2 + "passport.jpg".len();
    for (what, at, value) in [
        ("a time beyond the calendar", 0, vec![0xff; 7]),
        ("a name that is not UTF-8", name_at + 2, vec![0xff]),
        ("a name with a space in front", name_at + 2, vec![b' ']),
        ("a name with a new line", name_at + 3, vec![b'\n']),
        ("a name longer than the file", name_at, vec![0xff, 0xff]),
        ("fewer groups than there are", groups_at, vec![1, 0]),
        ("too many groups", groups_at, vec![65, 0]),
        ("a group with a space in front", groups_at + 4, vec![b' ']),
        ("groups in another order", groups_at + 4, vec![b'z']),
        ("no templates", count_at, vec![0, 0]),
        ("too many templates", count_at, vec![0xff, 0xff]),
        ("more templates than there are", count_at, vec![3, 0]),
        ("fewer templates than there are", count_at, vec![1, 0]),
        ("quality NaN", quality_at, f32::NAN.to_le_bytes().to_vec()),
        ("quality 2", quality_at, 2.0_f32.to_le_bytes().to_vec()),
        ("a refreshed mark of 2", quality_at + 4, vec![2]),
        ("a source mark of 2", quality_at + 5, vec![2]),
        ("a look mark of 2", look_at, vec![2]),
        ("a look that is none", look_at + 1, f32::NAN.to_le_bytes().to_vec()),
        ("a photo mark of 2", look_at + 21, vec![2]),
        ("particulars longer than the file", json_at, vec![0xff, 0xff]),
        ("particulars far too long", json_at + 3, vec![0xff]),
        ("particulars that are no JSON", json_at + 4, vec![b'x']),
        ("particulars written otherwise", json_at + 4, b"{ \"".to_vec()),
    ] {
        let mut bad = bytes.clone();
        bad[at..at + value.len()].copy_from_slice(&value);
        let result = read_plain(person.id, &bad);
        assert!(matches!(result, Err(FormatError::Invalid { .. })), "{what}: {result:?}");
    }
}

#[test]
fn people_that_contradict_themselves_are_not_written() {
    let mut nobody = sample();
    nobody.templates.clear();
    let mut two_lengths = sample();
    two_lengths.templates[1].embedding = Embedding::new(ModelDigest([1; 32]), vec![1.0]).unwrap();
    let mut bad_quality = sample();
    bad_quality.templates[0].quality = f32::NAN;
    let mut too_many = sample();
    too_many.templates = vec![too_many.templates[0].clone(); MAX_TEMPLATES + 1];
    let mut too_wide = sample();
    too_wide.templates[0].embedding =
        Embedding::new(ModelDigest([1; 32]), vec![1.0; MAX_DIMENSION + 1]).unwrap();
    let mut long_source = sample();
    long_source.templates[0].source = Some("x".repeat(MAX_SOURCE_BYTES + 1));
    for person in [nobody, two_lengths, bad_quality, too_many, too_wide, long_source] {
        assert!(matches!(written(&person), Err(FormatError::Invalid { .. })), "{person:?}");
    }
}

#[test]
fn the_largest_person_fits() {
    let mut person = sample();
    person.templates[0].embedding = Embedding::new(ModelDigest([1; 32]), vec![1.0; MAX_DIMENSION]).unwrap();
    person.templates[0].source = Some("x".repeat(MAX_SOURCE_BYTES));
    person.templates = vec![person.templates[0].clone(); MAX_TEMPLATES];
    assert_eq!(read(&written(&person).unwrap()), Ok(person));
}

proptest! {
    #[test]
    fn what_was_written_is_read(person in person()) {
        prop_assert_eq!(read(&written(&person).unwrap()), Ok(person));
    }

    #[test]
    fn any_bytes_are_safe(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        prop_assert!(read(&bytes).is_err());
        prop_assert!(decode_unencrypted(&bytes).is_err());
    }

    /// There is one way to write each person, so nothing can hide in a file.
    #[test]
    fn any_content_is_refused_or_is_what_would_be_written(
        person in person(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        let mut bytes = plain(&person).unwrap();
        for (at, value) in changes {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        if let Ok(read) = read_plain(person.id, &bytes) {
            prop_assert_eq!(&*plain(&read).unwrap(), &*bytes);
        }
    }

    #[test]
    fn what_was_written_before_encryption_is_refused_or_taken_whole(
        person in person(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
    ) {
        let mut bytes = unencrypted(&person, 2);
        for (at, value) in changes {
            let at = HEADER_BYTES + at.index(bytes.len() - CHECKSUM_BYTES - HEADER_BYTES);
            bytes[at] = value;
        }
        if let Ok(read) = decode_unencrypted(&sealed(bytes.clone())) {
            prop_assert_eq!(unencrypted(&read, 2), sealed(bytes));
        }
    }
}
