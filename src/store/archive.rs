//! People and their photos in one file with a passphrase, to move them to another machine or to keep them.
//!
//! The key is made of the passphrase by Argon2id with the parameters that RFC 9106 recommends where 2 GiB are too much.
//! Each person and each photo is sealed on its own with XChaCha20-Poly1305; their order, and that none is missing at the
//! end, is part of the nonces (the STREAM construction of Hoang, Reyhanitabar, Rogaway and Vizár, 2015). The layout is in
//! `docs/format.md`.

use std::io::{self, Read, Write};

use argon2::{Algorithm, Argon2, Params, Version};
use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use rand::TryRng as _;
use ulid::Ulid;
use zeroize::Zeroizing;

use super::error::FormatError;
use super::format::{self, MAX_FILE_BYTES};
use super::person::{Person, RecordId};
use super::photo::MAX_PHOTO_BYTES;

const MAGIC: [u8; 8] = *b"FWARCHIV";
const VERSION: u16 = 1;
const SALT_BYTES: usize = 16;
/// A nonce is these random bytes, the number of the part (32 bits) and whether it is the last.
const PREFIX_BYTES: usize = 19;
const HEADER_BYTES: usize = 8 + 2 + 2 + 4 + 4 + 4 + SALT_BYTES + PREFIX_BYTES;
/// RFC 9106, section 4, second recommendation: 64 MiB, 3 passes, 4 lanes.
const MEMORY_KIB: u32 = 64 << 10;
const PASSES: u32 = 3;
const LANES: u32 = 4;
/// What an archive may ask for: it comes from outside.
const MAX_MEMORY_KIB: u32 = 1 << 20;
const MAX_PASSES: u32 = 32;
const MAX_LANES: u32 = 16;
/// Kind and id of a part.
const PART_HEADER_BYTES: usize = 1 + 16;
const TAG_BYTES: usize = 16;
const MAX_PART_BYTES: usize = PART_HEADER_BYTES
    + TAG_BYTES
    + if MAX_PHOTO_BYTES > MAX_FILE_BYTES { MAX_PHOTO_BYTES } else { MAX_FILE_BYTES };

const BEGIN: u8 = 0;
const PERSON: u8 = 1;
const PHOTO: u8 = 2;
const END: u8 = 3;

/// The shortest passphrase that an archive is made with, in characters.
pub const MIN_PASSPHRASE: usize = 12;

/// Why an archive cannot be made or read.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// The system failed to read or write.
    #[error("the archive cannot be read or written")]
    Io(#[from] io::Error),
    /// Something else than an archive.
    #[error("it is not an archive of Facewarden")]
    NotAnArchive,
    /// From a later program.
    #[error(
        "a newer program wrote it (format {0}; this program reads up to format {VERSION}): use that program"
    )]
    Newer(u16),
    /// It asks for more memory or time than any archive of this program.
    #[error(
        "its parameters for the passphrase are beyond what this program accepts: it is damaged, or not made by Facewarden"
    )]
    Parameters,
    /// The first part does not open.
    #[error("the passphrase is wrong, or the beginning of the archive is damaged")]
    Passphrase,
    /// A later part does not open.
    #[error("part {0} of the archive is damaged, out of order or missing: it was changed or cut off")]
    Damaged(u32),
    /// A part opens, and what is in it cannot be.
    #[error("part {part} of the archive cannot be: {problem}")]
    Content {
        /// The how many-th.
        part: u32,
        /// What is wrong.
        problem: FormatError,
    },
    /// Too easy to guess.
    #[error("the passphrase is too short: take at least {MIN_PASSPHRASE} characters")]
    TooShort,
    /// The system has no random numbers.
    #[error("the system gives no random numbers: {0}")]
    NoRandom(String),
}

/// What is in an archive.
#[derive(Debug, PartialEq)]
pub enum Entry {
    /// A person. Their photos follow.
    Person(Box<Person>),
    /// The bytes of a picture file that a template of the person before was made of.
    Photo(RecordId, Zeroizing<Vec<u8>>),
}

struct Sealer {
    cipher: XChaCha20Poly1305,
    header: [u8; HEADER_BYTES],
    next: u32,
}

impl Sealer {
    fn new(passphrase: &str, header: [u8; HEADER_BYTES]) -> Result<Self, ArchiveError> {
        let number =
            |at: usize| u32::from_le_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]]);
        let (memory_kib, passes, lanes) = (number(12), number(16), number(20));
        if memory_kib > MAX_MEMORY_KIB || passes > MAX_PASSES || lanes > MAX_LANES {
            return Err(ArchiveError::Parameters);
        }
        let params =
            Params::new(memory_kib, passes, lanes, Some(32)).map_err(|_| ArchiveError::Parameters)?;
        let mut key = Zeroizing::new([0_u8; 32]);
        Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
            .hash_password_into(passphrase.as_bytes(), &header[24..24 + SALT_BYTES], &mut *key)
            .map_err(|_| ArchiveError::Parameters)?;
        Ok(Self { cipher: XChaCha20Poly1305::new((&*key).into()), header, next: 0 })
    }

    fn nonce(&mut self, is_last: bool) -> Result<XNonce, ArchiveError> {
        let mut nonce = [0; 24];
        nonce[..PREFIX_BYTES].copy_from_slice(&self.header[HEADER_BYTES - PREFIX_BYTES..]);
        nonce[PREFIX_BYTES..23].copy_from_slice(&self.next.to_be_bytes());
        nonce[23] = u8::from(is_last);
        self.next = self.next.checked_add(1).ok_or(ArchiveError::Damaged(u32::MAX))?;
        Ok(XNonce::from(nonce))
    }
}

/// Makes an archive, part by part.
pub struct ArchiveWriter<W: Write> {
    out: W,
    sealer: Sealer,
    people: u32,
    photos: u32,
}

impl<W: Write> ArchiveWriter<W> {
    /// Begins one. Takes about a tenth of a second and 64 MiB for the passphrase.
    ///
    /// # Errors
    /// If the passphrase is short, or nothing can be written.
    pub fn new(mut out: W, passphrase: &str) -> Result<Self, ArchiveError> {
        if passphrase.chars().count() < MIN_PASSPHRASE {
            return Err(ArchiveError::TooShort);
        }
        let mut header = [0; HEADER_BYTES];
        header[..8].copy_from_slice(&MAGIC);
        header[8..10].copy_from_slice(&VERSION.to_le_bytes());
        for (at, value) in [(12, MEMORY_KIB), (16, PASSES), (20, LANES)] {
            header[at..at + 4].copy_from_slice(&value.to_le_bytes());
        }
        rand::rngs::SysRng
            .try_fill_bytes(&mut header[24..])
            .map_err(|error| ArchiveError::NoRandom(error.to_string()))?;
        out.write_all(&header)?;
        let mut writer = Self { out, sealer: Sealer::new(passphrase, header)?, people: 0, photos: 0 };
        writer.part(BEGIN, RecordId(Ulid(0)), &[], false)?;
        Ok(writer)
    }

    /// Adds somebody.
    ///
    /// # Errors
    /// If they cannot be stored, or nothing can be written.
    pub fn person(&mut self, person: &Person) -> Result<(), ArchiveError> {
        let plain = format::plain(person)
            .map_err(|problem| ArchiveError::Content { part: self.sealer.next, problem })?;
        self.people += 1;
        self.part(PERSON, person.id, &plain, false)
    }

    /// Adds a photo of whoever was added last.
    ///
    /// # Errors
    /// If nothing can be written.
    pub fn photo(&mut self, id: RecordId, picture: &[u8]) -> Result<(), ArchiveError> {
        self.photos += 1;
        self.part(PHOTO, id, picture, false)
    }

    /// Ends it. Without this it counts as cut off.
    ///
    /// # Errors
    /// If nothing can be written.
    pub fn finish(mut self) -> Result<W, ArchiveError> {
        let counts = [self.people.to_le_bytes(), self.photos.to_le_bytes()].concat();
        self.part(END, RecordId(Ulid(0)), &counts, true)?;
        self.out.flush()?;
        Ok(self.out)
    }

    fn part(&mut self, kind: u8, id: RecordId, content: &[u8], is_last: bool) -> Result<(), ArchiveError> {
        let number = self.sealer.next;
        let mut plain = Zeroizing::new(Vec::with_capacity(PART_HEADER_BYTES + content.len()));
        plain.push(kind);
        plain.extend(id.0.to_bytes());
        plain.extend_from_slice(content);
        let nonce = self.sealer.nonce(is_last)?;
        let sealed = self
            .sealer
            .cipher
            .encrypt(&nonce, Payload { msg: &plain, aad: &self.sealer.header })
            .map_err(|_| ArchiveError::Damaged(number))?;
        let length = u32::try_from(sealed.len()).ok().filter(|_| sealed.len() <= MAX_PART_BYTES);
        let length = length.ok_or(ArchiveError::Damaged(number))?;
        self.out.write_all(&length.to_le_bytes())?;
        self.out.write_all(&sealed)?;
        Ok(())
    }
}

/// Reads an archive, part by part: an iterator over what is in it. It ends with an error unless the archive is whole to
/// its end; nothing of one that was cut off should be kept.
pub struct ArchiveReader<R: Read> {
    source: R,
    sealer: Sealer,
    people: u32,
    photos: u32,
    is_over: bool,
}

impl<R: Read> ArchiveReader<R> {
    /// Opens one. No more memory than about 1 GiB is used, whatever it says; this program's own archives need 64 MiB.
    ///
    /// # Errors
    /// If it is none, the passphrase is wrong, or it cannot be read.
    pub fn new(mut source: R, passphrase: &str) -> Result<Self, ArchiveError> {
        let mut header = [0; HEADER_BYTES];
        source.read_exact(&mut header).map_err(|error| match error.kind() {
            io::ErrorKind::UnexpectedEof => ArchiveError::NotAnArchive,
            _ => error.into(),
        })?;
        if header[..8] != MAGIC {
            return Err(ArchiveError::NotAnArchive);
        }
        match u16::from_le_bytes([header[8], header[9]]) {
            VERSION => {}
            0 => return Err(ArchiveError::NotAnArchive),
            newer => return Err(ArchiveError::Newer(newer)),
        }
        let sealer = Sealer::new(passphrase, header)?;
        let mut reader = Self { source, sealer, people: 0, photos: 0, is_over: false };
        match reader.part() {
            Ok((BEGIN, _, content)) if content.is_empty() => Ok(reader),
            Err(ArchiveError::Io(error)) => Err(error.into()),
            _ => Err(ArchiveError::Passphrase),
        }
    }

    fn part(&mut self) -> Result<(u8, RecordId, Zeroizing<Vec<u8>>), ArchiveError> {
        let number = self.sealer.next;
        let cut_off = |error: io::Error| match error.kind() {
            io::ErrorKind::UnexpectedEof => ArchiveError::Damaged(number),
            _ => error.into(),
        };
        let mut length = [0; 4];
        self.source.read_exact(&mut length).map_err(cut_off)?;
        let length = u32::from_le_bytes(length);
        if usize::try_from(length).map_or(true, |length| length > MAX_PART_BYTES) {
            return Err(ArchiveError::Damaged(number));
        }
        // Grows with what is there, not with what is claimed.
        let mut sealed = Vec::new();
        (&mut self.source).take(length.into()).read_to_end(&mut sealed)?;
        if sealed.len() as u64 != u64::from(length) {
            return Err(ArchiveError::Damaged(number));
        }
        self.open(number, &sealed)
    }

    fn open(
        &mut self,
        number: u32,
        sealed: &[u8],
    ) -> Result<(u8, RecordId, Zeroizing<Vec<u8>>), ArchiveError> {
        // Whether it is the last is known only by which nonce opens it.
        let first_try = self.sealer.nonce(false)?;
        let payload = || Payload { msg: sealed, aad: &self.sealer.header };
        let plain = match self.sealer.cipher.decrypt(&first_try, payload()) {
            Ok(plain) => Zeroizing::new(plain),
            Err(_) => {
                let mut last = first_try;
                last[23] = 1;
                let plain = self.sealer.cipher.decrypt(&last, payload());
                self.is_over = true;
                Zeroizing::new(plain.map_err(|_| ArchiveError::Damaged(number))?)
            }
        };
        if plain.len() < PART_HEADER_BYTES || self.is_over != (plain[0] == END) {
            return Err(ArchiveError::Damaged(number));
        }
        let mut id = [0; 16];
        id.copy_from_slice(&plain[1..PART_HEADER_BYTES]);
        let content = Zeroizing::new(plain[PART_HEADER_BYTES..].to_vec());
        Ok((plain[0], RecordId(Ulid::from_bytes(id)), content))
    }

    fn entry(&mut self) -> Result<Option<Entry>, ArchiveError> {
        let number = self.sealer.next;
        let (kind, id, content) = self.part()?;
        match kind {
            PERSON => {
                self.people += 1;
                let person = format::read_plain(id, &content)
                    .map_err(|problem| ArchiveError::Content { part: number, problem })?;
                Ok(Some(Entry::Person(Box::new(person))))
            }
            PHOTO if self.people > 0 => {
                self.photos += 1;
                Ok(Some(Entry::Photo(id, content)))
            }
            END => {
                let counts = [self.people.to_le_bytes(), self.photos.to_le_bytes()].concat();
                let mut rest = [0; 1];
                if *content != counts || self.source.read(&mut rest)? != 0 {
                    return Err(ArchiveError::Damaged(number));
                }
                Ok(None)
            }
            _ => Err(ArchiveError::Damaged(number)),
        }
    }
}

impl<R: Read> Iterator for ArchiveReader<R> {
    type Item = Result<Entry, ArchiveError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.is_over {
            return None;
        }
        let entry = self.entry();
        self.is_over |= entry.is_err();
        entry.transpose()
    }
}
