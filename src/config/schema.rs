//! The configuration file as a JSON Schema, for editors, and as a commented file to start from.

use super::types::Config;

/// The default configuration file: every setting with its default, explained. Settings without a fixed default
/// stand behind a `#`.
#[must_use]
pub fn default_yaml() -> &'static str {
    include_str!("../../config/facewarden.yaml")
}

/// The JSON Schema (2020-12) of the configuration file, indented, with a line break at the end. Limits that are
/// more than a matter of form are not in it: [`super::check()`] has them.
#[must_use]
pub fn json_schema() -> String {
    let schema = schemars::schema_for!(Config);
    format!("{:#}\n", schema.to_value())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::Value;

    use super::*;
    use crate::config::tree::Tree;
    use crate::config::{Camera, Hook};
    use crate::domain::CameraId;

    /// The default file with every setting switched on: `#` directly before a key or a dash switches one off,
    /// while `# ` begins a remark.
    fn all_switched_on() -> String {
        default_yaml()
            .lines()
            .map(|line| {
                let (indent, rest) = line.split_at(line.len() - line.trim_start().len());
                match rest.strip_prefix('#') {
                    Some(setting)
                        if !setting.is_empty() && !setting.starts_with("# ") && !setting.starts_with(' ') =>
                    {
                        format!("{indent}{setting}\n")
                    }
                    _ => format!("{line}\n"),
                }
            })
            .collect()
    }

    /// All keys of a schema as `decision.min_margin`, items of lists as `[0]`.
    fn keys(root: &Value, node: &Value, prefix: &str, out: &mut BTreeSet<String>) {
        if let Some(target) = node["$ref"].as_str() {
            let target = target.strip_prefix('#').and_then(|pointer| root.pointer(pointer)).unwrap();
            keys(root, target, prefix, out);
        }
        for (name, property) in node["properties"].as_object().into_iter().flatten() {
            let path = if prefix.is_empty() { name.clone() } else { format!("{prefix}.{name}") };
            keys(root, property, &path, out);
            out.insert(path);
        }
        if node["items"].is_object() {
            keys(root, &node["items"], &format!("{prefix}[0]"), out);
        }
    }

    #[test]
    fn default_file_says_what_the_code_does() {
        let read =
            Config::from_yaml(default_yaml(), "config/facewarden.yaml").unwrap_or_else(|e| panic!("{e}"));
        let code = Config::new(Camera::new(CameraId::new("door").unwrap(), "/dev/video0".into()));
        assert_eq!(read, code);
    }

    #[test]
    fn default_file_has_no_warnings() {
        let (_, warnings) = Config::from_yaml_with_warnings(default_yaml(), "facewarden.yaml").unwrap();
        assert_eq!(warnings, []);
    }

    #[test]
    fn default_file_shows_every_key_of_the_schema() {
        let text = all_switched_on();
        Config::from_yaml(&text, "facewarden.yaml").unwrap_or_else(|e| panic!("{e}\n{text}"));
        let shown: BTreeSet<String> = Tree::read(&text).paths().collect();
        let schema: Value = serde_json::from_str(&json_schema()).unwrap();
        let mut wanted = BTreeSet::new();
        keys(&schema, &schema, "", &mut wanted);
        assert!(wanted.len() > 40, "{wanted:?}");
        let missing: Vec<_> = wanted.difference(&shown).collect();
        assert!(missing.is_empty(), "not in config/facewarden.yaml: {missing:?}");
    }

    #[test]
    fn hook_in_the_default_file_shows_the_defaults() {
        let config = Config::from_yaml(&all_switched_on(), "facewarden.yaml").unwrap();
        let [hook] = &config.events.hooks[..] else { panic!("{:?}", config.events.hooks) };
        // Settings without a default show what they could be.
        let shown = Hook {
            only: hook.only.clone(),
            max_per_minute: hook.max_per_minute,
            retry_exit_codes: hook.retry_exit_codes.clone(),
            ..Hook::new(hook.argv.clone())
        };
        assert_eq!(*hook, shown);
    }

    #[test]
    fn schema_explains_every_key() {
        fn undocumented(node: &Value, out: &mut Vec<String>) {
            for (name, property) in node["properties"].as_object().into_iter().flatten() {
                if !property["description"].is_string() {
                    out.push(name.clone());
                }
            }
            match node {
                Value::Object(map) => map.values().for_each(|value| undocumented(value, out)),
                Value::Array(items) => items.iter().for_each(|value| undocumented(value, out)),
                _ => (),
            }
        }
        let mut missing = Vec::new();
        undocumented(&serde_json::from_str(&json_schema()).unwrap(), &mut missing);
        assert_eq!(missing, Vec::<String>::new());
    }
}
