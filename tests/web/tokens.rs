//! `facewarden token`.

use std::path::Path;
use std::process::Command;

use crate::daemon::rig::text;
use crate::support::Ran;

fn token(file: &Path, args: &[&str]) -> Ran {
    let mut command = Command::new(env!("CARGO_BIN_EXE_facewarden"));
    Ran::of(command.args(["token", "--file", text(file)]).args(args))
}

#[test]
fn tokens_are_made_listed_and_revoked() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("tokens.json");
    assert_eq!(token(&file, &["list"]).code(0).out, "there are no tokens\n");
    let made = token(&file, &["create", "front-desk", "--scope", "enrol,verify", "--days", "30"]).code(0).out;
    assert!(made.starts_with("fwt_") && made.trim_end().len() > 40, "{made}");
    let list = token(&file, &["list"]).code(0).out;
    assert!(list.starts_with("front-desk  verify,enrol  made 20") && list.contains(", until 20"), "{list}");
    assert!(
        !list.contains(made.trim_end()) && !std::fs::read_to_string(&file).unwrap().contains(made.trim_end())
    );
    assert_eq!(token(&file, &["list", "--json"]).code(0).json()[0]["scopes"][0], "verify");
    for (args, code, says) in [
        (&["create", "front-desk", "--scope", "read"][..], 1, "already"),
        (&["create", "a b", "--scope", "read"], 64, "letters"),
        (&["create", "x", "--scope", "fly"], 64, "verify, kiosk, read, enrol, admin"),
        (&["create", "x"], 64, "--scope"),
        (&["revoke", "nobody"], 66, "facewarden token list"),
    ] {
        let ran = token(&file, args).code(code);
        assert!(ran.err.contains(says), "{args:?}: {}", ran.err);
    }
    assert_eq!(token(&file, &["revoke", "front-desk"]).code(0).out, "front-desk was revoked\n");
    assert_eq!(token(&file, &["list"]).code(0).out, "there are no tokens\n");
    std::fs::write(&file, "{").unwrap();
    assert!(token(&file, &["create", "x", "--scope", "read"]).code(65).err.contains("is damaged"));
}
