//! `facewarden completions` and `facewarden man`: made from the command line's own definition, so they never lag
//! behind it.

use std::path::PathBuf;

use clap_complete::Shell;

use super::exit::{Exit, OrExit, Outcome};

/// Arguments of `completions`.
#[derive(Debug, clap::Args)]
pub struct CompletionsArgs {
    /// For which shell
    shell: Shell,
}

/// Arguments of `man`.
#[derive(Debug, clap::Args)]
pub struct ManArgs {
    /// Write one page per command into this folder, instead of the main page to standard output
    dir: Option<PathBuf>,
}

/// Prints the completions of one shell.
///
/// # Errors
/// If standard output cannot be written to.
pub fn completions(args: &CompletionsArgs) -> Outcome {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut super::cli(), "facewarden", &mut script);
    super::say(&String::from_utf8(script).or_exit(Exit::Internal)?)
}

/// Prints the main manual page, or writes all of them into a folder.
///
/// # Errors
/// [`Exit::CannotWrite`] if the folder or a page cannot be written.
pub fn man(args: &ManArgs) -> Outcome {
    let Some(folder) = &args.dir else {
        let mut page = Vec::new();
        clap_mangen::Man::new(super::cli()).render(&mut page).or_exit(Exit::Internal)?;
        return super::say(&String::from_utf8(page).or_exit(Exit::Internal)?);
    };
    std::fs::create_dir_all(folder)
        .map_err(|e| anyhow::anyhow!("cannot make the folder {}: {e}", folder.display()))
        .or_exit(Exit::CannotWrite)?;
    clap_mangen::generate_to(super::cli(), folder)
        .map_err(|e| anyhow::anyhow!("cannot write the pages into {}: {e}", folder.display()))
        .or_exit(Exit::CannotWrite)?;
    Ok(Exit::Ok)
}
