//! Files that the settings name and that the service manager may hand over.

use std::borrow::Cow;
use std::ffi::OsStr;
use std::path::Path;

/// The folder with the credentials of a service (systemd's `LoadCredential=`).
const CREDENTIALS: &str = "CREDENTIALS_DIRECTORY";

/// Where a file is that the settings name. A name without a folder is a credential of the service, where it has any;
/// everything else is a path.
#[must_use]
pub fn located(path: &Path) -> Cow<'_, Path> {
    located_in(path, std::env::var_os(CREDENTIALS).as_deref())
}

fn located_in<'p>(path: &'p Path, credentials: Option<&OsStr>) -> Cow<'p, Path> {
    match credentials.filter(|folder| !folder.is_empty() && is_name(path)) {
        Some(folder) => Cow::Owned(Path::new(folder).join(path)),
        None => Cow::Borrowed(path),
    }
}

/// Whether it is a name without a folder.
#[must_use]
pub fn is_name(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name == path.as_os_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_alone_is_a_credential_where_there_are_any() {
        let folder = OsStr::new("/run/credentials/facewarden.service");
        let in_folder = |name: &str| located_in(Path::new(name), Some(folder)).into_owned();
        assert_eq!(in_folder("mqtt.password"), Path::new(folder).join("mqtt.password"));
        for path in
            ["/etc/facewarden/mqtt.password", "./mqtt.password", "secrets/mqtt.password", "..", "../x", ""]
        {
            assert_eq!(in_folder(path), Path::new(path), "{path}");
        }
        for none in [None, Some(OsStr::new(""))] {
            assert_eq!(located_in(Path::new("mqtt.password"), none), Path::new("mqtt.password"));
        }
    }
}
