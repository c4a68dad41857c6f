//! The results of liveness self-tests: one JSON file for all cameras of a machine, with a checksum.
//!
//! What cannot be read is an error of its own, never "there is none", and never "passed".

use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::io::{self, Read as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::disk::{Disk, SystemDisk, no_follow, write_whole};
use crate::clock::WallTime;
use crate::domain::CameraId;

/// The version of the file's format.
pub const SELF_TEST_SCHEMA: u32 = 1;

/// A larger file is none of these.
const MAX_BYTES: u64 = 1 << 20;

/// What is held before a camera to deceive it.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    clap::ValueEnum,
    schemars::JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum AttackKind {
    /// A photo on paper.
    Print,
    /// A photo or video on a phone.
    Phone,
    /// A photo or video on a laptop, tablet or other large screen.
    Laptop,
    /// Anything else, such as a mask.
    Other,
}

impl AttackKind {
    /// All, in the order in which they are asked for.
    pub const ALL: [Self; 4] = [Self::Print, Self::Phone, Self::Laptop, Self::Other];

    /// The name as in the file and on the command line.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Print => "print",
            Self::Phone => "phone",
            Self::Laptop => "laptop",
            Self::Other => "other",
        }
    }
}

/// What became of the presentations of one kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Presentations {
    /// Taken for a live face.
    pub taken_for_live: u64,
    /// Taken for a picture of one.
    pub taken_for_picture: u64,
    /// No face was seen, or not well or long enough: they count neither way.
    pub no_verdict: u64,
}

impl Presentations {
    /// How many count: those that came to a verdict.
    #[must_use]
    pub fn judged(&self) -> u64 {
        self.taken_for_live.saturating_add(self.taken_for_picture)
    }
}

/// What the presentations were.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    /// Shown to the camera.
    Camera,
    /// Recordings.
    Recordings,
}

/// The result of one self-test.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SelfTest {
    /// When it ended.
    pub at: WallTime,
    /// The version of the program.
    pub program: String,
    /// SHA-256 of all that it holds for: camera, models, settings; 64 lower-case hexadecimal digits.
    pub fingerprint: String,
    /// What was presented.
    pub from: Origin,
    /// So many presentations of a kind were asked for at least.
    pub min_presentations: u64,
    /// Live people.
    pub live: Presentations,
    /// Attacks.
    pub attacks: BTreeMap<AttackKind, Presentations>,
    /// The verdict.
    pub is_passed: bool,
}

/// The newest result of each camera.
pub type SelfTests = BTreeMap<CameraId, SelfTest>;

/// Why results could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum SelfTestError {
    /// The system refused.
    #[error("cannot {doing} {}", .path.display())]
    Io {
        /// What was tried.
        doing: &'static str,
        /// With what.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A folder, a link or a device has its name.
    #[error("{} is not a file", .0.display())]
    NotAFile(PathBuf),
    /// Others can write a verdict there.
    #[error("others can write to {} (mode {mode:03o}), so that it is not believed: run chmod 600 {}", .path.display(), .path.display())]
    TooOpen {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// It does not hold what was written.
    #[error("{} is damaged: {why}; remove it and test again", .path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        why: String,
    },
    /// Of a later format.
    #[error("a newer program wrote {} (format {schema}; this program reads format {SELF_TEST_SCHEMA})", .path.display())]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its format.
        schema: u32,
    },
}

/// Told apart before anything else is read.
#[derive(Deserialize)]
struct Head {
    schema: u32,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Contents {
    schema: u32,
    /// SHA-256 of `cameras` as compact JSON.
    sha256: String,
    cameras: SelfTests,
}

/// Reads the results; `None` if there is no such file.
///
/// # Errors
/// See [`SelfTestError`].
pub fn read_self_tests(path: &Path) -> Result<Option<SelfTests>, SelfTestError> {
    let failed = |source| SelfTestError::Io { doing: "read", path: path.to_owned(), source };
    // Without waiting, should a pipe have that name.
    let flags = no_follow() | rustix::fs::OFlags::NONBLOCK.bits().cast_signed();
    let file = match OpenOptions::new().read(true).custom_flags(flags).open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) if error.raw_os_error() == Some(rustix::io::Errno::LOOP.raw_os_error()) => {
            return Err(SelfTestError::NotAFile(path.to_owned()));
        }
        Err(error) => return Err(failed(error)),
    };
    let metadata = file.metadata().map_err(failed)?;
    if !metadata.is_file() {
        return Err(SelfTestError::NotAFile(path.to_owned()));
    }
    let mode = metadata.mode() & 0o777;
    if mode & 0o022 != 0 {
        return Err(SelfTestError::TooOpen { path: path.to_owned(), mode });
    }
    let mut bytes = Vec::new();
    file.take(MAX_BYTES + 1).read_to_end(&mut bytes).map_err(failed)?;
    parse(&bytes, path).map(Some)
}

/// Puts the result of one camera in the place of its last one. After an error the file is as it was.
///
/// # Errors
/// See [`SelfTestError`]: also if what is there already cannot be read.
pub fn save_self_test(path: &Path, camera: &CameraId, test: SelfTest) -> Result<(), SelfTestError> {
    let mut cameras = read_self_tests(path)?.unwrap_or_default();
    cameras.insert(camera.clone(), test);
    let failed = |(doing, source): (&'static str, io::Error)| SelfTestError::Io {
        doing,
        path: path.to_owned(),
        source,
    };
    let sha256 = checksum(&cameras).map_err(|error| failed(("write", error.into())))?;
    let contents = Contents { schema: SELF_TEST_SCHEMA, sha256, cameras };
    let mut bytes = serde_json::to_vec_pretty(&contents).map_err(|error| failed(("write", error.into())))?;
    bytes.push(b'\n');
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".new-{}", std::process::id()));
    let temporary = path.with_file_name(name);
    // Left by a process of this number that was killed; mostly there is none.
    drop(fs::remove_file(&temporary));
    let disk = SystemDisk;
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    write_whole(&disk, (&temporary, path), folder, &bytes).map_err(failed)?;
    disk.sync_folder(folder).map_err(|error| failed(("write", error)))
}

fn parse(bytes: &[u8], path: &Path) -> Result<SelfTests, SelfTestError> {
    let damaged = |why: String| SelfTestError::Damaged { path: path.to_owned(), why };
    if bytes.len() as u64 > MAX_BYTES {
        return Err(damaged(format!("it has more than {MAX_BYTES} bytes")));
    }
    let Head { schema } = serde_json::from_slice(bytes).map_err(|error| damaged(error.to_string()))?;
    if schema > SELF_TEST_SCHEMA {
        return Err(SelfTestError::Newer { path: path.to_owned(), schema });
    }
    let contents: Contents = serde_json::from_slice(bytes).map_err(|error| damaged(error.to_string()))?;
    let sha256 = checksum(&contents.cameras).map_err(|error| damaged(error.to_string()))?;
    if schema != SELF_TEST_SCHEMA || sha256 != contents.sha256 {
        return Err(damaged("its checksum is wrong: it was changed or damaged".to_owned()));
    }
    Ok(contents.cameras)
}

fn checksum(cameras: &SelfTests) -> Result<String, serde_json::Error> {
    let digest = Sha256::digest(serde_json::to_vec(cameras)?);
    Ok(digest.iter().map(|byte| format!("{byte:02x}")).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    fn test(is_passed: bool) -> SelfTest {
        let live = Presentations { taken_for_live: 9, taken_for_picture: 1, no_verdict: 2 };
        let print = Presentations { taken_for_live: 0, taken_for_picture: 10, no_verdict: 0 };
        SelfTest {
            at: WallTime("2026-11-23T12:00:00.125Z".parse().unwrap()),
            program: "0.1.0".to_owned(),
            fingerprint: "ab".repeat(32),
            from: Origin::Camera,
            min_presentations: 5,
            live,
            attacks: BTreeMap::from([(AttackKind::Print, print)]),
            is_passed,
        }
    }

    fn camera(name: &str) -> CameraId {
        CameraId::new(name).unwrap()
    }

    #[test]
    fn each_camera_keeps_its_newest_result_in_a_file_for_its_owner() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("test.json");
        assert_eq!(read_self_tests(&path).unwrap(), None);
        save_self_test(&path, &camera("door"), test(true)).unwrap();
        save_self_test(&path, &camera("gate"), test(true)).unwrap();
        save_self_test(&path, &camera("door"), test(false)).unwrap();
        let kept = read_self_tests(&path).unwrap().unwrap();
        let expected = [(camera("door"), test(false)), (camera("gate"), test(true))];
        assert_eq!(kept, BTreeMap::from(expected));
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "nothing else is left");
    }

    #[test]
    fn no_changed_byte_goes_unnoticed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("test.json");
        save_self_test(&path, &camera("door"), test(false)).unwrap();
        let whole = fs::read(&path).unwrap();
        let sound = read_self_tests(&path).unwrap().unwrap();
        for at in 0..whole.len() {
            let mut bytes = whole.clone();
            bytes[at] ^= 1;
            // White space may change; what is said may not.
            if let Ok(read) = parse(&bytes, &path) {
                assert_eq!(read, sound, "byte {at}");
            }
            if at + 2 < whole.len() {
                assert!(parse(&whole[..at], &path).is_err(), "cut at {at}");
            }
        }
        let text = String::from_utf8(whole).unwrap();
        let passed = text.replace("\"is_passed\": false", "\"is_passed\": true");
        assert_ne!(passed, text);
        assert!(matches!(parse(passed.as_bytes(), &path), Err(SelfTestError::Damaged { .. })));
        let newer = text.replace("\"schema\": 1", "\"schema\": 2");
        assert!(matches!(parse(newer.as_bytes(), &path), Err(SelfTestError::Newer { schema: 2, .. })));
        // And what is damaged is not overwritten.
        fs::write(&path, b"{").unwrap();
        assert!(save_self_test(&path, &camera("door"), test(true)).is_err());
        assert_eq!(fs::read(&path).unwrap(), b"{");
    }

    #[test]
    fn a_file_that_others_can_write_and_what_is_no_file_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("test.json");
        save_self_test(&path, &camera("door"), test(true)).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o660)).unwrap();
        let error = read_self_tests(&path).unwrap_err();
        assert!(error.to_string().contains("chmod 600"), "{error}");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        let link = folder.path().join("link.json");
        std::os::unix::fs::symlink(&path, &link).unwrap();
        assert!(matches!(read_self_tests(&link), Err(SelfTestError::NotAFile(_))));
        assert!(matches!(read_self_tests(folder.path()), Err(SelfTestError::NotAFile(_))));
    }
}
