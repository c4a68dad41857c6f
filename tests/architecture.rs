//! Holds the sources to the layers and fences of ARCHITECTURE.md.
//!
//! The sources are read as tokens, so that comments and texts do not count; items under `#[cfg(test)]` and files
//! called `tests.rs` are exempt from all but the length limit.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

const L0: &[&str] = &["domain", "clock"];
const L1: &[&str] = &["domain", "clock", "vision", "watch", "tracking", "matching", "decision", "config"];
/// What the pipeline sees of the adapters: traits, their types and errors, and the spawning of threads.
const SEEN_BY_PIPELINE: &[&str] = &[
    "bundles::BundleError",
    "bundles::BundleOut",
    "bundles::Footage",
    "bundles::GalleryIdentity",
    "bundles::KeptFace",
    "bundles::KeptFrame",
    "camera::FrameSource",
    "camera::Losses",
    "camera::OpenSource",
    "camera::SourceError",
    "inference::Detector",
    "inference::Embedder",
    "inference::InferenceError",
    "inference::LivenessModel",
    "sinks::Sink",
    "sinks::SinkError",
    "sys::thread",
];
/// What adapters share that programs on this machine connect to.
const LISTEN: &[&str] = &["listen"];
const ADAPTERS: &[&str] =
    &["bundles", "control", "http", "listen", "camera", "inference", "store", "sinks", "sys", "pipeline"];

/// Every module of `src/lib.rs`, and what it may name of `crate::`. An entry covers all below it.
const LAYERS: &[(&str, &[&[&str]])] = &[
    ("domain", &[L0]),
    ("clock", &[]),
    ("vision", &[L0]),
    ("watch", &[L0]),
    ("tracking", &[L0]),
    ("matching", &[L0]),
    ("decision", &[L0]),
    ("config", &[L0]),
    ("listen", &[]),
    ("bundles", &[L1]),
    ("camera", &[L1]),
    ("control", &[L1, LISTEN]),
    ("http", &[L1]),
    ("inference", &[L1]),
    ("store", &[L1]),
    ("sinks", &[L1, LISTEN]),
    ("sys", &[L1]),
    ("pipeline", &[L1, SEEN_BY_PIPELINE]),
    ("cmds", &[L1, ADAPTERS]),
];

/// Something that only some files may name.
struct Fence {
    /// Tokens in a row. A single one is a crate, and counts where a path begins with it or `use` names it.
    tokens: &'static [&'static str],
    /// Files, or folders with a slash at the end.
    allowed: &'static [&'static str],
    reason: &'static str,
}

const fn fence(
    tokens: &'static [&'static str],
    allowed: &'static [&'static str],
    reason: &'static str,
) -> Fence {
    Fence { tokens, allowed, reason }
}

const HTTP: &[&str] = &["src/http/", "src/cmds/web/"];
const CLOCK: &[&str] = &["src/clock.rs"];
const TIME: &str = "time comes from a Clock, so that a day can be replayed in a test";
const UNBOUNDED: &str = "a link without a bound hides a stuck consumer until memory is gone";

const FENCES: &[Fence] = &[
    fence(&["ort"], &["src/inference/"], "the runtime can be exchanged in one place"),
    fence(&["v4l"], &["src/camera/"], "cameras can be exchanged in one place"),
    fence(&["nokhwa"], &["src/camera/"], "cameras can be exchanged in one place"),
    fence(
        &["rumqttc"],
        &["src/sinks/mqtt/"],
        "the broker's library, and the runtime it needs, stay in one place",
    ),
    fence(&["tokio"], HTTP, "no async runtime in the pipeline"),
    fence(&["axum"], HTTP, "the HTTP server can be exchanged in one place"),
    fence(&["hyper"], HTTP, "the HTTP server can be exchanged in one place"),
    fence(&["ureq"], &["src/sinks/webhook/"], "the web client can be exchanged in one place"),
    fence(&["rusqlite"], &["src/sinks/outbox/"], "the outbox's library can be exchanged in one place"),
    fence(&["gpiocdev"], &["src/sinks/relay.rs"], "relays can be exchanged in one place"),
    fence(&["serde_yaml"], &["src/config/"], "one place turns text into settings"),
    fence(&["anyhow"], &["src/cmds/", "src/main.rs"], "libraries say what went wrong with types"),
    fence(&["Instant", "::", "now"], CLOCK, TIME),
    fence(&["SystemTime", "::", "now"], CLOCK, TIME),
    fence(&["Timestamp", "::", "now"], CLOCK, TIME),
    fence(&["Zoned", "::", "now"], CLOCK, TIME),
    fence(&["crossbeam_channel", "::", "unbounded"], &[], UNBOUNDED),
    fence(&["channel", "::", "unbounded"], &[], UNBOUNDED),
    fence(&["unbounded", "("], &[], UNBOUNDED),
    // What tokio calls so takes a bound.
    fence(&["mpsc", "::", "channel"], HTTP, UNBOUNDED),
    fence(&["unbounded_channel", "("], &[], UNBOUNDED),
    fence(&["std", "::", "thread", "::", "spawn"], &[], "threads are named and joined"),
    fence(&["unsafe", "{"], UNSAFE, UNSAFE_REASON),
    fence(&["unsafe", "fn"], UNSAFE, UNSAFE_REASON),
    fence(&["unsafe", "impl"], UNSAFE, UNSAFE_REASON),
    fence(&["unsafe", "extern"], UNSAFE, UNSAFE_REASON),
];
const UNSAFE: &[&str] = &["src/camera/", "src/sys/", "src/matching/kernels/"];
const UNSAFE_REASON: &str =
    "unsafe code is kept where the operating system is spoken to and vector registers are loaded";

/// Of sources and tests alike.
const MAX_LINES: usize = 600;

#[test]
fn sources_keep_to_their_layers() {
    let mut sources = Vec::new();
    read_sources(Path::new(env!("CARGO_MANIFEST_DIR")), "src", &mut sources);
    assert!(sources.len() > 20, "only {} source files were found", sources.len());
    read_sources(Path::new(env!("CARGO_MANIFEST_DIR")), "tests", &mut sources);
    let problems: Vec<String> = sources.iter().flat_map(|(path, text)| check(path, text)).collect();
    assert!(problems.is_empty(), "\n{}\n", problems.join("\n"));
}

#[test]
fn every_module_has_a_layer() {
    let lib = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("src/lib.rs")).unwrap();
    let tokens = tokens(&lib);
    let modules: BTreeSet<&str> =
        tokens.windows(2).filter(|pair| pair[0].text == "mod").map(|pair| pair[1].text.as_str()).collect();
    let layers: BTreeSet<&str> = LAYERS.iter().map(|(module, _)| *module).collect();
    assert_eq!(modules, layers);
}

#[test]
fn breaches_are_found() {
    let long = "\n".repeat(MAX_LINES + 1);
    for (path, source, expected) in [
        (
            "src/vision/nms.rs",
            "use crate::camera::FrameSource;",
            "1: `vision` may not name `camera::FrameSource`",
        ),
        (
            "src/vision/nms.rs",
            "use crate::{domain::Rect,\n config::{self}};",
            "1: `vision` may not name `config`",
        ),
        ("src/tracking/mod.rs", "fn f() { crate::vision::iou() }", "`tracking` may not name `vision::iou`"),
        ("src/tracking/mod.rs", "use super::vision::iou;", "`tracking` may not name `vision::iou`"),
        ("src/camera/v4l2.rs", "use super::super::sys::thread;", "`camera` may not name `sys::thread`"),
        (
            "src/camera/v4l2.rs",
            "use crate::inference::Detector;",
            "`camera` may not name `inference::Detector`",
        ),
        (
            "src/pipeline/run.rs",
            "use crate::camera::{FrameSource, v4l2::Device};",
            "name `camera::v4l2::Device`",
        ),
        ("src/domain/mod.rs", "use crate::cmds;", "`domain` may not name `cmds`"),
        ("src/gizmo.rs", "", "the module `gizmo` has no layer"),
        ("src/cmds/run.rs", "\n\nuse ort::Session;", "src/cmds/run.rs:3: `ort` belongs in src/inference/"),
        ("src/cmds/run.rs", "use ::ort as o;", "`ort` belongs in"),
        ("src/cmds/run.rs", "use {v4l::Device, std::fmt};", "`v4l` belongs in"),
        ("src/sinks/log.rs", "fn f() -> anyhow::Result<()> {}", "`anyhow` belongs in"),
        ("src/store/mod.rs", "serde_yaml::from_str(x)", "`serde_yaml` belongs in"),
        (
            "src/sinks/log.rs",
            "let now = std::time::Instant::now();",
            "`Instant::now` belongs in src/clock.rs",
        ),
        ("src/sys/mod.rs", "let (a, b) = crossbeam_channel::unbounded();", "belongs nowhere"),
        ("src/sys/mod.rs", "use crossbeam_channel::unbounded; fn f() { unbounded() }", "belongs nowhere"),
        ("src/vision/yuv.rs", "fn f() { unsafe { g() } }", "`unsafe{` belongs in src/camera/, src/sys/"),
        ("src/matching/search.rs", "fn f() { unsafe { g() } }", "`unsafe{` belongs in"),
        ("src/clock.rs", "use crate::domain::Rect;", "`clock` may not name `domain::Rect`"),
        ("src/vision/big.rs", &long, "the file has 601 lines"),
    ] {
        let problems = check(path, source);
        assert!(problems.iter().any(|p| p.contains(expected)), "{path}: {source}\nfound {problems:?}");
    }
}

#[test]
fn what_is_allowed_is_not_a_breach() {
    for (path, source) in [
        (
            "src/vision/nms.rs",
            "use crate::domain::{Rect, Point}; use crate::vision::colour; use crate::clock::Moment;",
        ),
        (
            "src/vision/nms.rs",
            "// use crate::camera;\n/* unsafe { /* ort:: */ } */ const A: &str = \"ort::x unsafe {\";",
        ),
        (
            "src/vision/nms.rs",
            "const A: &str = r#\"\"ort::x\"#; const B: char = '\"'; fn f<'a>(x: &'a str) {}",
        ),
        ("src/vision/nms.rs", "#[cfg(test)]\nmod tests { use crate::camera::X; fn f() { unsafe { } } }\n"),
        ("src/vision/tests.rs", "use crate::camera::X;"),
        ("src/camera/v4l2.rs", "use super::SourceError; use v4l::Device; use crate::config::Camera;"),
        ("src/inference/mod.rs", "mod ort; use crate::inference::ort::Session; use self::ort::Session;"),
        ("src/inference/ort.rs", "use ort::session::Session;"),
        (
            "src/pipeline/run.rs",
            "use crate::camera::{FrameSource, SourceError}; use crate::sys::thread::spawn;",
        ),
        (
            "src/cmds/run.rs",
            "use crate::{camera, pipeline::spawn}; use anyhow::Context; pub(crate) fn f() {}",
        ),
        ("src/sys/mod.rs", "#[expect(unsafe_code, reason = \"fork\")] fn f() { unsafe { g() } }"),
        ("src/matching/kernels/x86.rs", "fn f() { unsafe { g() } }"),
        ("src/clock.rs", "fn f() { Instant::now(); }"),
    ] {
        assert_eq!(check(path, source), Vec::<String>::new(), "{source}");
    }
}

/// All that is wrong with one file, as `path:line: problem`.
fn check(path: &str, text: &str) -> Vec<String> {
    let mut problems = Vec::new();
    let lines = text.lines().count();
    if lines > MAX_LINES {
        problems.push(format!("{path}: the file has {lines} lines, more than {MAX_LINES}: split it"));
    }
    let parts: Vec<&str> = path.trim_start_matches("src/").trim_end_matches(".rs").split('/').collect();
    if path.starts_with("tests/") || parts.last() == Some(&"tests") {
        return problems;
    }
    let tokens = without_tests(&tokens(text));
    for fence in FENCES {
        if fence.allowed.iter().any(|a| path == *a || a.ends_with('/') && path.starts_with(a)) {
            continue;
        }
        for at in (0..tokens.len()).filter(|at| names(&tokens, *at, fence.tokens)) {
            let (line, what) = (tokens[at].line, fence.tokens.concat());
            let place = if fence.allowed.is_empty() {
                "nowhere".to_owned()
            } else {
                format!("in {}", fence.allowed.join(", "))
            };
            problems.push(format!("{path}:{line}: `{what}` belongs {place}: {}", fence.reason));
        }
    }
    let module = parts[0];
    if matches!(module, "lib" | "main") {
        return problems;
    }
    let Some((_, allowed)) = LAYERS.iter().find(|(name, _)| *name == module) else {
        problems.push(format!("{path}: the module `{module}` has no layer"));
        return problems;
    };
    let depth = parts.iter().filter(|part| **part != "mod").count();
    for (line, named) in named_of_crate(&tokens, depth) {
        let within = |entry: &str| named == entry || named.starts_with(&format!("{entry}::"));
        if !within(module) && !allowed.iter().flat_map(|group| group.iter()).any(|entry| within(entry)) {
            problems.push(format!("{path}:{line}: `{module}` may not name `{named}`"));
        }
    }
    problems
}

/// Whether `wanted` stands at `at`.
fn names(tokens: &[Token], at: usize, wanted: &[&str]) -> bool {
    let text = |at: usize| tokens.get(at).map_or("", |token| token.text.as_str());
    if !wanted.iter().enumerate().all(|(i, want)| text(at + i) == *want) {
        return false;
    }
    let before = |back: usize| at.checked_sub(back).map_or("", text);
    // `inference::ort` is a module of ours, `::ort` is the crate.
    let begins_path = before(1) != "::" || !is_ident(before(2)) || before(2) == "use";
    match wanted {
        [_] => begins_path && (text(at + 1) == "::" || before(1) == "use" || before(2) == "use"),
        _ => true,
    }
}

/// Every path that begins at the crate's root, without that root: `crate::a::{b, c::d}` is `a::b` and `a::c::d`.
/// `depth` is how many `super` lead there from this file.
fn named_of_crate(tokens: &[Token], depth: usize) -> Vec<(usize, String)> {
    let text = |at: usize| tokens.get(at).map_or("", |token| token.text.as_str());
    let mut named = Vec::new();
    for at in 0..tokens.len() {
        let supers =
            (0..).take_while(|i| text(at + 2 * i) == "super" && text(at + 2 * i + 1) == "::").count();
        let first = at == 0 || text(at - 1) != "::";
        let root = match text(at) {
            "crate" if text(at + 1) == "::" => at + 2,
            "super" if first && supers == depth => at + 2 * supers,
            _ => continue,
        };
        let mut paths = Vec::new();
        use_tree(tokens, root, "", &mut paths);
        named.extend(paths.into_iter().map(|path| (tokens[at].line, path)));
    }
    named
}

/// Adds the paths of the tree that begins at `at`; returns where it ends.
fn use_tree(tokens: &[Token], mut at: usize, prefix: &str, out: &mut Vec<String>) -> usize {
    let text = |at: usize| tokens.get(at).map_or("", |token| token.text.as_str());
    let mut path = prefix.to_owned();
    loop {
        match text(at) {
            "{" => {
                at += 1;
                while !matches!(text(at), "}" | "") {
                    at = use_tree(tokens, at, &path, out);
                    while !matches!(text(at), "," | "}" | "") {
                        at += 1;
                    }
                    at += usize::from(text(at) == ",");
                }
                return at + 1;
            }
            "self" => {
                out.push(path);
                return at + 1;
            }
            name if is_ident(name) => {
                if !path.is_empty() {
                    path.push_str("::");
                }
                path.push_str(name);
                if text(at + 1) != "::" || text(at + 2) == "<" {
                    out.push(path);
                    return at + 1;
                }
                at += 2;
            }
            _ => {
                // `crate::a::*`
                out.push(path);
                return at + 1;
            }
        }
    }
}

/// One identifier, `::`, or any other single character outside of comments and literals.
#[derive(Debug, Clone)]
struct Token {
    line: usize,
    text: String,
}

fn is_ident(text: &str) -> bool {
    text.starts_with(|c: char| c.is_alphabetic() || c == '_')
}

/// Splits a source. Comments and literals are left out.
fn tokens(source: &str) -> Vec<Token> {
    let chars: Vec<char> = source.chars().collect();
    let is = |at: usize, what: &str| what.chars().enumerate().all(|(i, c)| chars.get(at + i) == Some(&c));
    let word = |c: char| c.is_alphanumeric() || c == '_';
    let (mut out, mut at, mut line) = (Vec::new(), 0, 1);
    while at < chars.len() {
        let start = at;
        if is(at, "//") {
            at += chars[at..].iter().take_while(|c| **c != '\n').count();
        } else if is(at, "/*") {
            let mut depth = 0;
            while at < chars.len() {
                match () {
                    () if is(at, "/*") => (depth, at) = (depth + 1, at + 2),
                    () if is(at, "*/") => (depth, at) = (depth - 1, at + 2),
                    () => at += 1,
                }
                if depth == 0 {
                    break;
                }
            }
        } else if let Some(end) = literal(&chars, at) {
            at = end;
        } else if word(chars[at]) {
            at += chars[at..].iter().take_while(|c| word(**c)).count();
            out.push(Token { line, text: chars[start..at].iter().collect() });
        } else if is(at, "::") {
            at += 2;
            out.push(Token { line, text: "::".to_owned() });
        } else {
            at += 1;
            if !chars[start].is_whitespace() {
                out.push(Token { line, text: chars[start].to_string() });
            }
        }
        line += chars[start..at.min(chars.len())].iter().filter(|c| **c == '\n').count();
    }
    out
}

/// Where the text, byte or character literal ends that begins at `at`, if one does.
fn literal(chars: &[char], at: usize) -> Option<usize> {
    let get = |at: usize| chars.get(at).copied().unwrap_or('\0');
    if at > 0 && (get(at - 1).is_alphanumeric() || get(at - 1) == '_') {
        return None;
    }
    let mut start = at;
    while start < at + 2 && matches!(get(start), 'b' | 'c' | 'r') {
        start += 1;
    }
    let raw = start > at && get(start - 1) == 'r';
    let hashes = chars[start.min(chars.len())..].iter().take_while(|c| **c == '#').count();
    if raw && get(start + hashes) == '"' {
        let mut end = start + hashes + 1;
        let closes = |end: usize| get(end) == '"' && (1..=hashes).all(|i| get(end + i) == '#');
        while end < chars.len() && !closes(end) {
            end += 1;
        }
        return Some((end + 1 + hashes).min(chars.len()));
    }
    let quote = get(start);
    // A quote that is not closed behind one character begins a lifetime.
    let lifetime = quote == '\'' && get(start + 1) != '\\' && get(start + 2) != '\'';
    if !matches!(quote, '"' | '\'') || lifetime {
        return None;
    }
    let mut end = start + 1;
    while end < chars.len() && get(end) != quote {
        end += if get(end) == '\\' { 2 } else { 1 };
    }
    Some((end + 1).min(chars.len()))
}

/// Leaves out each item that stands under `#[cfg(test)]`.
fn without_tests(tokens: &[Token]) -> Vec<Token> {
    const MARK: [&str; 7] = ["#", "[", "cfg", "(", "test", ")", "]"];
    let (mut out, mut at) = (Vec::new(), 0);
    while at < tokens.len() {
        let marked =
            MARK.iter().enumerate().all(|(i, mark)| tokens.get(at + i).is_some_and(|t| t.text == *mark));
        if !marked {
            out.push(tokens[at].clone());
            at += 1;
            continue;
        }
        let mut depth = 0;
        at += MARK.len();
        while let Some(token) = tokens.get(at) {
            at += 1;
            match token.text.as_str() {
                "{" => depth += 1,
                "}" if depth == 1 => break,
                "}" => depth -= 1,
                ";" if depth == 0 => break,
                _ => (),
            }
        }
    }
    out
}

fn read_sources(root: &Path, folder: &str, out: &mut Vec<(String, String)>) {
    let mut entries: Vec<_> = fs::read_dir(root.join(folder)).unwrap().map(|entry| entry.unwrap()).collect();
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries {
        let path = format!("{folder}/{}", entry.file_name().into_string().unwrap());
        if entry.file_type().unwrap().is_dir() {
            read_sources(root, &path, out);
        } else if path.ends_with(".rs") {
            let text = fs::read_to_string(root.join(&path)).unwrap();
            out.push((path, text));
        }
    }
}
