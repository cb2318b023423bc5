//! What came from outside, made harmless: `Html` for a page, `Plain` for a terminal.

use std::fmt::{self, Display, Formatter, Write};

/// Text of a page: no character of it is markup, neither between tags nor in a quoted attribute.
pub(super) struct Html<'a>(pub(super) &'a str);

/// Text for a terminal: no character of it moves the cursor.
pub(super) struct Plain<'a>(pub(super) &'a str);

impl Display for Html<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        for character in self.0.chars() {
            match character {
                '&' => f.write_str("&amp;")?,
                '<' => f.write_str("&lt;")?,
                '>' => f.write_str("&gt;")?,
                '"' => f.write_str("&quot;")?,
                '\'' => f.write_str("&#39;")?,
                character => visible(f, character)?,
            }
        }
        Ok(())
    }
}

impl Display for Plain<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        self.0
            .chars()
            .try_for_each(|character| visible(f, character))
    }
}

/// Control characters are spelt out, and so is what turns the direction of text around.
fn visible(f: &mut Formatter<'_>, character: char) -> fmt::Result {
    match character {
        '\n' | '\t' => f.write_char(character),
        '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{200e}' | '\u{200f}' => {
            write!(f, "{}", character.escape_unicode())
        }
        character if character.is_control() => write!(f, "{}", character.escape_default()),
        character => f.write_char(character),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_markup() {
        let text = "<script>alert('x' & \"y\")</script>";
        let expected = "&lt;script&gt;alert(&#39;x&#39; &amp; &quot;y&quot;)&lt;/script&gt;";
        assert_eq!(Html(text).to_string(), expected);
    }

    #[test]
    fn nothing_moves_the_cursor_or_turns_the_text_around() {
        assert_eq!(
            Plain("a\x1b[2J\0\u{9b}\u{202e}b\n\tc").to_string(),
            "a\\u{1b}[2J\\u{0}\\u{9b}\\u{202e}b\n\tc"
        );
        assert_eq!(Html("é\r\u{7f}").to_string(), "é\\r\\u{7f}");
    }
}
