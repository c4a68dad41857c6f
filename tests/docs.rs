//! What the documentation shows is tried: each block of YAML is read by the code that would read it, each command
//! line is parsed.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use facewarden::config::{Config, DetectorSpec, Manifest, Models, Role};

/// The command line's definition.
fn command_line() -> Option<clap::Command> {
    Some(facewarden::cmds::cli())
}

#[test]
fn yaml_in_the_documentation_is_valid() {
    let problems: Vec<String> = blocks("yaml")
        .iter()
        .filter_map(|block| check_yaml(&block.text).err().map(|e| format!("{}: {e}", block.place)))
        .collect();
    assert!(problems.is_empty(), "\n{}\n", problems.join("\n\n"));
}

#[test]
fn commands_in_the_documentation_are_valid() {
    let Some(cli) = command_line() else { return };
    let mut problems = Vec::new();
    for block in blocks("console") {
        for command in commands(&block.text) {
            if let Err(problem) = check_command(&cli, &command) {
                problems.push(format!("{}: {}\n{problem}", block.place, command.join(" ")));
            }
        }
    }
    assert!(problems.is_empty(), "\n{}\n", problems.join("\n\n"));
}

#[test]
fn each_kind_of_yaml_block_is_checked() {
    let whole = "# facewarden.yaml\nschema: 1\ncameras:\n  - id: door\n    source: /dev/video0\n";
    assert_eq!(check_yaml(whole), Ok(()));
    assert!(check_yaml(&whole.replace("schema", "scheme")).unwrap_err().contains("did you mean `schema`?"));
    let part = "# part of facewarden.yaml\ndecision:\n  min_margin: 0.1\n";
    assert_eq!(check_yaml(part), Ok(()));
    assert!(check_yaml(&part.replace("0.1", "-1")).unwrap_err().contains("cannot be -1"));
    assert_eq!(check_yaml("# part of facewarden.yaml\ncameras:\n  - id: a\n    source: b\n"), Ok(()));
    let part = "# part of a manifest\nliveness:\n  output: out\n  crop_scale: 2.7\n  live_index: 0\n";
    assert_eq!(check_yaml(part), Ok(()));
    assert!(check_yaml(&part.replace("2.7", "27")).unwrap_err().contains("cannot be 27"));
    assert!(check_yaml("# manifest\nschema: 1\n").is_err());
    assert!(check_yaml("foo: 1\n").unwrap_err().contains("first line"));
}

#[test]
fn commands_are_found_in_console_blocks() {
    let block = "\
$ facewarden run --config 'my file.yaml' 2> log
INFO facewarden is watching
$ sudo -u facewarden facewarden persons list | grep -v \"a b\"
# facewarden compare a.jpg b.jpg
$ cat x | facewarden config check - && ls
$ facewarden compare \\
    a.jpg b.jpg
";
    let found: Vec<String> = commands(block).iter().map(|words| words.join("|")).collect();
    assert_eq!(
        found,
        [
            "facewarden|run|--config|my file.yaml",
            "facewarden|persons|list",
            "facewarden|config|check|-",
            "facewarden|compare|a.jpg|b.jpg",
        ]
    );
}

#[test]
fn blocks_are_found_in_markdown() {
    let text = "a\n```yaml\nx: 1\n```\n- list\n\n  ```yaml\n  y:\n    - 2\n  ```\n```console\n$ ls\n```\n";
    let yaml: Vec<_> = fenced("a.md", text, "yaml").into_iter().map(|b| (b.place, b.text)).collect();
    let expected = [("a.md:3", "x: 1\n"), ("a.md:8", "y:\n  - 2\n")];
    assert_eq!(yaml, expected.map(|(place, text)| (place.to_owned(), text.to_owned())));
    assert_eq!(fenced("a.md", text, "console").len(), 1);
}

fn check_yaml(block: &str) -> Result<(), String> {
    let said = |error: facewarden::config::ConfigError| error.to_string();
    match block.lines().next().unwrap_or_default().trim() {
        "# facewarden.yaml" => Config::from_yaml(block, "facewarden.yaml").map(drop).map_err(said),
        "# part of facewarden.yaml" => {
            // After the block, so that lines keep their numbers.
            let mut whole = block.to_owned();
            for (key, default) in [
                ("schema:", "schema: 1\n"),
                ("cameras:", "cameras:\n  - id: door\n    source: /dev/video0\n"),
            ] {
                if !block.lines().any(|line| line.starts_with(key)) {
                    whole.push_str(default);
                }
            }
            Config::from_yaml(&whole, "part of facewarden.yaml").map(drop).map_err(said)
        }
        "# part of a manifest" => {
            let role = ["detector", "landmarks", "embedder", "liveness"]
                .into_iter()
                .find(|role| block.lines().any(|line| line.starts_with(&format!("{role}:"))))
                .ok_or("a part of a manifest has the section of a role")?;
            let sha256 = "0".repeat(64);
            let size = if block.contains("fit: letterbox") { "" } else { "size: [112, 112], " };
            let rest = format!(
                "schema: 1\nname: mine\nrole: {role}\nfile: mine.onnx\nsha256: {sha256}\nlicence: MIT\n\
                 input: {{name: input, layout: nchw, colour: rgb, {size}mean: 0, scale: 1}}\n"
            );
            Manifest::from_yaml(&format!("{block}{rest}"), "part of a manifest").map(drop).map_err(said)
        }
        "# manifest" => Manifest::from_yaml(block, "manifest").map(drop).map_err(said),
        other => Err(format!(
            "the first line of a block of YAML says what it is: `# facewarden.yaml`, `# part of facewarden.yaml`, \
             `# manifest` or `# part of a manifest`, not `{other}`"
        )),
    }
}

fn check_command(cli: &clap::Command, words: &[String]) -> Result<(), String> {
    match cli.clone().try_get_matches_from(words) {
        Ok(_) => Ok(()),
        Err(error) if !error.use_stderr() => Ok(()), // --help and --version
        Err(error) => Err(error.to_string()),
    }
}

/// The words of each call of `facewarden` on the lines that begin with `$`.
fn commands(console: &str) -> Vec<Vec<String>> {
    let joined = console.replace("\\\n", " ");
    let mut out = Vec::new();
    for line in joined.lines().filter_map(|line| line.trim_start().strip_prefix("$ ")) {
        for mut words in words_of_commands(line) {
            if words.first().is_some_and(|word| word == "sudo") {
                let user = words.get(1).is_some_and(|word| word == "-u");
                words.drain(..if user { 3.min(words.len()) } else { 1 });
            }
            if words.first().is_some_and(|word| word == "facewarden") {
                out.push(words);
            }
        }
    }
    out
}

/// The commands of one line of shell, each as its words, without redirections. As much shell as documentation needs.
fn words_of_commands(line: &str) -> Vec<Vec<String>> {
    let (mut commands, mut words, mut word): (Vec<Vec<String>>, Vec<String>, String) = Default::default();
    let (mut quote, mut quoted) = (None, false);
    for c in line.chars().chain([' ']) {
        match (quote, c) {
            (Some(q), c) if c == q => quote = None,
            (Some(_), c) => word.push(c),
            (None, '\'' | '"') => (quote, quoted) = (Some(c), true),
            (None, c) if c.is_whitespace() => {
                if !word.is_empty() || quoted {
                    words.push(std::mem::take(&mut word));
                }
                quoted = false;
            }
            (None, '|' | ';' | '&') => {
                words.extend((!word.is_empty()).then(|| std::mem::take(&mut word)));
                commands.push(std::mem::take(&mut words));
            }
            (None, c) => word.push(c),
        }
    }
    commands.push(words);
    for words in &mut commands {
        if let Some(end) =
            words.iter().position(|word| word.trim_start_matches('2').starts_with(['>', '<', '#']))
        {
            words.truncate(end);
        }
    }
    commands
}

/// A fenced block of a Markdown file.
struct Block {
    place: String,
    text: String,
}

/// All blocks of a language in all of the documentation.
fn blocks(language: &str) -> Vec<Block> {
    documents().iter().flat_map(|(name, text)| fenced(name, text, language)).collect()
}

fn fenced(name: &str, text: &str, language: &str) -> Vec<Block> {
    let mut blocks = Vec::new();
    let mut lines = text.lines().enumerate();
    while let Some((_, line)) = lines.next() {
        let Some(info) = line.trim_start().strip_prefix("```") else { continue };
        let indent = line.len() - line.trim_start().len();
        let (mut block, mut first) = (String::new(), None);
        for (at, line) in lines.by_ref() {
            if line.trim() == "```" {
                break;
            }
            first = first.or(Some(at + 1));
            block.push_str(line.get(indent..).unwrap_or_default());
            block.push('\n');
        }
        if info.split_whitespace().next() == Some(language) {
            blocks.push(Block { place: format!("{name}:{}", first.unwrap_or_default()), text: block });
        }
    }
    blocks
}

/// README.md, ARCHITECTURE.md, models/README.md and all of docs/, as far as they exist.
fn documents() -> BTreeMap<String, String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut found = BTreeMap::new();
    let mut todo: Vec<PathBuf> =
        ["README.md", "ARCHITECTURE.md", "models/README.md", "docs"].map(PathBuf::from).to_vec();
    while let Some(path) = todo.pop() {
        let full = root.join(&path);
        if full.is_dir() {
            todo.extend(fs::read_dir(full).unwrap().map(|entry| path.join(entry.unwrap().file_name())));
        } else if full.extension().is_some_and(|end| end == "md") && full.exists() {
            found.insert(path.display().to_string(), fs::read_to_string(full).unwrap());
        }
    }
    found
}

#[test]
fn shipped_manifests_are_valid_and_complete() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("models");
    if !folder.is_dir() {
        return;
    }
    let mut roles = BTreeMap::new();
    for folder in [folder.clone(), folder.join("opt-in")] {
        for entry in fs::read_dir(folder).into_iter().flatten() {
            let path = entry.unwrap().path();
            let golden = path.file_name().is_some_and(|name| name == "golden.yaml");
            if golden || path.extension().is_none_or(|end| end != "yaml") {
                continue;
            }
            let manifest = Manifest::read(&path).unwrap_or_else(|e| panic!("{e}"));
            assert_eq!(
                path.file_stem().unwrap().to_str(),
                Some(manifest.name.as_str()),
                "{}",
                path.display()
            );
            roles.insert(manifest.name, manifest.role);
        }
    }
    let role = |name: &str| roles.get(name).map(Role::name);
    for detector in roles.values() {
        if let Role::Detector(DetectorSpec { landmarks: Some(name), .. }) = detector {
            assert_eq!(role(name), Some("landmarks"), "{name}");
        }
    }
    let models = Models::default();
    assert_eq!(role(&models.detector), Some("detector"));
    assert_eq!(role(&models.embedder), Some("embedder"));
    assert_eq!(role(&models.liveness), Some("liveness"));
}
