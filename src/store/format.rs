//! Bytes to a person and back. Pure. The layout is in `docs/format.md`.

use sha2::{Digest, Sha256};
use ulid::Ulid;

use super::error::FormatError;
use super::person::{Person, RecordId, Template};
use crate::clock::WallTime;
use crate::domain::{Embedding, GroupId, InvalidName, ModelDigest, PersonId};

/// The format that this program writes, and the newest it reads. It reads all before it.
pub const VERSION: u16 = 2;
/// The first one, in which nobody belonged to a group.
const WITHOUT_GROUPS: u16 = 1;
/// The most groups of one person.
pub const MAX_GROUPS: usize = 64;
/// The most templates of one person.
pub const MAX_TEMPLATES: usize = 256;
/// The most numbers of one embedding.
pub const MAX_DIMENSION: usize = 4096;
/// The longest note about where a template came from, in bytes.
pub const MAX_SOURCE_BYTES: usize = 1024;
/// The largest file. What the limits above allow is about 4.5 MB; the rest is for later formats.
pub const MAX_FILE_BYTES: usize = 16 << 20;

const MAGIC: [u8; 8] = *b"FWPERSON";
/// Magic, version, reserved, length.
const HEADER_BYTES: usize = 16;
const CHECKSUM_BYTES: usize = 32;

fn invalid(field: &'static str, why: impl ToString) -> FormatError {
    FormatError::Invalid { field, why: why.to_string() }
}

/// Writes a person as the bytes of a file.
///
/// # Errors
/// [`FormatError::Invalid`] if something is beyond the limits, or the person contradicts itself.
pub fn encode(person: &Person) -> Result<Vec<u8>, FormatError> {
    check(person)?;
    let mut out = Vec::new();
    out.extend(MAGIC);
    out.extend(VERSION.to_le_bytes());
    out.extend([0; 6]); // reserved; the length, known at the end
    out.extend(person.id.0.to_bytes());
    out.extend(person.created.0.as_millisecond().to_le_bytes());
    out.extend(person.changed.0.as_millisecond().to_le_bytes());
    put_text(&mut out, "name", person.name.as_str())?;
    put_count(&mut out, "number of groups", person.groups.len())?;
    person.groups.iter().try_for_each(|group| put_text(&mut out, "group", group.as_str()))?;
    put_count(&mut out, "number of templates", person.templates.len())?;
    for template in &person.templates {
        put_template(&mut out, template)?;
    }
    let length = out.len() + CHECKSUM_BYTES;
    let length = u32::try_from(length).map_err(|_| invalid("length", length))?;
    out[HEADER_BYTES - 4..HEADER_BYTES].copy_from_slice(&length.to_le_bytes());
    let checksum = Sha256::digest(&out);
    out.extend_from_slice(&checksum);
    Ok(out)
}

fn put_template(out: &mut Vec<u8>, template: &Template) -> Result<(), FormatError> {
    out.extend(template.embedding.model().0);
    out.extend(template.added.0.as_millisecond().to_le_bytes());
    out.extend(template.quality.to_le_bytes());
    match &template.source {
        None => out.push(0),
        Some(source) => {
            out.push(1);
            put_text(out, "source", source)?;
        }
    }
    put_count(out, "dimension", template.embedding.values().len())?;
    for value in template.embedding.values() {
        out.extend(value.to_le_bytes());
    }
    Ok(())
}

fn put_count(out: &mut Vec<u8>, field: &'static str, count: usize) -> Result<(), FormatError> {
    let count = u16::try_from(count).map_err(|_| invalid(field, format!("{count} is too many")))?;
    out.extend(count.to_le_bytes());
    Ok(())
}

fn put_text(out: &mut Vec<u8>, field: &'static str, text: &str) -> Result<(), FormatError> {
    put_count(out, field, text.len())?;
    out.extend(text.as_bytes());
    Ok(())
}

/// Reads a person from the bytes of a file. Any bytes at all are safe to give; no more memory is used than a
/// small multiple of their number.
///
/// # Errors
/// [`FormatError`] for everything that [`encode`] of this or an earlier format did not write. Every cut and
/// every change of a single byte is found.
pub fn decode(bytes: &[u8]) -> Result<Person, FormatError> {
    if bytes.len() > MAX_FILE_BYTES {
        return Err(FormatError::TooLarge(bytes.len() as u64));
    }
    let body = match bytes.len().checked_sub(CHECKSUM_BYTES) {
        Some(at) if at >= HEADER_BYTES => at,
        _ => return Err(FormatError::TooShort(bytes.len())),
    };
    let (body, checksum) = bytes.split_at(body);
    let mut reader = Reader { rest: body };
    if reader.array::<8>("magic")? != MAGIC {
        return Err(FormatError::NotAPersonFile);
    }
    let version = u16::from_le_bytes(reader.array("version")?);
    let reserved = u16::from_le_bytes(reader.array("reserved bytes")?);
    let says = u32::from_le_bytes(reader.array("length")?);
    if usize::try_from(says) != Ok(bytes.len()) {
        return Err(FormatError::WrongLength { says, is: bytes.len() });
    }
    // Before the version is believed: a damaged version must not pass for a newer program's work.
    if Sha256::digest(body)[..] != *checksum {
        return Err(FormatError::Checksum);
    }
    match version {
        0 => return Err(invalid("version", "0 was never used")),
        WITHOUT_GROUPS | VERSION => {}
        newer => return Err(FormatError::Newer(newer)),
    }
    if reserved != 0 {
        return Err(invalid("reserved bytes", "they must be zero"));
    }
    let person = reader.person(version)?;
    if !reader.rest.is_empty() {
        return Err(invalid("end", format!("{} bytes are left over", reader.rest.len())));
    }
    check(&person)?;
    Ok(person)
}

/// What must be true of a person on disk, whether just read or about to be written.
fn check(person: &Person) -> Result<(), FormatError> {
    if person.templates.is_empty() {
        return Err(invalid("number of templates", "a person without any can never be recognised"));
    }
    if person.groups.len() > MAX_GROUPS {
        return Err(invalid(
            "number of groups",
            format!("{} is more than {MAX_GROUPS}", person.groups.len()),
        ));
    }
    if !person.groups.is_sorted_by(|a, b| a < b) {
        return Err(invalid("groups", "they are not in alphabetical order, or one is there twice"));
    }
    if person.templates.len() > MAX_TEMPLATES {
        return Err(invalid(
            "number of templates",
            format!("{} is more than {MAX_TEMPLATES}", person.templates.len()),
        ));
    }
    let mut dimensions: Vec<(ModelDigest, usize)> = Vec::new();
    for template in &person.templates {
        let (model, dimension) = (template.embedding.model(), template.embedding.values().len());
        if dimension > MAX_DIMENSION {
            return Err(invalid("dimension", format!("{dimension} is more than {MAX_DIMENSION}")));
        }
        match dimensions.iter().find(|(seen, _)| *seen == model) {
            None => dimensions.push((model, dimension)),
            Some((_, first)) if *first == dimension => {}
            Some((_, first)) => {
                return Err(invalid(
                    "dimension",
                    format!("one model gave both {first} and {dimension} numbers"),
                ));
            }
        }
        if !(0.0..=1.0).contains(&template.quality) {
            return Err(invalid("quality", format!("{} is not between 0 and 1", template.quality)));
        }
        if template.source.as_ref().is_some_and(|source| source.len() > MAX_SOURCE_BYTES) {
            return Err(invalid("source", format!("it has more than {MAX_SOURCE_BYTES} bytes")));
        }
    }
    Ok(())
}

/// The name that was made of `text`, if that is all of it: there is one way to write each.
fn trimmed<T>(
    field: &'static str,
    text: &str,
    name: Result<T, InvalidName>,
    as_str: impl Fn(&T) -> &str,
) -> Result<T, FormatError> {
    let name = name.map_err(|error| invalid(field, error))?;
    if as_str(&name) == text { Ok(name) } else { Err(invalid(field, "it has white space at its ends")) }
}

/// What has not been read yet.
struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    fn take(&mut self, field: &'static str, count: usize) -> Result<&'a [u8], FormatError> {
        let (taken, rest) = self
            .rest
            .split_at_checked(count)
            .ok_or_else(|| invalid(field, "the file ends before its end"))?;
        self.rest = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self, field: &'static str) -> Result<[u8; N], FormatError> {
        let mut array = [0; N];
        array.copy_from_slice(self.take(field, N)?);
        Ok(array)
    }

    fn count(&mut self, field: &'static str, most: usize) -> Result<usize, FormatError> {
        let count = usize::from(u16::from_le_bytes(self.array(field)?));
        if count > most { Err(invalid(field, format!("{count} is more than {most}"))) } else { Ok(count) }
    }

    fn time(&mut self, field: &'static str) -> Result<WallTime, FormatError> {
        let milliseconds = i64::from_le_bytes(self.array(field)?);
        jiff::Timestamp::from_millisecond(milliseconds).map(WallTime).map_err(|error| invalid(field, error))
    }

    fn text(&mut self, field: &'static str, most: usize) -> Result<&'a str, FormatError> {
        let count = self.count(field, most)?;
        std::str::from_utf8(self.take(field, count)?).map_err(|error| invalid(field, error))
    }

    fn person(&mut self, version: u16) -> Result<Person, FormatError> {
        let id = RecordId(Ulid::from_bytes(self.array("id")?));
        let created = self.time("creation time")?;
        let changed = self.time("time of change")?;
        let text = self.text("name", usize::from(u16::MAX))?;
        let name = trimmed("name", text, PersonId::new(text), PersonId::as_str)?;
        let count = if version == WITHOUT_GROUPS { 0 } else { self.count("number of groups", MAX_GROUPS)? };
        let groups = (0..count).map(|_| self.group()).collect::<Result<_, _>>()?;
        let count = self.count("number of templates", MAX_TEMPLATES)?;
        let templates = (0..count).map(|_| self.template()).collect::<Result<_, _>>()?;
        Ok(Person { id, name, groups, created, changed, templates })
    }

    fn group(&mut self) -> Result<GroupId, FormatError> {
        let text = self.text("group", usize::from(u16::MAX))?;
        trimmed("group", text, GroupId::new(text), GroupId::as_str)
    }

    fn template(&mut self) -> Result<Template, FormatError> {
        let model = ModelDigest(self.array("model digest")?);
        let added = self.time("time of a template")?;
        let quality = f32::from_le_bytes(self.array("quality")?);
        let source = match self.array("source")? {
            [0] => None,
            [1] => Some(self.text("source", MAX_SOURCE_BYTES)?.to_owned()),
            [other] => return Err(invalid("source", format!("its mark is {other}, not 0 or 1"))),
        };
        let dimension = self.count("dimension", MAX_DIMENSION)?;
        let values = self.take("embedding", dimension * 4)?;
        let values = values.as_chunks::<4>().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect();
        let embedding = Embedding::new(model, values).map_err(|error| invalid("embedding", error))?;
        Ok(Template { embedding, source, quality, added })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn time(milliseconds: i64) -> WallTime {
        WallTime(jiff::Timestamp::from_millisecond(milliseconds).unwrap())
    }

    prop_compose! {
        fn template()(
            model in 0_u8..3,
            values in prop::collection::vec(-1.0_f32..1.0, 4),
            source in prop::option::of("\\PC{0,20}"),
            quality in 0.0_f32..=1.0,
            added in 0_i64..4_000_000_000_000,
        ) -> Template {
            let mut values = values;
            values[0] += 2.0;
            values.truncate(4 - usize::from(model));
            let embedding = Embedding::new(ModelDigest([model; 32]), values).unwrap();
            Template { embedding, source, quality, added: time(added) }
        }
    }

    prop_compose! {
        fn person()(
            id in any::<u128>(),
            name in "[^\\pC\\s]{1,30}",
            created in 0_i64..4_000_000_000_000,
            groups in prop::collection::btree_set("[a-z]{1,8}", 0..4),
            templates in prop::collection::vec(template(), 1..6),
        ) -> Person {
            let name = PersonId::new(&name).unwrap();
            let groups = groups.iter().map(|group| GroupId::new(group).unwrap()).collect();
            Person { id: RecordId(Ulid(id)), name, groups, created: time(created), changed: time(created + 5), templates }
        }
    }

    fn sample() -> Person {
        let template = |model: u8, source: Option<&str>| Template {
            embedding: Embedding::new(ModelDigest([model; 32]), vec![0.25, -1.0, 3.5]).unwrap(),
            source: source.map(str::to_owned),
            quality: 0.75,
            added: time(1_700_000_000_123),
        };
        Person {
            id: RecordId(Ulid(42)),
            name: PersonId::new("../Zoë/Ω").unwrap(),
            groups: ["night", "staff"].map(|group| GroupId::new(group).unwrap()).to_vec(),
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

    /// The same person as a program wrote them that knew no groups.
    fn in_format_1(person: &Person) -> Vec<u8> {
        let mut bytes = encode(&Person { groups: Vec::new(), ..person.clone() }).unwrap();
        let groups_at = HEADER_BYTES + 16 + 8 + 8 + 2 + person.name.as_str().len();
        assert_eq!(bytes.drain(groups_at..groups_at + 2).collect::<Vec<u8>>(), [0, 0]);
        bytes[8] = 1;
        let length = u32::try_from(bytes.len()).unwrap();
        bytes[HEADER_BYTES - 4..HEADER_BYTES].copy_from_slice(&length.to_le_bytes());
        sealed(bytes)
    }

    #[test]
    fn files_of_the_first_format_are_read() {
        let person = sample();
        let read = decode(&in_format_1(&person)).unwrap();
        assert_eq!(read, Person { groups: Vec::new(), ..person });
    }

    #[test]
    fn groups_are_sorted_and_few() {
        let person = sample();
        let groups =
            |names: &[&str]| names.iter().map(|name| GroupId::new(name).unwrap()).collect::<Vec<_>>();
        for groups in [groups(&["b", "a"]), groups(&["a", "a"])] {
            assert!(encode(&Person { groups, ..person.clone() }).is_err());
        }
        let many: Vec<String> = (100..101 + MAX_GROUPS).map(|number| number.to_string()).collect();
        let many = groups(&many.iter().map(String::as_str).collect::<Vec<_>>());
        assert!(encode(&Person { groups: many, ..person }).is_err());
    }

    #[test]
    fn every_truncation_is_found() {
        let bytes = encode(&sample()).unwrap();
        for length in 0..bytes.len() {
            assert!(decode(&bytes[..length]).is_err(), "cut to {length} bytes");
        }
        let mut longer = bytes;
        longer.push(0);
        assert!(matches!(decode(&longer), Err(FormatError::WrongLength { .. })));
    }

    #[test]
    fn every_change_of_a_byte_is_found_and_is_never_taken_for_a_newer_format() {
        let bytes = encode(&sample()).unwrap();
        let mut changed = bytes.clone();
        for at in 0..bytes.len() {
            for mask in 1..=255_u8 {
                changed[at] = bytes[at] ^ mask;
                let error = decode(&changed).expect_err("a changed byte was not noticed");
                assert!(!matches!(error, FormatError::Newer(_)), "byte {at}, mask {mask}");
            }
            changed[at] = bytes[at];
        }
        assert_eq!(decode(&changed), Ok(sample()));
    }

    #[test]
    fn a_newer_format_is_named() {
        let mut bytes = encode(&sample()).unwrap();
        bytes[8] = 9;
        let error = decode(&sealed(bytes)).unwrap_err();
        assert_eq!(error, FormatError::Newer(9));
        assert!(error.to_string().contains("newer program"), "{error}");
    }

    #[test]
    fn what_no_program_may_write_is_refused() {
        let bytes = encode(&sample()).unwrap();
        let name_at = HEADER_BYTES + 16 + 16;
        let groups_at = name_at + 2 + sample().name.as_str().len();
        let groups: usize = sample().groups.iter().map(|group| 2 + group.as_str().len()).sum();
        let count_at = groups_at + 2 + groups;
        let quality_at = count_at + 2 + 32 + 8;
        for (what, at, value) in [
            ("version 0", 8, vec![0, 0]),
            ("reserved bytes", 10, vec![1, 0]),
            ("a time beyond the calendar", HEADER_BYTES + 16, vec![0xff; 7]),
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
            ("a source mark of 2", quality_at + 4, vec![2]),
        ] {
            let mut bad = bytes.clone();
            bad[at..at + value.len()].copy_from_slice(&value);
            let bad = sealed(bad);
            assert!(matches!(decode(&bad), Err(FormatError::Invalid { .. })), "{what}: {:?}", decode(&bad));
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
            assert!(matches!(encode(&person), Err(FormatError::Invalid { .. })), "{person:?}");
        }
    }

    #[test]
    fn the_largest_person_fits() {
        let mut person = sample();
        person.templates[0].embedding =
            Embedding::new(ModelDigest([1; 32]), vec![1.0; MAX_DIMENSION]).unwrap();
        person.templates[0].source = Some("x".repeat(MAX_SOURCE_BYTES));
        person.templates = vec![person.templates[0].clone(); MAX_TEMPLATES];
        assert_eq!(decode(&encode(&person).unwrap()), Ok(person));
    }

    proptest! {
        #[test]
        fn what_was_written_is_read(person in person()) {
            prop_assert_eq!(decode(&encode(&person).unwrap()), Ok(person));
        }

        #[test]
        fn any_bytes_are_safe(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
            prop_assert!(decode(&bytes).is_err());
        }

        /// Behind a right checksum there is one way to write each person, so nothing can hide in a file.
        #[test]
        fn sealed_bytes_are_refused_or_are_what_would_be_written(
            person in person(),
            changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        ) {
            let mut bytes = encode(&person).unwrap();
            for (at, value) in changes {
                let at = HEADER_BYTES + at.index(bytes.len() - CHECKSUM_BYTES - HEADER_BYTES);
                bytes[at] = value;
            }
            let bytes = sealed(bytes);
            if let Ok(read) = decode(&bytes) {
                prop_assert_eq!(encode(&read).unwrap(), bytes);
            }
        }
    }
}
