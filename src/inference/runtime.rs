//! Finding and starting ONNX Runtime, once a process.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use ort::environment::Environment;

use super::folders::checkout_of;

/// Where this is 1 in the environment, ONNX Runtime notes nothing of what it is used for and sends nothing to its makers,
/// which builds for Linux do since version 1.29.
pub const NO_TELEMETRY: &str = "ORT_DISABLE_TELEMETRY";

/// The file name that the search looks for.
const LIBRARY: &str = "libonnxruntime.so.1.31.1";

/// Why there is no ONNX Runtime.
#[derive(Debug, Clone, thiserror::Error)]
pub enum RuntimeError {
    /// The library could not be loaded.
    #[error(
        "cannot load ONNX Runtime from {path}: {message}; run ./setup in the checkout, or name the library with \
         models.runtime_library or ORT_DYLIB_PATH (versions 1.22 to 1.32)"
    )]
    Load {
        /// What was tried.
        path: String,
        /// What the loader said.
        message: String,
    },
    /// It would send home what it is used for.
    #[error(
        "ONNX Runtime is not loaded: {NO_TELEMETRY}=1 must be in the environment before, or it reports to its makers"
    )]
    Telemetry,
    /// It was loaded and did not start.
    #[error("ONNX Runtime does not start: {0}")]
    Start(String),
}

/// The environment lives as long as the process: ONNX Runtime allows one, and tests share it.
static ENVIRONMENT: OnceLock<Result<Environment, RuntimeError>> = OnceLock::new();

/// Loads ONNX Runtime and starts it; later calls do nothing and give the first call's result.
///
/// The library is `configured` if given; else what `ORT_DYLIB_PATH` names; else the first there is of: beside the
/// program, `/usr/lib/facewarden`, `vendor/` of the checkout; else whatever the system's loader finds.
///
/// # Errors
/// If there is no such library or it is of another version. There is no search past a path that was named.
pub fn start_runtime(configured: Option<&Path>) -> Result<(), RuntimeError> {
    environment(configured).map(|_| ())
}

pub(super) fn environment(configured: Option<&Path>) -> Result<&'static Environment, RuntimeError> {
    ENVIRONMENT.get_or_init(|| start(&runtime_library(configured))).as_ref().map_err(Clone::clone)
}

fn start(path: &Path) -> Result<Environment, RuntimeError> {
    // `with_telemetry(false)` below comes too late: what it does at its start is noted already.
    if std::env::var_os(NO_TELEMETRY).is_none_or(|value| value != "1") {
        return Err(RuntimeError::Telemetry);
    }
    let failed = |error: &dyn std::error::Error| RuntimeError::Load {
        path: path.display().to_string(),
        // The error's own text only says that loading failed; its source says why.
        message: error.source().map_or_else(|| error.to_string(), ToString::to_string),
    };
    // A library that is there but cut short kills the process when it is mapped: at least refuse the empty one.
    if path.is_absolute() && path.metadata().is_ok_and(|m| m.len() < 1_000_000) {
        return Err(RuntimeError::Load {
            path: path.display().to_string(),
            message: "the file is far too small to be the library".to_owned(),
        });
    }
    let builder = ort::init_from(path).map_err(|e| failed(&e))?;
    builder
        .with_name("facewarden")
        .with_telemetry(false)
        .build()
        .map_err(|e| RuntimeError::Start(e.to_string()))
}

/// Where the library is taken from, see [`start_runtime`]; a bare name is what the system's loader is asked for.
#[must_use]
pub fn runtime_library(configured: Option<&Path>) -> PathBuf {
    if let Some(path) = configured {
        return path.to_owned();
    }
    if let Some(path) = std::env::var_os("ORT_DYLIB_PATH").filter(|v| !v.is_empty()) {
        return path.into();
    }
    let program = std::env::current_exe().ok();
    let beside = program.as_deref().and_then(Path::parent).map(|folder| folder.join(LIBRARY));
    let installed = Some(Path::new("/usr/lib/facewarden").join(LIBRARY));
    let vendored = program.as_deref().and_then(checkout_of).map(|folder| folder.join("vendor").join(LIBRARY));
    let found = [beside, installed, vendored].into_iter().flatten().find(|path| path.is_file());
    found.unwrap_or_else(|| "libonnxruntime.so.1".into())
}
