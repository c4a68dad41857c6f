//! A person to the bytes of a file and back. Pure but for the random nonce. The layout is in `docs/format.md`.

use ulid::Ulid;
use zeroize::Zeroizing;

use super::error::FormatError;
use super::key::{Key, KeyRing};
use super::person::{Look, Person, RecordId, Template};
use super::seal::{self, HEADER_BYTES, Kind};
use crate::clock::WallTime;
use crate::domain::{Embedding, GroupId, InvalidName, ModelDigest, Particulars, PersonId};

/// The format that this program writes, and the newest it reads.
pub const VERSION: u16 = 3;
/// Files before this were not encrypted. They are read only to be encrypted.
const ENCRYPTED_SINCE: u16 = 3;
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
/// The longest particulars, in bytes of JSON: several times what they can come to.
const MAX_PARTICULARS_BYTES: usize = 64 << 10;
/// The largest file. What the limits above allow is about 4.6 MB; the rest is for later formats.
pub const MAX_FILE_BYTES: usize = 16 << 20;

pub(super) const PERSON: Kind =
    Kind { magic: *b"FWPERSON", version: VERSION, sealed_since: ENCRYPTED_SINCE, max_bytes: MAX_FILE_BYTES };

pub(super) fn invalid(field: &'static str, why: impl ToString) -> FormatError {
    FormatError::Invalid { field, why: why.to_string() }
}

/// Writes a person as the bytes of a file, encrypted.
///
/// # Errors
/// [`FormatError::Invalid`] if something is beyond the limits, or the person contradicts itself.
pub fn encode(person: &Person, key: &Key) -> Result<Vec<u8>, FormatError> {
    seal::seal(PERSON, person.id, &plain(person)?, key)
}

/// What is encrypted of a person.
pub(super) fn plain(person: &Person) -> Result<Zeroizing<Vec<u8>>, FormatError> {
    check(person)?;
    let particulars = Zeroizing::new(
        serde_json::to_vec(&person.particulars).map_err(|error| invalid("particulars", error))?,
    );
    // Enough for all of it, so that growing leaves no copies behind.
    let templates = person.templates.iter().map(|t| t.embedding.values().len() * 4 + MAX_SOURCE_BYTES + 128);
    let enough = 1024 + particulars.len() + person.groups.len() * 130 + templates.sum::<usize>();
    let mut out = Zeroizing::new(Vec::with_capacity(enough));
    out.extend(person.created.0.as_millisecond().to_le_bytes());
    out.extend(person.changed.0.as_millisecond().to_le_bytes());
    put_text(&mut out, "name", person.name.as_str())?;
    put_count(&mut out, "number of groups", person.groups.len())?;
    person.groups.iter().try_for_each(|group| put_text(&mut out, "group", group.as_str()))?;
    let length = u32::try_from(particulars.len()).map_err(|_| invalid("particulars", "they are too long"))?;
    out.extend(length.to_le_bytes());
    out.extend_from_slice(&particulars);
    put_count(&mut out, "number of templates", person.templates.len())?;
    for template in &person.templates {
        put_template(&mut out, template)?;
    }
    Ok(out)
}

fn put_template(out: &mut Vec<u8>, template: &Template) -> Result<(), FormatError> {
    out.extend(template.embedding.model().0);
    out.extend(template.added.0.as_millisecond().to_le_bytes());
    out.extend(template.quality.to_le_bytes());
    out.push(u8::from(template.is_refreshed));
    out.push(u8::from(template.source.is_some()));
    if let Some(source) = &template.source {
        put_text(out, "source", source)?;
    }
    out.push(u8::from(template.look.is_some()));
    if let Some(look) = template.look {
        look.numbers().into_iter().for_each(|number| out.extend(number.to_le_bytes()));
    }
    out.push(u8::from(template.photo.is_some()));
    if let Some(photo) = template.photo {
        out.extend(photo.0.to_bytes());
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
/// [`FormatError`] for everything that [`encode`] did not write, or not with one of these keys. Every cut and every
/// change of a single byte is found.
pub fn decode(bytes: &[u8], keys: Option<&KeyRing>) -> Result<Person, FormatError> {
    let (id, plain) = seal::unseal(PERSON, bytes, keys)?;
    read_plain(id, &plain)
}

/// Reads what is inside an envelope: for `fuzz/`, which would never get past the tag.
///
/// # Errors
/// [`FormatError`] for everything that [`encode`] does not write there.
pub fn read_inside(id: RecordId, plain: &[u8]) -> Result<Person, FormatError> {
    read_plain(id, plain)
}

/// Reads what [`plain`] wrote.
pub(super) fn read_plain(id: RecordId, plain: &[u8]) -> Result<Person, FormatError> {
    finish(Reader { rest: plain }, id, VERSION)
}

/// Reads a person's file from before files were encrypted.
///
/// # Errors
/// [`FormatError`] for everything that those programs did not write.
pub fn decode_unencrypted(bytes: &[u8]) -> Result<Person, FormatError> {
    let (version, body) = seal::whole(PERSON, bytes)?;
    if version >= ENCRYPTED_SINCE {
        return Err(invalid("version", "it is encrypted"));
    }
    let mut reader = Reader { rest: body };
    reader.take("header", HEADER_BYTES)?;
    let id = RecordId(Ulid::from_bytes(reader.array("id")?));
    finish(reader, id, version)
}

fn finish(mut reader: Reader<'_>, id: RecordId, version: u16) -> Result<Person, FormatError> {
    let person = reader.person(id, version)?;
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
        if template.look.is_some_and(|look| !look.numbers().into_iter().all(f32::is_finite)) {
            return Err(invalid("look", "one of its numbers is none"));
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

    fn flag(&mut self, field: &'static str) -> Result<bool, FormatError> {
        match self.array(field)? {
            [0] => Ok(false),
            [1] => Ok(true),
            [other] => Err(invalid(field, format!("its mark is {other}, not 0 or 1"))),
        }
    }

    fn number(&mut self, field: &'static str) -> Result<f32, FormatError> {
        self.array(field).map(f32::from_le_bytes)
    }

    fn person(&mut self, id: RecordId, version: u16) -> Result<Person, FormatError> {
        let created = self.time("creation time")?;
        let changed = self.time("time of change")?;
        let text = self.text("name", usize::from(u16::MAX))?;
        let name = trimmed("name", text, PersonId::new(text), PersonId::as_str)?;
        let count = if version == WITHOUT_GROUPS { 0 } else { self.count("number of groups", MAX_GROUPS)? };
        let groups = (0..count).map(|_| self.group()).collect::<Result<_, _>>()?;
        let particulars =
            if version < ENCRYPTED_SINCE { Particulars::default() } else { self.particulars()? };
        let count = self.count("number of templates", MAX_TEMPLATES)?;
        let templates = (0..count).map(|_| self.template(version)).collect::<Result<_, _>>()?;
        Ok(Person { id, name, groups, particulars, created, changed, templates })
    }

    fn group(&mut self) -> Result<GroupId, FormatError> {
        let text = self.text("group", usize::from(u16::MAX))?;
        trimmed("group", text, GroupId::new(text), GroupId::as_str)
    }

    fn particulars(&mut self) -> Result<Particulars, FormatError> {
        const FIELD: &str = "particulars";
        let length = u32::from_le_bytes(self.array(FIELD)?);
        let length = usize::try_from(length).ok().filter(|length| *length <= MAX_PARTICULARS_BYTES);
        let bytes = self.take(FIELD, length.ok_or_else(|| invalid(FIELD, "they are too long"))?)?;
        let read: Particulars = serde_json::from_slice(bytes).map_err(|error| invalid(FIELD, error))?;
        // There is one way to write each.
        let again = Zeroizing::new(serde_json::to_vec(&read).map_err(|error| invalid(FIELD, error))?);
        if *again == bytes { Ok(read) } else { Err(invalid(FIELD, "they are not written as they would be")) }
    }

    fn template(&mut self, version: u16) -> Result<Template, FormatError> {
        let has_more = version >= ENCRYPTED_SINCE;
        let model = ModelDigest(self.array("model digest")?);
        let added = self.time("time of a template")?;
        let quality = self.number("quality")?;
        let is_refreshed = has_more && self.flag("mark of a refreshed template")?;
        let source =
            if self.flag("source")? { Some(self.text("source", MAX_SOURCE_BYTES)?.to_owned()) } else { None };
        let look = if has_more && self.flag("look")? { Some(self.look()?) } else { None };
        let photo = if has_more && self.flag("photo")? {
            Some(RecordId(Ulid::from_bytes(self.array("photo")?)))
        } else {
            None
        };
        let dimension = self.count("dimension", MAX_DIMENSION)?;
        let values = self.take("embedding", dimension * 4)?;
        let values = values.as_chunks::<4>().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect();
        let embedding = Embedding::new(model, values).map_err(|error| invalid("embedding", error))?;
        Ok(Template { embedding, source, quality, look, photo, is_refreshed, added })
    }

    fn look(&mut self) -> Result<Look, FormatError> {
        let mut numbers = [0.0; Look::NUMBERS];
        for number in &mut numbers {
            *number = self.number("look")?;
        }
        Ok(Look::of(numbers))
    }
}
