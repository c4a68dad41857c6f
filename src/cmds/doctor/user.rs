//! Who the daemon runs as, and what that user may do to a file.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

/// A user of this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct User {
    pub(super) name: String,
    pub(super) id: u32,
    groups: Vec<u32>,
}

/// What is to be done to a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Deed {
    /// Read a file.
    Read,
    /// Make and change files in a folder.
    Fill,
}

impl Deed {
    /// Permission bits as those of others have them.
    fn bits(self) -> u32 {
        match self {
            Self::Read => 0o4,
            Self::Fill => 0o7,
        }
    }
}

impl User {
    /// From the system's own lists; `None` if they do not have that name.
    pub(super) fn named(name: &str) -> Option<Self> {
        let users = fs::read_to_string("/etc/passwd").ok()?;
        let groups = fs::read_to_string("/etc/group").unwrap_or_default();
        Self::find(&users, &groups, name)
    }

    fn find(users: &str, groups: &str, name: &str) -> Option<Self> {
        let fields: Vec<&str> = users
            .lines()
            .map(|line| line.split(':').collect::<Vec<_>>())
            .find(|f| f.first() == Some(&name))?;
        let (id, own) = (fields.get(2)?.parse().ok()?, fields.get(3)?.parse().ok()?);
        let others = groups.lines().filter_map(|line| {
            let mut fields = line.split(':').skip(2);
            let id = fields.next()?.parse().ok()?;
            fields.next()?.split(',').any(|member| member == name).then_some(id)
        });
        Some(Self { name: name.to_owned(), id, groups: std::iter::once(own).chain(others).collect() })
    }

    /// Whether this user may do that, by owner, group and mode of the file and of the folders above it; access lists
    /// are not looked at.
    ///
    /// # Errors
    /// If the file cannot be looked at.
    pub(super) fn may(&self, deed: Deed, path: &Path) -> io::Result<bool> {
        let path = fs::canonicalize(path)?;
        if self.id == 0 {
            return Ok(true);
        }
        for folder in path.ancestors().skip(1) {
            if !self.has(0o1, &fs::metadata(folder)?) {
                return Ok(false);
            }
        }
        Ok(self.has(deed.bits(), &fs::metadata(&path)?))
    }

    fn has(&self, bits: u32, metadata: &fs::Metadata) -> bool {
        let shift = if metadata.uid() == self.id {
            6
        } else if self.groups.contains(&metadata.gid()) {
            3
        } else {
            0
        };
        metadata.mode() >> shift & bits == bits
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_user_is_found_with_all_its_groups() {
        let users =
            "root:x:0:0:root:/root:/bin/sh\nfacewarden:x:990:991::/var/lib/facewarden:/usr/sbin/nologin\n";
        let groups = "root:x:0:\nvideo:x:44:alice,facewarden\ngpio:x:45:\nfacewarden:x:991:\n";
        let user = User::find(users, groups, "facewarden").unwrap();
        assert_eq!((user.id, user.groups), (990, vec![991, 44]));
        assert_eq!(User::find(users, groups, "face"), None);
    }

    #[test]
    fn owner_group_and_others_are_told_apart() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a");
        fs::write(&file, "").unwrap();
        let metadata = fs::metadata(&file).unwrap();
        let user = |id, group| User { name: "x".into(), id, groups: vec![group] };
        let (owner, member) = (user(metadata.uid(), 7), user(4_000_000, metadata.gid()));
        let stranger = user(4_000_000, 4_000_000);
        for (mode, by_owner, by_member, by_stranger) in [
            (0o600, true, false, false),
            (0o640, true, true, false),
            (0o644, true, true, true),
            (0o044, false, true, true),
        ] {
            fs::set_permissions(&file, fs::Permissions::from_mode(mode)).unwrap();
            let metadata = fs::metadata(&file).unwrap();
            let has = |user: &User| user.has(Deed::Read.bits(), &metadata);
            assert_eq!(
                [has(&owner), has(&member), has(&stranger)],
                [by_owner, by_member, by_stranger],
                "{mode:o}"
            );
        }
        fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o700)).unwrap();
        assert!(!stranger.may(Deed::Read, &file).unwrap());
        assert!(stranger.may(Deed::Read, Path::new("/etc/passwd")).unwrap());
        assert!(stranger.may(Deed::Read, Path::new("/nonexistent")).is_err());
    }
}
