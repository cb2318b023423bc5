//! What went wrong, from a frame: exceptions as `httpy_rs._exception` and `httpy_rs._source` describe them, and uploads that
//! broke off.

use super::{FrameError, Parts};
use crate::{Exception, Frame, Link, Relation, UploadFault};

/// An exception: type name, message, traceback, place, and its chain.
///
/// # Errors
///
/// When `parts` are something else.
pub fn exception(mut parts: Parts<'_>) -> Result<Exception, FrameError> {
    let mut text = |expected| parts.str(expected).map(str::to_owned);
    let (type_name, message) = (
        text("an exception's type")?,
        text("an exception's message")?,
    );
    let (traceback, place) = (
        text("an exception's traceback")?,
        text("an exception's place")?,
    );
    let mut links = parts.items("an exception's chain")?;
    parts.end()?;
    let exception = Exception::new(type_name, message, traceback, place);
    if links.left() == 0 {
        return Ok(exception);
    }
    let mut chain = Vec::new();
    while links.left() > 0 {
        chain.push(link(links.parts("a link of a chain")?)?);
    }
    Ok(exception.with_chain(chain))
}

fn link(mut parts: Parts<'_>) -> Result<Link, FrameError> {
    let relation = match parts.str("a link's relation")? {
        "cause" => Relation::Cause,
        "context" => Relation::Context,
        _ => Relation::Raised,
    };
    let title = parts.str("a link's title")?.to_owned();
    let mut given = parts.items("a link's frames")?;
    parts.end()?;
    let mut frames = Vec::new();
    while given.left() > 0 {
        frames.push(frame(given.parts("a frame of a link")?)?);
    }
    Ok(Link::new(relation, title, frames))
}

fn frame(mut parts: Parts<'_>) -> Result<Frame, FrameError> {
    let file = parts.str("a file's name")?.to_owned();
    let line = line_number(&mut parts)?;
    let function = parts.str("a function's name")?.to_owned();
    let own = parts.bool("whether a frame is the app's own")?;
    let first = line_number(&mut parts)?;
    let mut lines = parts.items("source lines")?;
    parts.end()?;
    let mut source = Vec::new();
    while lines.left() > 0 {
        source.push(lines.str("a source line")?.to_owned());
    }
    Ok(Frame::new(file, line, function, own).with_source(first, source))
}

fn line_number(parts: &mut Parts<'_>) -> Result<u32, FrameError> {
    parts
        .count("a line's number")
        .map(|number| u32::try_from(number).unwrap_or(u32::MAX))
}

/// Why a request's body broke off: the status, and the words.
///
/// # Errors
///
/// When `parts` are something else.
pub fn upload_fault(mut parts: Parts<'_>) -> Result<UploadFault, FrameError> {
    let (at, status) = (parts.at(), parts.count("a status")?);
    let status = u16::try_from(status)
        .ok()
        .filter(|status| (400..600).contains(status));
    let status =
        status.ok_or_else(|| FrameError::new("another number", at, "a status from 400 to 599"))?;
    let text = parts.str("why a body broke off")?.to_owned();
    parts.end()?;
    Ok(UploadFault { status, text })
}
