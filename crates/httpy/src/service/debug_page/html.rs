//! The page for browsers: one file without scripts and without anything to fetch, for small and large screens, light and
//! dark.

use std::fmt::{self, Write};

use http::StatusCode;
use httpy_core::{Exception, Frame, Link, Relation};

use super::CONTRACT;
use super::asked::Asked;
use super::escape::Html;
use crate::Error;

const STYLE: &str = include_str!("style.css");

pub(super) fn page(error: &Error, status: StatusCode, asked: Option<&Asked>) -> String {
    let mut page = String::with_capacity(16 * 1024);
    // Writing into a string cannot fail.
    write(&mut page, error, status, asked).unwrap_or_default();
    page
}

fn write(
    page: &mut String,
    error: &Error,
    status: StatusCode,
    asked: Option<&Asked>,
) -> fmt::Result {
    let title = error
        .exception()
        .map_or_else(|| error.to_string(), ToString::to_string);
    let short: String = title.chars().take(80).collect();
    write!(
        page,
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n<title>{status} – {}</title>\n\
         <style>\n{STYLE}</style>\n</head>\n<body>\n",
        Html(&short),
        status = status.as_u16(),
    )?;
    head(page, error, status, asked)?;
    page.push_str("<main>\n");
    if error.is_contract() {
        contract(page)?;
    }
    if let Some(exception) = error.exception() {
        traceback(page, exception)?;
    }
    if let Some(asked) = asked {
        request(page, asked)?;
    }
    write!(
        page,
        "</main>\n<footer>httpy {} shows this page because <code>debug</code> is on. Turn it off where others can reach it.\
         </footer>\n</body>\n</html>\n",
        env!("CARGO_PKG_VERSION"),
    )
}

fn head(
    page: &mut String,
    error: &Error,
    status: StatusCode,
    asked: Option<&Asked>,
) -> fmt::Result {
    write!(
        page,
        "<header>\n<p class=\"status\"><strong>{}</strong> {}",
        status.as_u16(),
        status.canonical_reason().unwrap_or_default()
    )?;
    if let Some(asked) = asked {
        write!(
            page,
            " <span class=\"asked\">{} {}</span>",
            Html(&asked.method),
            Html(&asked.path)
        )?;
    }
    page.push_str("</p>\n");
    match error.exception() {
        Some(exception) => {
            writeln!(page, "<h1>{}</h1>", Html(exception.type_name()))?;
            if !exception.message().is_empty() {
                writeln!(
                    page,
                    "<p class=\"message\">{}</p>",
                    Html(exception.message())
                )?;
            }
            if !exception.place().is_empty() {
                writeln!(page, "<p class=\"place\">{}</p>", Html(exception.place()))?;
            }
        }
        None => {
            let kind = if error.is_contract() {
                "Contract failure"
            } else {
                status.canonical_reason().unwrap_or("Failure")
            };
            writeln!(
                page,
                "<h1>{kind}</h1>\n<p class=\"message\">{}</p>",
                Html(&error.to_string())
            )?;
            if let Some(source) = std::error::Error::source(error) {
                writeln!(page, "<p class=\"place\">{}</p>", Html(&source.to_string()))?;
            }
        }
    }
    page.push_str("</header>\n");
    Ok(())
}

fn contract(page: &mut String) -> fmt::Result {
    page.push_str("<section>\n<h2>A handler returns</h2>\n<dl>\n");
    for (name, what) in CONTRACT {
        writeln!(page, "<div><dt>{name}</dt><dd>{}</dd></div>", Html(what))?;
    }
    page.push_str("</dl>\n</section>\n");
    Ok(())
}

fn traceback(page: &mut String, exception: &Exception) -> fmt::Result {
    if exception.chain().iter().any(|link| !link.frames.is_empty()) {
        page.push_str("<section>\n<h2>Traceback <small>most recent call first</small></h2>\n");
        exception
            .chain()
            .iter()
            .try_for_each(|one| link(page, one))?;
        page.push_str("</section>\n");
    }
    writeln!(
        page,
        "<section>\n<details><summary>As Python prints it</summary>\n<pre>{}</pre></details>\n</section>",
        Html(exception.traceback().trim_end())
    )
}

fn link(page: &mut String, link: &Link) -> fmt::Result {
    let relation = match link.relation {
        Relation::Cause => "It was raised from",
        Relation::Context => "It was raised while this was handled",
        _ => "",
    };
    if !relation.is_empty() {
        writeln!(
            page,
            "<h3>{relation} <code>{}</code></h3>",
            Html(&link.title)
        )?;
    }
    // The innermost frame of the app's own code is what one looks for.
    let open = link.frames.iter().rposition(|frame| frame.own);
    for (index, one) in link.frames.iter().enumerate().rev() {
        frame(page, one, open == Some(index))?;
    }
    Ok(())
}

fn frame(page: &mut String, frame: &Frame, open: bool) -> fmt::Result {
    let (folder, file) = frame
        .file
        .rsplit_once('/')
        .map_or(("", frame.file.as_str()), |(folder, file)| (folder, file));
    let slash = if folder.len() < frame.file.len() - file.len() {
        "/"
    } else {
        ""
    };
    writeln!(
        page,
        "<details class=\"frame{}\"{}><summary><b>{}</b> <span class=\"file\"><span>{}{slash}</span>{}:{}</span></summary>",
        if frame.own { " own" } else { "" },
        if open { " open" } else { "" },
        Html(&frame.function),
        Html(folder),
        Html(file),
        frame.line,
    )?;
    if frame.source.is_empty() {
        page.push_str("<p class=\"none\">Its source cannot be read.</p>");
    } else {
        page.push_str("<ol>");
        for (number, line) in (frame.first..).zip(&frame.source) {
            let class = if number == frame.line {
                " class=\"here\""
            } else {
                ""
            };
            write!(
                page,
                "<li{class}><i>{number}</i><code>{}</code></li>",
                Html(line)
            )?;
        }
        page.push_str("</ol>");
    }
    page.push_str("</details>\n");
    Ok(())
}

fn request(page: &mut String, asked: &Asked) -> fmt::Result {
    page.push_str("<section>\n<h2>Request</h2>\n<dl>\n");
    let line = format!("{} {} {}", asked.method, asked.path, asked.version);
    for (name, value) in [("request", Some(&line)), ("route", asked.route.as_ref())] {
        if let Some(value) = value {
            writeln!(page, "<div><dt>{name}</dt><dd>{}</dd></div>", Html(value))?;
        }
    }
    page.push_str("</dl>\n");
    for group in asked.groups.iter().filter(|group| !group.fields.is_empty()) {
        writeln!(page, "<h3>{}</h3>\n<dl>", group.title)?;
        for (name, value) in &group.fields {
            writeln!(
                page,
                "<div><dt>{}</dt><dd>{}</dd></div>",
                Html(name),
                Html(value)
            )?;
        }
        page.push_str("</dl>\n");
        if group.left_out > 0 {
            writeln!(page, "<p class=\"none\">and {} more</p>", group.left_out)?;
        }
    }
    if let Some((title, body)) = asked.body() {
        writeln!(page, "<h3>{title}</h3>\n<pre>{}</pre>", Html(&body))?;
    }
    page.push_str("</section>\n");
    Ok(())
}
