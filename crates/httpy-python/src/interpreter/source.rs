//! The Python package `httpy_rs`, carried in the program, so that `import httpy_rs` works with nothing installed.
//!
//! Only its texts: `_embed.py` serves them. The folder beside this crate's manifest is a link to the package's own.

macro_rules! files {
    ($($name:literal),+ $(,)?) => {
        &[$(($name, include_str!(concat!("../../httpy_rs/", $name)))),+]
    };
}

/// File name and text of every module of the package.
pub(super) const FILES: &[(&str, &str)] = files![
    "__init__.py",
    "_arguments.py",
    "_body.py",
    "_call.py",
    "_chunk.py",
    "_client.py",
    "_context.py",
    "_contract.py",
    "_deadline.py",
    "_debugger.py",
    "_doctor.py",
    "_embed.py",
    "_end.py",
    "_event_loop.py",
    "_event_stream.py",
    "_events.py",
    "_exception.py",
    "_figures.py",
    "_fork.py",
    "_host.py",
    "_interface/__init__.py",
    "_interface/asgi.py",
    "_interface/exchange.py",
    "_interface/lifespan.py",
    "_interface/message.py",
    "_interface/message_stream.py",
    "_interface/websocket.py",
    "_interface/wsgi.py",
    "_interrupt.py",
    "_load.py",
    "_logging.py",
    "_own.py",
    "_pattern.py",
    "_report.py",
    "_request.py",
    "_response.py",
    "_route.py",
    "_signature.py",
    "_source.py",
    "_sse.py",
    "_stack.py",
    "_threading.py",
    "_trace_context.py",
    "_upload.py",
    "_version.py",
    "testing.py",
    "typing.py",
];

/// The text of `_embed.py`, which is run before anything can be imported.
pub(super) const EMBED: &str = include_str!("../../httpy_rs/_embed.py");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_module_of_the_package_is_carried() {
        let package = concat!(env!("CARGO_MANIFEST_DIR"), "/httpy_rs");
        let modules = |folder: &str| -> Vec<String> {
            std::fs::read_dir(format!("{package}/{folder}"))
                .unwrap()
                .map(|entry| entry.unwrap().path())
                .filter(|path| path.extension().is_some_and(|extension| extension == "py"))
                .map(|path| path.file_name().unwrap().to_str().unwrap().to_owned())
                .map(|name| format!("{folder}{name}"))
                .collect()
        };
        let mut expected = [modules(""), modules("_interface/")].concat();
        // The text that starts a worker process; no module.
        expected.retain(|name| name != "_boot.py");
        expected.sort();
        let carried: Vec<&str> = FILES.iter().map(|(name, _)| *name).collect();
        assert_eq!(carried, expected);
    }
}
