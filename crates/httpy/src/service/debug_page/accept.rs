//! Whether a client would rather have a page than text, by its `Accept` lines (RFC 9110, 12.5.1).

use std::iter;

use http::HeaderMap;
use http::header::ACCEPT;

/// True for browsers: those who name HTML, and like plain text no better. Who takes anything gets text.
pub(super) fn wants_html(headers: &HeaderMap) -> bool {
    let (mut html, mut text) = (0, 0);
    for line in headers.get_all(ACCEPT) {
        for range in line.to_str().unwrap_or_default().split(',') {
            let mut parts = range.split(';').map(str::trim);
            let kind = parts.next().unwrap_or_default().to_ascii_lowercase();
            let weight = parts
                .find_map(|part| part.strip_prefix("q=").or(part.strip_prefix("Q=")))
                .map_or(1000, weight);
            match kind.as_str() {
                "text/html" | "application/xhtml+xml" => html = html.max(weight),
                "text/plain" => text = text.max(weight),
                _ => {}
            }
        }
    }
    html > 0 && html >= text
}

/// In thousandths; 0 for what is no weight.
fn weight(text: &str) -> u32 {
    let (whole, digits) = text.split_once('.').unwrap_or((text, ""));
    match whole {
        "1" => 1000,
        "0" => digits
            .chars()
            .chain(iter::repeat('0'))
            .take(3)
            .collect::<String>()
            .parse()
            .unwrap_or(0),
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn only_who_names_html_gets_a_page() {
        for (accept, expected) in [
            (
                "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
                true,
            ),
            ("TEXT/HTML", true),
            ("application/json, text/html;q=0.1", true),
            ("*/*", false),
            ("text/*", false),
            ("", false),
            ("text/html;q=0", false),
            ("text/html;q=nonsense", false),
            ("text/plain, text/html;q=0.9", false),
            ("text/html, text/plain", true),
            ("application/json", false),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(ACCEPT, HeaderValue::from_str(accept).unwrap());
            assert_eq!(wants_html(&headers), expected, "{accept}");
        }
        assert!(!wants_html(&HeaderMap::new()));
    }
}
