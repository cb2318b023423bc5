//! `Pattern`: one route's path as Python wrote it, read into the paths that axum is given.
//!
//! Accepts axum's syntax and httprouter's, with axum's meaning. Whether two patterns conflict is the business of
//! `check`; how a literal is spelled in a request that of `literal`.

use super::literal::Literal;
use std::collections::HashSet;

/// The longest pattern, in bytes.
const MAX_LENGTH: usize = 8 * 1024;
/// The router underneath panics on the 26th capture of a path.
const MAX_CAPTURES: usize = 25;
/// axum keeps names that begin so for itself.
const AXUM_PRIVATE: &str = "__private__axum";

/// A pattern that axum takes without a panic, save for a conflict with another one.
#[derive(Clone, Debug)]
pub(super) struct Pattern {
    paths: Vec<String>,
}

struct Segment<'a> {
    literal: Literal,
    capture: Option<Capture<'a>>,
}

struct Capture<'a> {
    name: &'a str,
    /// Whether it takes the rest of the path, slashes included.
    rest: bool,
}

impl Pattern {
    /// Reads a pattern. The error says what is wrong and how it should be written, without repeating the pattern.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        if text.len() > MAX_LENGTH {
            return Err(format!(
                "the pattern has {} bytes, more than {MAX_LENGTH}",
                text.len()
            ));
        }
        if let Some(control) = text.chars().find(|character| character.is_control()) {
            return Err(format!(
                "the control character {control:?} cannot stand in a path"
            ));
        }
        let Some(inner) = text.strip_prefix('/') else {
            return Err("a pattern must begin with `/`".to_owned());
        };
        let segments = inner
            .split('/')
            .map(Segment::parse)
            .collect::<Result<Vec<_>, _>>()?;
        check_captures(&segments)?;

        let mut paths = Vec::with_capacity(3);
        for write in [
            Literal::write_upper,
            Literal::write_lower,
            Literal::write_raw,
        ] {
            let path = join(&segments, write);
            if !paths.contains(&path) {
                paths.push(path);
            }
        }
        Ok(Self { paths })
    }

    /// The pattern in axum's syntax with upper-case escapes: the same text for all spellings of one pattern.
    pub(super) fn canonical(&self) -> &str {
        // `parse` always makes one.
        self.paths.first().map_or("", String::as_str)
    }

    /// The axum paths that together match every spelling of the literal parts: one to three, the canonical one first.
    pub(super) fn into_paths(self) -> Vec<String> {
        self.paths
    }
}

fn join(segments: &[Segment<'_>], write: fn(&Literal, &mut String)) -> String {
    let mut path = String::new();
    for segment in segments {
        path.push('/');
        write(&segment.literal, &mut path);
        if let Some(capture) = &segment.capture {
            path.push_str(if capture.rest { "{*" } else { "{" });
            path.push_str(capture.name);
            path.push('}');
        }
    }
    path
}

fn check_captures(segments: &[Segment<'_>]) -> Result<(), String> {
    let mut names = HashSet::new();
    for (index, segment) in segments.iter().enumerate() {
        let Some(capture) = &segment.capture else {
            continue;
        };
        if capture.rest && index + 1 < segments.len() {
            return Err(format!(
                "the catch-all `{{*{}}}` must be the end of the pattern",
                capture.name
            ));
        }
        if !names.insert(capture.name) {
            return Err(format!("two captures are named `{}`", capture.name));
        }
    }
    if names.len() > MAX_CAPTURES {
        return Err(format!(
            "the pattern has {} captures, more than {MAX_CAPTURES}",
            names.len()
        ));
    }
    Ok(())
}

impl<'a> Segment<'a> {
    fn parse(text: &'a str) -> Result<Self, String> {
        let mut literal = Literal::default();
        let mut rest = text.chars();
        while let Some(character) = rest.next() {
            let after = rest.as_str();
            match character {
                '{' | '}' if after.starts_with(character) => {
                    literal.push(character);
                    rest.next();
                }
                '{' => {
                    return Ok(Self {
                        literal,
                        capture: Some(Capture::braced(after)?),
                    });
                }
                '}' => {
                    return Err("a `}` closes nothing (a literal brace is written `}}`)".to_owned());
                }
                ':' => {
                    return Ok(Self {
                        literal,
                        capture: Some(Capture::bare(after, false)?),
                    });
                }
                '*' if literal.is_empty() => {
                    return Ok(Self {
                        literal,
                        capture: Some(Capture::bare(after, true)?),
                    });
                }
                '*' => {
                    return Err(
                        "a `*` begins a catch-all only after `/`: write `{*name}` (a literal one is written `%2A`)"
                            .to_owned(),
                    );
                }
                '<' => {
                    return Err(Capture::angled(
                        &text[..text.len() - after.len() - 1],
                        after,
                    ));
                }
                '%' => {
                    literal.push_escape(escape(after)?);
                    rest.next();
                    rest.next();
                }
                '?' => {
                    return Err(
                        "a `?` begins the query, which is no part of a pattern (a literal one is written `%3F`)"
                            .to_owned(),
                    );
                }
                '#' => {
                    return Err(
                        "a `#` never reaches a server (a literal one is written `%23`)".to_owned(),
                    );
                }
                '>' | '[' | ']' | '\\' | '^' | '|' => {
                    return Err(format!(
                        "`{character}` cannot stand raw in a path, and a pattern is no regular expression (a literal one is \
                         written `%{:02X}`)",
                        u32::from(character)
                    ));
                }
                _ => literal.push(character),
            }
        }
        Ok(Self {
            literal,
            capture: None,
        })
    }
}

/// The byte of a percent-escape whose `%` has been read.
fn escape(after: &str) -> Result<u8, String> {
    after
        .get(..2)
        .filter(|digits| digits.bytes().all(|digit| digit.is_ascii_hexdigit()))
        .and_then(|digits| u8::from_str_radix(digits, 16).ok())
        .ok_or_else(|| {
            "a `%` must be followed by two hex digits (a literal one is written `%25`)".to_owned()
        })
}

impl<'a> Capture<'a> {
    /// axum's `{name}` or `{*name}`, from after the brace to the end of the segment.
    fn braced(text: &'a str) -> Result<Self, String> {
        let (inner, after) = match text.split_once('}') {
            Some(parts) => parts,
            // A regular expression with a slash in it is cut off here: name that, not its brace.
            None if text.contains(':') => (text, ""),
            None => {
                return Err("a `{` is never closed (a literal brace is written `{{`)".to_owned());
            }
        };
        let (name, rest) = inner
            .strip_prefix('*')
            .map_or((inner, false), |name| (name, true));
        check_name(name)?;
        if after.is_empty() {
            Ok(Self { name, rest })
        } else if after.contains(['{', ':', '*', '<']) {
            Err("a segment can have one capture only".to_owned())
        } else {
            Err(text_after(name, after))
        }
    }

    /// httprouter's `:name` or `*name`, from after its first character to the end of the segment.
    fn bare(name: &'a str, rest: bool) -> Result<Self, String> {
        if let Some(end) = name.find(['{', ':', '*', '<']) {
            return Err(if end == 0 {
                "a capture has no name: write `{name}` or `:name`".to_owned()
            } else {
                "a segment can have one capture only".to_owned()
            });
        }
        check_name(name)?;
        match name.split_once('.') {
            Some((name, after)) => Err(text_after(name, &format!(".{after}"))),
            None => Ok(Self { name, rest }),
        }
    }

    /// Flask's `<name>` or `<type:name>`, which is never right: what to write in its place.
    fn angled(before: &str, after: &str) -> String {
        let inner = after.split_once('>').map_or("", |(inner, _)| inner);
        let (kind, name) = inner.rsplit_once(':').unwrap_or(("", inner));
        if check_name(name).is_err() {
            "`<` cannot stand raw in a path (a literal one is written `%3C`)".to_owned()
        } else if kind == "path" {
            format!("`<{inner}>` is no capture: write `/{before}{{*{name}}}`")
        } else {
            format!("`<{inner}>` is no capture: write `/{before}{{{name}}}` or `/{before}:{name}`")
        }
    }
}

fn text_after(name: &str, after: &str) -> String {
    format!(
        "a capture must end its segment: write `{{{name}}}` and take `{after}` off in the handler"
    )
}

fn check_name(name: &str) -> Result<(), String> {
    let allowed =
        |character: char| character.is_alphanumeric() || matches!(character, '_' | '-' | '.');
    if name.is_empty() {
        return Err(
            "a capture has no name: write `{name}` or `:name`, for the rest of a path `{*name}`"
                .to_owned(),
        );
    }
    match name.split_once(':') {
        Some((name, "path")) => {
            return Err(format!(
                "a capture has no type: write `{{*{name}}}` for the rest of the path"
            ));
        }
        Some((name, _)) => {
            return Err(format!(
                "a capture has no type and no expression: write `{{{name}}}` and check the value in the handler"
            ));
        }
        None => {}
    }
    if let Some(name) = name.strip_suffix('?') {
        return Err(format!(
            "a capture cannot be optional: write one pattern with `{{{name}}}` and one without"
        ));
    }
    if let Some(found) = name.chars().find(|&character| !allowed(character)) {
        return Err(format!(
            "the name of a capture has letters, digits, `_`, `-` and `.` only, found `{found}`"
        ));
    }
    if name.starts_with(AXUM_PRIVATE) {
        return Err(format!(
            "names that begin with `{AXUM_PRIVATE}` belong to axum"
        ));
    }
    Ok(())
}

// What patterns become otherwise is in the vectors.
#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_too_long_or_holds_a_nul_is_refused() {
        let too_long = format!("/{}", "a".repeat(MAX_LENGTH));
        for (text, expected) in [
            (&*too_long, "8193 bytes, more than 8192"),
            ("/a\0", "control character '\\0'"),
        ] {
            match Pattern::parse(text) {
                Ok(pattern) => panic!("{text} was taken as {pattern:?}"),
                Err(problem) => assert!(problem.contains(expected), "{text}: {problem}"),
            }
        }
    }
}
