//! Reads the source tree: the rules of the house that the compiler cannot see.
//!
//! A small lexer takes comments and texts away first, so that prose may speak of
//! anything; what is left is names.

use std::path::{Path, PathBuf};

/// The first folder below `src/` is the layer.
const LAYERS: [(&str, u8); 14] = [
    ("model", 1),
    ("trail", 2),
    ("identity", 2),
    ("policy", 2),
    ("lake", 3),
    ("aws", 3),
    ("databricks", 3),
    ("pipeline", 4),
    ("evidence", 4),
    ("alert", 4),
    ("commands", 5),
    ("dashboard", 5),
    ("simulate", 5),
    ("config", 5),
];

/// The pure layers: bytes, nouns and `now` in, nouns out.
const PURE: u8 = 2;

#[test]
fn a_file_names_only_lower_layers() {
    let faults: Vec<String> = sources("src")
        .iter()
        .flat_map(|(path, text)| layer_faults(path, text))
        .collect();
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn the_decisions_have_no_io_no_clock_and_no_async() {
    let faults: Vec<String> = sources("src")
        .iter()
        .flat_map(|(path, text)| purity_faults(path, text))
        .collect();
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn every_file_introduces_itself() {
    let faults: Vec<String> = ["src", "tests", "benches"]
        .iter()
        .flat_map(|folder| sources(folder))
        .filter(|(_, text)| !text.starts_with("//!"))
        .map(|(path, _)| path)
        .collect();
    assert!(faults.is_empty(), "without `//!`: {}", faults.join(", "));
}

#[test]
fn a_name_of_a_higher_layer_is_found_however_it_is_written() {
    for (path, text) in [
        ("src/model/x.rs", "use crate::trail::key;"),
        ("src/trail/x.rs", "use crate::identity::IdentityIndex;"),
        ("src/trail/x.rs", "use crate::{model::time, lake::Lake};"),
        (
            "src/trail/x.rs",
            "use crate::{\n    model::{A, B},\n    pipeline,\n};",
        ),
        ("src/trail/x.rs", "fn f() { crate :: lake :: open() }"),
        ("src/trail/x.rs", "use super::super::lake::Lake;"),
        ("src/trail/mod.rs", "use super::lake::Lake;"),
        ("src/trail/x.rs", "use bricktrail::lake::Lake;"),
        ("src/lake/x.rs", "use crate::config::Config;"),
        ("src/simulate/x.rs", "use crate::commands::Arguments;"),
        ("src/simulate/x.rs", "use crate::dashboard::Page;"),
        ("src/simulate/x.rs", "use crate::config::Config;"),
        ("src/trail/x.rs", "use crate::nowhere::Thing;"),
        ("src/unheard/x.rs", "fn f() {}"),
    ] {
        assert_eq!(layer_faults(path, text).len(), 1, "{path}: {text}");
    }
}

#[test]
fn a_name_of_a_lower_layer_or_in_prose_is_no_fault() {
    for (path, text) in [
        (
            "src/trail/x.rs",
            "use crate::{model::{A, pipeline}, trail::key};",
        ),
        (
            "src/trail/x.rs",
            "//! See crate::lake.\n/* crate::lake */ const A: &str = \"crate::lake \\\" crate::lake\";",
        ),
        (
            "src/trail/x.rs",
            "const A: &str = r#\"crate::lake \" crate::lake\"#; const C: char = '\"'; use crate::model::A;",
        ),
        ("src/trail/tests/x.rs", "use super::super::lake::Lake;"),
        ("src/trail/x.rs", "mod tests { use super::super::lake; }"),
        ("src/identity/link.rs", "use super::aws::filled;"),
        ("src/commands/scan.rs", "use crate::config::Config;"),
        ("src/commands/x.rs", "use crate::simulate::prepare;"),
        ("src/config.rs", "use crate::pipeline::limits::Limits;"),
    ] {
        assert_eq!(layer_faults(path, text), [""; 0], "{path}: {text}");
    }
}

#[test]
fn io_clock_and_async_are_found_in_the_pure_layers_only() {
    for text in [
        "async fn f() {}",
        "use std::fs;",
        "use std::{collections::HashMap, fs::File};",
        "fn f() { std::net::TcpStream::connect(a) }",
        "use std::net::{IpAddr, TcpStream};",
        "fn f() -> SystemTime { x }",
        "use std::time::{Duration, Instant};",
        "fn f() { chrono::Utc::now() }",
        "fn f() { chrono::Local::now() }",
        "fn f() { tokio::spawn(x) }",
    ] {
        assert_eq!(purity_faults("src/trail/x.rs", text).len(), 1, "{text}");
        assert_eq!(purity_faults("src/lake/x.rs", text), [""; 0], "{text}");
    }
    for text in [
        "use std::net::{IpAddr, Ipv4Addr};",
        "use std::net::IpAddr;",
        "/// A tokio Instant, read by std::fs.\nuse chrono::{DateTime, Utc};",
        "use std::time::Duration;",
    ] {
        assert_eq!(purity_faults("src/policy/x.rs", text), [""; 0], "{text}");
    }
}

/// What the file names above its own layer.
fn layer_faults(path: &str, text: &str) -> Vec<String> {
    let Some(layer) = layer_of(path) else {
        return vec![format!(
            "{path}: its folder has no layer; give it one in this test"
        )];
    };
    let tokens = tokens(text);
    let mut faults = Vec::new();
    for place in crate_names(path, &tokens) {
        let name = place.as_str();
        let number = LAYERS
            .iter()
            .find(|(known, _)| *known == name)
            .map(|(_, number)| *number);
        let allowed = match layer {
            Layer::Outside => true,
            Layer::Of(own, _) if own == name => true,
            Layer::Of(own, _) if name == "config" => own == "commands",
            // The command line starts what stands beside it, never the reverse.
            Layer::Of("commands", _) if ["dashboard", "simulate"].contains(&name) => true,
            Layer::Of(_, own) => number.is_some_and(|number| number < own),
        };
        if !allowed {
            faults.push(format!("{path}: names `{name}`"));
        }
    }
    faults
}

fn purity_faults(path: &str, text: &str) -> Vec<String> {
    if !matches!(layer_of(path), Some(Layer::Of(_, number)) if number <= PURE) {
        return Vec::new();
    }
    let tokens = tokens(text);
    let mut faults = Vec::new();
    let mut fault = |what: &str| faults.push(format!("{path}: uses `{what}`"));
    for (i, token) in tokens.iter().enumerate() {
        match token.as_str() {
            "async" | "tokio" | "SystemTime" | "Instant" => fault(token),
            "now"
                if i > 1
                    && tokens[i - 1] == "::"
                    && ["Utc", "Local"].contains(&tokens[i - 2].as_str()) =>
            {
                fault("now()");
            }
            "std" if tokens.get(i + 1).is_some_and(|next| next == "::") => {
                for path in paths(&tokens, i + 2) {
                    match path.first().map(String::as_str) {
                        Some("fs") => fault("std::fs"),
                        Some("net") if !path.get(1).is_some_and(|name| is_address(name)) => {
                            fault("std::net")
                        }
                        _ => {}
                    }
                }
            }
            _ => {}
        }
    }
    faults
}

fn is_address(name: &str) -> bool {
    matches!(name, "IpAddr" | "Ipv4Addr" | "Ipv6Addr" | "AddrParseError")
}

#[derive(Clone, Copy)]
enum Layer<'p> {
    /// `lib.rs`, `main.rs`, `config.rs`: beside the layers.
    Outside,
    Of(&'p str, u8),
}

fn layer_of(path: &str) -> Option<Layer<'_>> {
    let below = path.strip_prefix("src/")?;
    let Some((folder, _)) = below.split_once('/') else {
        return Some(Layer::Outside);
    };
    let (_, number) = LAYERS.iter().find(|(name, _)| *name == folder)?;
    Some(Layer::Of(folder, *number))
}

/// First segments of all paths that begin at the crate's root.
fn crate_names(path: &str, tokens: &[String]) -> Vec<String> {
    let inside = path.trim_start_matches("src/").trim_end_matches(".rs");
    let depth = inside
        .split('/')
        .filter(|segment| *segment != "mod")
        .count();
    let mut names = Vec::new();
    // Each inline module is one step further from the root.
    let mut inline: Vec<usize> = Vec::new();
    let mut braces = 0_usize;
    let mut supers = 0_usize;
    for (i, token) in tokens.iter().enumerate() {
        match token.as_str() {
            "{" => {
                braces += 1;
                if i > 1 && tokens[i - 2] == "mod" {
                    inline.push(braces);
                }
            }
            "}" => {
                if inline.last() == Some(&braces) {
                    inline.pop();
                }
                braces = braces.saturating_sub(1);
            }
            _ => {}
        }
        supers = match token.as_str() {
            "super" => supers + 1,
            "::" if supers > 0 => supers,
            _ => 0,
        };
        let rooted = match token.as_str() {
            "crate" => true,
            "bricktrail" => true,
            "super" => supers == depth + inline.len(),
            _ => false,
        };
        if rooted && tokens.get(i + 1).is_some_and(|next| next == "::") {
            let firsts = paths(tokens, i + 2)
                .into_iter()
                .filter_map(|path| path.into_iter().next());
            names.extend(firsts.filter(|name| name != "super"));
        }
    }
    names
}

/// The paths that begin at `at`: one, or those of a group in braces; of each the
/// first two segments at least.
fn paths(tokens: &[String], at: usize) -> Vec<Vec<String>> {
    match tokens.get(at).map(String::as_str) {
        Some("{") => {
            let mut found = Vec::new();
            let mut depth = 0_usize;
            for (i, token) in tokens.iter().enumerate().skip(at) {
                match token.as_str() {
                    "{" => depth += 1,
                    "}" => depth -= 1,
                    _ => {}
                }
                if depth == 0 {
                    break;
                }
                if depth == 1
                    && matches!(token.as_str(), "{" | ",")
                    && tokens.get(i + 1).is_some_and(|t| t != "}")
                {
                    found.extend(paths(tokens, i + 1));
                }
            }
            found
        }
        Some(name) => {
            let rest = match tokens.get(at + 1).map(String::as_str) {
                Some("::") => paths(tokens, at + 2),
                _ => Vec::new(),
            };
            if rest.is_empty() {
                return vec![vec![name.to_owned()]];
            }
            let join = |rest: Vec<String>| std::iter::once(name.to_owned()).chain(rest).collect();
            rest.into_iter().map(join).collect()
        }
        None => Vec::new(),
    }
}

/// Words, `::` and single signs of a Rust text, without comments and texts.
fn tokens(text: &str) -> Vec<String> {
    let chars: Vec<char> = text.chars().collect();
    let at = |i: usize| chars.get(i).copied().unwrap_or('\0');
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    let mut tokens = Vec::new();
    let mut i = 0;
    while i < chars.len() {
        match (at(i), at(i + 1)) {
            ('/', '/') => {
                while i < chars.len() && at(i) != '\n' {
                    i += 1;
                }
            }
            ('/', '*') => {
                i += 2;
                while i < chars.len() && (at(i), at(i + 1)) != ('*', '/') {
                    i += 1;
                }
                i += 2;
            }
            ('"', _) => i = after_text(&chars, i),
            ('r', '"' | '#')
                if !is_word(at(i.wrapping_sub(1))) && raw_text(&chars, i).is_some() =>
            {
                i = raw_text(&chars, i).unwrap();
            }
            // A character, not a lifetime.
            ('\'', '\\') => {
                i += 3;
                while i < chars.len() && at(i) != '\'' {
                    i += 1;
                }
                i += 1;
            }
            ('\'', _) if at(i + 2) == '\'' => i += 3,
            (':', ':') => {
                tokens.push("::".to_owned());
                i += 2;
            }
            (c, _) if is_word(c) => {
                let start = i;
                while is_word(at(i)) {
                    i += 1;
                }
                tokens.push(chars[start..i].iter().collect());
            }
            (c, _) => {
                if !c.is_whitespace() {
                    tokens.push(c.to_string());
                }
                i += 1;
            }
        }
    }
    tokens
}

fn after_text(chars: &[char], open: usize) -> usize {
    let mut i = open + 1;
    while i < chars.len() && chars[i] != '"' {
        i += if chars[i] == '\\' { 2 } else { 1 };
    }
    i + 1
}

/// The place after `r"…"` or `r#"…"#`, if one begins at `start`.
fn raw_text(chars: &[char], start: usize) -> Option<usize> {
    let hashes = chars[start + 1..].iter().take_while(|c| **c == '#').count();
    let open = start + 1 + hashes;
    if chars.get(open) != Some(&'"') {
        return None;
    }
    let close =
        |i: &usize| chars[*i] == '"' && (1..=hashes).all(|n| chars.get(i + n) == Some(&'#'));
    let end = (open + 1..chars.len()).find(close)?;
    Some(end + 1 + hashes)
}

/// All `.rs` files below a folder of the project: path and text.
fn sources(folder: &str) -> Vec<(String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut waiting: Vec<PathBuf> = vec![root.join(folder)];
    let mut found = Vec::new();
    while let Some(folder) = waiting.pop() {
        for entry in std::fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                waiting.push(path);
            } else if path.extension().is_some_and(|end| end == "rs") {
                let name = path
                    .strip_prefix(root)
                    .unwrap()
                    .to_str()
                    .unwrap()
                    .to_owned();
                found.push((name, std::fs::read_to_string(&path).unwrap()));
            }
        }
    }
    assert!(!found.is_empty(), "`{folder}` holds no Rust file");
    found.sort();
    found
}
