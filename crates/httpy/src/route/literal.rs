//! `Literal`: the fixed text of one path segment, and the forms in which a request can spell it.
//!
//! axum compares raw paths, so a byte and its percent-escape are different to it. Which characters mean something in
//! a pattern is decided in `pattern`; here they are literal already.

use percent_encoding::percent_encode_byte;

/// One byte of a literal.
#[derive(Clone, Copy, Debug)]
enum Byte {
    /// ASCII that stands for itself in every form.
    Plain(u8),
    /// Written `%XX` where the form is an encoded one.
    Escaped(u8),
}

/// The fixed text at the start of a path segment.
#[derive(Clone, Debug, Default)]
pub(super) struct Literal {
    bytes: Vec<Byte>,
}

impl Literal {
    /// Whether there is no text yet.
    pub(super) fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Adds a character that was written as it is.
    pub(super) fn push(&mut self, character: char) {
        let mut buffer = [0; 4];
        let plain = is_unreserved(character) || is_reserved(character);
        for &byte in character.encode_utf8(&mut buffer).as_bytes() {
            self.bytes.push(if plain {
                Byte::Plain(byte)
            } else {
                Byte::Escaped(byte)
            });
        }
    }

    /// Adds a byte that was written as a percent-escape. One that needed no escape is the same as without it.
    pub(super) fn push_escape(&mut self, byte: u8) {
        let plain = is_unreserved(char::from(byte));
        self.bytes.push(if plain {
            Byte::Plain(byte)
        } else {
            Byte::Escaped(byte)
        });
    }

    /// Writes the form with upper-case escapes (`caf%C3%A9`), the same for all spellings of one literal.
    pub(super) fn write_upper(&self, path: &mut String) {
        for &byte in &self.bytes {
            match byte {
                Byte::Plain(byte) => path.push(char::from(byte)),
                Byte::Escaped(byte) => path.push_str(percent_encode_byte(byte)),
            }
        }
    }

    /// Writes the form with lower-case escapes (`caf%c3%a9`).
    pub(super) fn write_lower(&self, path: &mut String) {
        for &byte in &self.bytes {
            match byte {
                Byte::Plain(byte) => path.push(char::from(byte)),
                Byte::Escaped(byte) => {
                    path.extend(
                        percent_encode_byte(byte)
                            .chars()
                            .map(|digit| digit.to_ascii_lowercase()),
                    );
                }
            }
        }
    }

    /// Writes the form of a client that escapes only what it must (`café`), with axum's `{{` and `}}` for braces.
    pub(super) fn write_raw(&self, path: &mut String) {
        let mut run = Vec::new();
        for (index, &byte) in self.bytes.iter().enumerate() {
            if let Byte::Escaped(byte @ 0x80..) = byte {
                run.push(byte);
                continue;
            }
            push_run(path, &mut run);
            match byte {
                Byte::Escaped(b'{') => path.push_str("{{"),
                Byte::Escaped(b'}') => path.push_str("}}"),
                // axum panics on a segment that begins with one of these.
                Byte::Escaped(byte @ (b':' | b'*')) if index == 0 => {
                    path.push_str(percent_encode_byte(byte));
                }
                Byte::Plain(byte)
                | Byte::Escaped(byte @ (b':' | b'*' | b'"' | b'[' | b']' | b'\\' | b'^' | b'|')) => {
                    path.push(char::from(byte));
                }
                Byte::Escaped(byte) => path.push_str(percent_encode_byte(byte)),
            }
        }
        push_run(path, &mut run);
    }
}

/// Moves a run of bytes above ASCII into `path`: as text where it is UTF-8, else as escapes, since no request can have
/// it raw.
fn push_run(path: &mut String, run: &mut Vec<u8>) {
    for chunk in run.utf8_chunks() {
        path.push_str(chunk.valid());
        for &byte in chunk.invalid() {
            path.push_str(percent_encode_byte(byte));
        }
    }
    run.clear();
}

/// Characters whose escape means the same as the character (RFC 3986, section 2.3).
fn is_unreserved(character: char) -> bool {
    character.is_ascii_alphanumeric() || matches!(character, '-' | '.' | '_' | '~')
}

/// Characters that may stand raw in a path, and whose escape is a different text (RFC 3986, `pchar`).
fn is_reserved(character: char) -> bool {
    matches!(
        character,
        '!' | '$' | '&' | '\'' | '(' | ')' | '*' | '+' | ',' | ';' | '=' | ':' | '@'
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn forms(literal: &Literal) -> [String; 3] {
        let mut forms = [String::new(), String::new(), String::new()];
        literal.write_upper(&mut forms[0]);
        literal.write_lower(&mut forms[1]);
        literal.write_raw(&mut forms[2]);
        forms
    }

    #[test]
    fn raw_characters_have_the_forms_that_clients_send() {
        for (text, upper, lower, raw) in [
            ("aZ09-._~", "aZ09-._~", "aZ09-._~", "aZ09-._~"),
            ("a@b,c=d", "a@b,c=d", "a@b,c=d", "a@b,c=d"),
            ("café", "caf%C3%A9", "caf%c3%a9", "café"),
            ("a b", "a%20b", "a%20b", "a%20b"),
            ("a`", "a%60", "a%60", "a%60"),
            ("{\"}", "%7B%22%7D", "%7b%22%7d", "{{\"}}"),
            ("日", "%E6%97%A5", "%e6%97%a5", "日"),
        ] {
            let mut literal = Literal::default();
            for character in text.chars() {
                literal.push(character);
            }
            assert_eq!(forms(&literal), [upper, lower, raw], "{text}");
        }
    }

    #[test]
    fn escaped_bytes_stay_escaped_where_the_raw_byte_means_something_else() {
        for (bytes, upper, lower, raw) in [
            (&b"A~"[..], "A~", "A~", "A~"),
            (b"/", "%2F", "%2f", "%2F"),
            (b"@", "%40", "%40", "%40"),
            (b"?#%", "%3F%23%25", "%3f%23%25", "%3F%23%25"),
            (b"\0\x7f", "%00%7F", "%00%7f", "%00%7F"),
            (b"\xff", "%FF", "%ff", "%FF"),
            (
                b"\xc3\xa9\xff\xc3",
                "%C3%A9%FF%C3",
                "%c3%a9%ff%c3",
                "é%FF%C3",
            ),
            (b"a:*", "a%3A%2A", "a%3a%2a", "a:*"),
            (b":a", "%3Aa", "%3aa", "%3Aa"),
        ] {
            let mut literal = Literal::default();
            for &byte in bytes {
                literal.push_escape(byte);
            }
            assert_eq!(forms(&literal), [upper, lower, raw], "{bytes:?}");
        }
    }
}
