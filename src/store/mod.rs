//! The gallery on disk: one file a person, in a folder that nobody else can read.
//!
//! Reading needs no lock, since a file is only ever replaced as a whole. Writers exclude each other by a lock
//! file. What cannot be read is never taken for "nobody enrolled": it is reported by the name of its file, and
//! the others stay served. The format is described in `docs/format.md`.
//!
//! Beside it, the results of liveness self-tests: one JSON file for all cameras.

mod archive;
mod backup;
mod changes;
mod disk;
mod error;
#[cfg(test)]
mod fault_tests;
mod folder;
mod format;
#[cfg(test)]
mod format_tests;
mod fsck;
mod gallery;
mod key;
mod person;
mod photo;
mod record;
mod rotate;
mod seal;
mod self_test;

pub use archive::{ArchiveError, ArchiveReader, ArchiveWriter, Entry, MIN_PASSPHRASE};
pub use backup::Copied;
pub use changes::{Changes, Removed};
pub use error::{FormatError, StoreError};
pub use folder::Fingerprint;
pub use format::{
    MAX_DIMENSION, MAX_FILE_BYTES, MAX_GROUPS, MAX_SOURCE_BYTES, MAX_TEMPLATES, VERSION, decode,
    decode_unencrypted, encode, read_inside,
};
pub use fsck::Inventory;
pub use gallery::{Loaded, Store};
pub use key::{Key, KeyError, KeyId, KeyPlace, KeyRing};
pub use person::{Look, Person, RecordId, Template};
pub use photo::MAX_PHOTO_BYTES;
pub use record::{FileProblem, RefusedFile};
pub use rotate::{Adoption, Rotation};
pub use self_test::{
    AttackKind, Origin, Presentations, SELF_TEST_SCHEMA, SelfTest, SelfTestError, SelfTests, read_self_tests,
    save_self_test,
};
