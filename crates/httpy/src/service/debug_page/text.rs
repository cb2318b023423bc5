//! The answer as plain text, for `curl` and everything else that did not ask for a page.

use std::fmt::{self, Write};

use super::CONTRACT;
use super::asked::Asked;
use super::escape::Plain;
use crate::Error;

pub(super) fn page(error: &Error, asked: Option<&Asked>) -> String {
    let mut page = String::new();
    // Writing into a string cannot fail.
    write(&mut page, error, asked).unwrap_or_default();
    page
}

fn write(page: &mut String, error: &Error, asked: Option<&Asked>) -> fmt::Result {
    writeln!(
        page,
        "{}\n\n{}",
        error.kind().status().1,
        Plain(&format!("{error:?}"))
    )?;
    if error.is_contract() {
        writeln!(page, "\nA handler returns")?;
        CONTRACT
            .iter()
            .try_for_each(|(name, what)| writeln!(page, "  {name:<10} {what}"))?;
    }
    let Some(asked) = asked else { return Ok(()) };
    writeln!(
        page,
        "\n{} {} {}",
        Plain(&asked.method),
        Plain(&asked.path),
        asked.version
    )?;
    if let Some(route) = &asked.route {
        writeln!(page, "route {}", Plain(route))?;
    }
    for group in asked.groups.iter().filter(|group| !group.fields.is_empty()) {
        writeln!(page, "\n{}", group.title)?;
        for (name, value) in &group.fields {
            writeln!(page, "  {}: {}", Plain(name), Plain(value))?;
        }
        if group.left_out > 0 {
            writeln!(page, "  and {} more", group.left_out)?;
        }
    }
    if let Some((title, body)) = asked.body() {
        writeln!(page, "\n{title}\n{}", Plain(&body))?;
    }
    Ok(())
}
