//! Forgetting somebody: their recorded decisions go.

use std::fs;
use std::io;
use std::path::Path;

use serde_json::Value;

use super::folder::{id_of, is_folder, is_unfinished};
use super::format::MANIFEST;
use super::{BundleError, io_error};
use crate::clock::WallTime;
use crate::domain::Erasure;

/// Deletes every bundle whose `bundle.json` names somebody who is to be forgotten, wherever in it: in the event, or in the
/// settings. Gives back how many. Recordings of a face that was not taken for anybody name nobody, and are not found.
///
/// # Errors
/// If the folder cannot be read, or something cannot be deleted. It can be done again.
pub fn forget(folder: &Path, erasure: &Erasure) -> Result<u64, BundleError> {
    let listed = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(0),
        listed => listed.map_err(io_error("list", folder))?,
    };
    let mut count = 0;
    for entry in listed {
        let path = entry.map_err(io_error("list", folder))?.path();
        if (id_of(&path).is_none() && !is_unfinished(&path)) || !is_folder(&path) {
            continue;
        }
        let manifest = path.join(MANIFEST);
        let names_them = match fs::read(&manifest) {
            Ok(bytes) => names(&bytes, erasure),
            // It is just being written, or deleted.
            Err(error) if error.kind() == io::ErrorKind::NotFound => false,
            Err(source) => return Err(io_error("read", &manifest)(source)),
        };
        if names_them {
            fs::remove_dir_all(&path).map_err(io_error("delete", &path))?;
            count += 1;
        }
    }
    Ok(count)
}

fn names(manifest: &[u8], erasure: &Erasure) -> bool {
    match serde_json::from_slice::<Value>(manifest) {
        Ok(manifest) => {
            let at = manifest["event"]["at"].as_str().and_then(|at| at.parse().ok().map(WallTime));
            erasure.concerns(&manifest["event"]) || erasure.is_named_in(&manifest, at)
        }
        // Damaged: in doubt it goes.
        Err(_) => erasure
            .names()
            .iter()
            .filter_map(|name| serde_json::to_vec(name).ok())
            .any(|name| manifest.windows(name.len()).any(|window| window == name)),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::domain::PersonId;

    #[test]
    fn what_names_them_goes_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let erasure = Erasure::new("01M84XQ0000000000000000003", Some(&PersonId::new("Ada").unwrap()));
        let at = "2026-11-26T10:00:00.000Z";
        let of =
            |who: &str| json!({ "event": { "type": "match.verified", "at": at, "person": who } }).to_string();
        let config =
            json!({ "event": { "at": at }, "config": { "only": { "people": ["Ada"] } } }).to_string();
        for (name, text) in [
            ("01M84XQ0000000000000000010", of("Ada")),
            ("01M84XQ0000000000000000011", of("Adam")),
            ("01M84XQ0000000000000000012", config),
            ("01M84XQ0000000000000000013", "{ \"person\": \"Ada\"".to_owned()),
            (".01M84XQ0000000000000000014.new", of("Ada")),
            ("of-somebody-else", of("Ada")),
        ] {
            fs::create_dir(folder.path().join(name)).unwrap();
            fs::write(folder.path().join(name).join(MANIFEST), text).unwrap();
            fs::write(folder.path().join(name).join("00000.jpg"), "x").unwrap();
        }
        // Nothing in it yet.
        fs::create_dir(folder.path().join(".01M84XQ0000000000000000015.new")).unwrap();
        assert_eq!(forget(folder.path(), &erasure).unwrap(), 4);
        let mut left: Vec<_> =
            fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        left.sort();
        let expected = [".01M84XQ0000000000000000015.new", "01M84XQ0000000000000000011", "of-somebody-else"];
        assert_eq!(left, expected);
        assert_eq!(forget(folder.path(), &erasure).unwrap(), 0);
        assert_eq!(forget(&folder.path().join("none"), &erasure).unwrap(), 0);
    }
}
