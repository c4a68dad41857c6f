//! The socket's file: made with the permissions it is to have, never wider, and never in the place of anything else.

use std::fs::{self, File};
use std::io;
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, PermissionsExt as _, chown};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

use rustix::fs::FlockOperation;
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, connect, socket_with};

use super::ListenError;

const GROUPS: &str = "/etc/group";

/// A socket that is listened at, and its file.
#[derive(Debug)]
pub(super) struct Bound {
    pub(super) listener: UnixListener,
    path: PathBuf,
    inode: (u64, u64),
}

impl Bound {
    /// Listens at `path`. The folder it is in is made, open to look into, if that one folder alone is missing.
    pub(super) fn new(path: &Path, mode: u32, group: Option<&str>) -> Result<Self, ListenError> {
        let at = |source| ListenError::Io { path: path.to_owned(), source };
        let parent = path.parent().filter(|parent| parent.is_absolute());
        let parent =
            parent.ok_or_else(|| at(io::Error::new(io::ErrorKind::InvalidInput, "no absolute path")))?;
        match fs::create_dir(parent) {
            Ok(()) => fs::set_permissions(parent, fs::Permissions::from_mode(0o755)).map_err(at)?,
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => (),
            Err(source) => return Err(ListenError::Folder { path: parent.to_owned(), source }),
        }
        let group = group.map(group_id).transpose()?;
        // Of two daemons that start at once, the second is to see the first.
        let folder = File::open(parent).map_err(at)?;
        rustix::fs::flock(&folder, FlockOperation::LockExclusive).map_err(|error| at(error.into()))?;
        check_place(path)?;
        // Nobody else can look into this folder, so the file is open to nobody before it is as it is to be. It is
        // addressed by its number because the length of a socket's path is limited.
        let private = tempfile::Builder::new()
            .prefix(".facewarden-")
            .permissions(fs::Permissions::from_mode(0o700))
            .tempdir_in(parent)
            .map_err(at)?;
        let new = private.path().join("socket");
        let opened = File::open(private.path()).map_err(at)?;
        let address = format!("/proc/self/fd/{}/socket", opened.as_raw_fd());
        let listener = UnixListener::bind(address).map_err(at)?;
        listener.set_nonblocking(true).map_err(at)?;
        if let Some(id) = group {
            chown(&new, None, Some(id)).map_err(|source| ListenError::CannotGive { group: id, source })?;
        }
        fs::set_permissions(&new, fs::Permissions::from_mode(mode)).map_err(at)?;
        let metadata = fs::symlink_metadata(&new).map_err(at)?;
        fs::rename(&new, path).map_err(at)?;
        Ok(Self { listener, path: path.to_owned(), inode: (metadata.dev(), metadata.ino()) })
    }
}

impl Drop for Bound {
    /// Removes the file, if it is still this socket's.
    fn drop(&mut self) {
        let is_own = fs::symlink_metadata(&self.path)
            .is_ok_and(|metadata| (metadata.dev(), metadata.ino()) == self.inode);
        if is_own && let Err(error) = fs::remove_file(&self.path) {
            tracing::warn!("the socket {} cannot be removed: {error}", self.path.display());
        }
    }
}

/// Nothing may be there but a socket that nobody answers at.
fn check_place(path: &Path) -> Result<(), ListenError> {
    let at = |source| ListenError::Io { path: path.to_owned(), source };
    let metadata = match fs::symlink_metadata(path) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(at(error)),
    };
    if !metadata.file_type().is_socket() {
        return Err(ListenError::InTheWay(path.to_owned()));
    }
    let address = SocketAddrUnix::new(path).map_err(|error| at(error.into()))?;
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)
        .map_err(|error| at(error.into()))?;
    match connect(&socket, &address) {
        // AGAIN: somebody answers, only not fast enough.
        Ok(()) | Err(Errno::AGAIN) => Err(ListenError::Busy(path.to_owned())),
        Err(Errno::CONNREFUSED | Errno::NOENT) => Ok(()),
        Err(error) => Err(at(error.into())),
    }
}

/// The number of a group, by its number or its name in the system's own list.
///
/// # Errors
/// [`ListenError::NoGroup`], or what the system says about the list.
pub fn group_id(group: &str) -> Result<u32, ListenError> {
    if let Ok(id) = group.parse() {
        return Ok(id);
    }
    let list =
        fs::read_to_string(GROUPS).map_err(|source| ListenError::Io { path: GROUPS.into(), source })?;
    find_group(&list, group).ok_or_else(|| ListenError::NoGroup(group.to_owned()))
}

fn find_group(list: &str, group: &str) -> Option<u32> {
    list.lines().find_map(|line| {
        let mut fields = line.split(':');
        (fields.next() == Some(group)).then(|| fields.nth(1)?.parse().ok()).flatten()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_have_names_and_numbers() {
        let list = "root:x:0:\nvideo:x:44:ada,bert\nodd\nodder:x:many:\n";
        assert_eq!(find_group(list, "video"), Some(44));
        assert_eq!(find_group(list, "root"), Some(0));
        for none in ["vide", "odd", "odder", ""] {
            assert_eq!(find_group(list, none), None, "{none}");
        }
        assert_eq!(group_id("1234").unwrap(), 1234);
        assert!(matches!(group_id("no such group"), Err(ListenError::NoGroup(_))));
    }
}
