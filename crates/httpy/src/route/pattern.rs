//! `Pattern`: one route's path, in axum's or httprouter's spelling, as the texts that axum is to match.
//!
//! axum compares raw paths, and a client may send `é` as `%C3%A9`, as `%c3%a9` or, against RFC 3986, as it is. So a pattern
//! with such literal parts becomes several texts that differ in nothing else.

use std::fmt::Write as _;

/// Longer patterns are refused: nobody writes them, and matching is linear in their length.
const LONGEST: usize = 8 * 1024;

/// A pattern that axum accepts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Pattern {
    /// In axum's syntax; the first is the canonical one, by which two patterns are compared.
    pub(super) texts: Vec<String>,
}

enum Part {
    Slash,
    /// A byte that stands for itself.
    Literal(u8),
    /// `/` in a literal part, which never equals the separator.
    EncodedSlash,
    Capture(String),
    Rest(String),
}

/// How bytes beyond those that a path holds anyway are written.
#[derive(Clone, Copy)]
enum Spelling {
    Upper,
    Lower,
    /// As themselves, where `http` lets them through.
    Raw,
}

impl Pattern {
    /// Reads a pattern as Python wrote it.
    ///
    /// # Errors
    ///
    /// What is wrong with it, and the right spelling where there is one.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        if !text.starts_with('/') {
            return Err(format!("a pattern begins with a slash: write \"/{text}\""));
        }
        if text.len() > LONGEST {
            return Err(format!("{} bytes are more than the {LONGEST} that a pattern may have", text.len()));
        }
        let mut parts = Vec::new();
        let mut names: Vec<String> = Vec::new();
        let mut segments = text.split('/').skip(1).peekable();
        while let Some(segment) = segments.next() {
            parts.push(Part::Slash);
            let name = read_segment(segment, &mut parts)?;
            let is_rest = matches!(parts.last(), Some(Part::Rest(_)));
            if is_rest && segments.peek().is_some() {
                return Err(format!("a catch-all stands at the end, but more follows \"{segment}\""));
            }
            if let Some(name) = name {
                if names.contains(&name) {
                    return Err(format!("two captures are named \"{name}\""));
                }
                names.push(name);
            }
        }
        let mut texts = Vec::new();
        for spelling in [Spelling::Upper, Spelling::Lower, Spelling::Raw] {
            if let Ok(text) = String::from_utf8(write(&parts, spelling))
                && !texts.contains(&text)
            {
                texts.push(text);
            }
        }
        Ok(Self { texts })
    }
}

/// Adds one segment's parts; the name of its capture.
fn read_segment(segment: &str, parts: &mut Vec<Part>) -> Result<Option<String>, String> {
    if let Some(name) = segment.strip_prefix('<').and_then(|rest| rest.strip_suffix('>')) {
        let name = name.rsplit(':').next().unwrap_or(name);
        return Err(format!("\"{segment}\" is another framework's spelling: write \"{{{name}}}\" or \":{name}\""));
    }
    let first = parts.len();
    let mut rest = segment;
    while let Some(character) = rest.chars().next() {
        let behind = &rest[character.len_utf8()..];
        let (name, after) = match character {
            '{' | '}' if behind.starts_with(character) => {
                parts.push(Part::Literal(character as u8));
                rest = &behind[1..];
                continue;
            }
            '}' => return Err(format!("\"}}\" without \"{{\" in \"{segment}\": a literal one is written \"}}}}\"")),
            '{' => {
                let end = behind.find('}').ok_or_else(|| {
                    format!("\"{{\" without \"}}\" in \"{segment}\": a literal one is written \"{{{{\"")
                })?;
                (&behind[..end], &behind[end + 1..])
            }
            ':' => (behind, ""),
            '*' => (rest, ""),
            _ => {
                rest = read_literal(rest, segment, parts)?;
                continue;
            }
        };
        if !after.is_empty() {
            return Err(format!("\"{after}\" follows a capture in \"{segment}\": a capture reaches to the next slash"));
        }
        return read_capture(name, segment, parts, first).map(Some);
    }
    if let Some(Part::Literal(byte @ (b':' | b'*'))) = parts.get(first) {
        let byte = char::from(*byte);
        return Err(format!("\"{segment}\" begins with a literal \"{byte}\", which axum refuses"));
    }
    Ok(None)
}

fn read_capture(name: &str, segment: &str, parts: &mut Vec<Part>, first: usize) -> Result<String, String> {
    let (name, is_rest) = name.strip_prefix('*').map_or((name, false), |name| (name, true));
    if let Some((name, kind)) = name.split_once(':') {
        return Err(format!("\"{segment}\" asks for \"{kind}\", but captures have no types: write \"{{{name}}}\""));
    }
    if name.is_empty() {
        return Err(format!("a capture without a name in \"{segment}\""));
    }
    if !name.chars().all(|character| character.is_alphanumeric() || matches!(character, '_' | '-')) {
        return Err(format!("\"{name}\" in \"{segment}\" is no name: letters, digits, \"_\" and \"-\" make one"));
    }
    if is_rest && parts.len() > first {
        return Err(format!("a catch-all has its segment to itself, but something stands before it in \"{segment}\""));
    }
    parts.push(if is_rest { Part::Rest(name.to_owned()) } else { Part::Capture(name.to_owned()) });
    Ok(name.to_owned())
}

/// Takes one literal character or one percent-encoded byte; what comes after it.
fn read_literal<'a>(rest: &'a str, segment: &str, parts: &mut Vec<Part>) -> Result<&'a str, String> {
    let bytes = rest.as_bytes();
    if bytes[0] == b'%' {
        let byte = rest
            .get(1..3)
            .filter(|digits| digits.bytes().all(|digit| digit.is_ascii_hexdigit()))
            .and_then(|digits| u8::from_str_radix(digits, 16).ok())
            .ok_or_else(|| {
                format!("\"%\" without two hexadecimal digits in \"{segment}\": a literal one is written \"%25\"")
            })?;
        parts.push(if byte == b'/' { Part::EncodedSlash } else { Part::Literal(byte) });
        return Ok(&rest[3..]);
    }
    let length = rest.chars().next().map_or(1, char::len_utf8);
    let character = &rest[..length];
    match bytes[0] {
        b'?' | b'#' => {
            return Err(format!(
                "\"{character}\" in \"{segment}\" is no part of a path: a literal one is percent-encoded"
            ));
        }
        byte if byte.is_ascii_control() => {
            return Err(format!(
                "a control character in \"{}\": it can only be percent-encoded",
                segment.escape_debug()
            ));
        }
        _ => parts.extend(character.bytes().map(Part::Literal)),
    }
    Ok(&rest[length..])
}

fn write(parts: &[Part], spelling: Spelling) -> Vec<u8> {
    let mut text = Vec::new();
    for part in parts {
        match part {
            Part::Slash => text.push(b'/'),
            Part::EncodedSlash => encode(b'/', spelling, &mut text),
            Part::Capture(name) => text.extend(format!("{{{name}}}").bytes()),
            Part::Rest(name) => text.extend(format!("{{*{name}}}").bytes()),
            Part::Literal(byte) if is_path(*byte) => text.push(*byte),
            Part::Literal(byte @ (b'{' | b'}')) if matches!(spelling, Spelling::Raw) => text.extend([*byte, *byte]),
            Part::Literal(byte) if matches!(spelling, Spelling::Raw) && passes_raw(*byte) => text.push(*byte),
            Part::Literal(byte) => encode(*byte, spelling, &mut text),
        }
    }
    text
}

/// What stands unencoded in a segment (RFC 3986, 3.3: pchar).
fn is_path(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:@".contains(&byte)
}

/// What `http::Uri` lets through unencoded all the same.
fn passes_raw(byte: u8) -> bool {
    byte >= 0x80 || b"\"\\^|".contains(&byte)
}

fn encode(byte: u8, spelling: Spelling, text: &mut Vec<u8>) {
    let mut encoded = String::with_capacity(3);
    // Writing to a string cannot fail.
    let _ = match spelling {
        Spelling::Lower => write!(encoded, "%{byte:02x}"),
        Spelling::Upper | Spelling::Raw => write!(encoded, "%{byte:02X}"),
    };
    text.extend(encoded.bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(pattern: &str) -> Vec<String> {
        Pattern::parse(pattern).unwrap_or_else(|problem| panic!("{pattern}: {problem}")).texts
    }

    #[test]
    fn both_syntaxes_mean_the_same() {
        for (pattern, text) in [
            ("/", "/"),
            ("/a/b/", "/a/b/"),
            ("/{id}", "/{id}"),
            ("/:id", "/{id}"),
            ("/a/:id/b/:other", "/a/{id}/b/{other}"),
            ("/user_:name", "/user_{name}"),
            ("/user_{name}", "/user_{name}"),
            ("/*rest", "/{*rest}"),
            ("/a/{*rest}", "/a/{*rest}"),
            ("/%41bc", "/Abc"),
            ("/a%2Fb", "/a%2Fb"),
        ] {
            assert_eq!(texts(pattern)[0], text, "{pattern}");
        }
    }

    #[test]
    fn literal_parts_are_matched_in_every_spelling() {
        let all = ["/caf%C3%A9/{id}", "/caf%c3%a9/{id}", "/café/{id}"];
        assert_eq!(texts("/café/:id"), all);
        assert_eq!(texts("/caf%c3%A9/{id}"), all);
        assert_eq!(texts("/a b"), ["/a%20b"]);
        assert_eq!(texts("/a{{b"), ["/a%7Bb", "/a%7bb", "/a{{b"]);
        assert_eq!(texts("/%FF"), ["/%FF", "/%ff"], "a byte that is no UTF-8 has no raw form");
    }

    #[test]
    fn wrong_patterns_say_what_is_wrong() {
        for (pattern, problem) in [
            ("", "write \"/\""),
            ("a", "write \"/a\""),
            ("/<id>", "write \"{id}\" or \":id\""),
            ("/<int:id>", "write \"{id}\" or \":id\""),
            ("/{id:int}", "write \"{id}\""),
            ("/{id:[0-9]+}", "write \"{id}\""),
            ("/{id?}", "is no name"),
            ("/{}", "without a name"),
            ("/:", "without a name"),
            ("/*", "without a name"),
            ("/{id}.json", "follows a capture"),
            ("/{a}{b}", "follows a capture"),
            ("/:a:b", "have no types"),
            ("/a*b", "to itself"),
            ("/*rest/more", "at the end"),
            ("/{*rest}/", "at the end"),
            ("/:id/:id", "two captures are named \"id\""),
            ("/{id", "without \"}\""),
            ("/id}", "without \"{\""),
            ("/a%2", "two hexadecimal digits"),
            ("/a%zz", "two hexadecimal digits"),
            ("/a?b=c", "no part of a path"),
            ("/a#b", "no part of a path"),
            ("/a\nb", "control character"),
            ("/%3Aa", "begins with a literal \":\""),
        ] {
            let found = Pattern::parse(pattern).expect_err(pattern);
            assert!(found.contains(problem), "{pattern}: {found}");
        }
        assert!(Pattern::parse(&format!("/{}", "a".repeat(LONGEST))).is_err());
    }
}
