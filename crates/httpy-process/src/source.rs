//! The Python package `httpy_rs`, carried in the program for the workers, which need nothing installed.
//!
//! Only its texts: a worker gets them with its first frame. The folder beside this crate's manifest is a link to the
//! package's own.

macro_rules! files {
    ($($name:literal),+ $(,)?) => {
        &[$(($name, include_str!(concat!("../httpy_rs/", $name)))),+]
    };
}

/// File name and text of every module of the package.
pub(crate) const FILES: &[(&str, &str)] = files![
    "__init__.py",
    "_arguments.py",
    "_body.py",
    "_call.py",
    "_chunk.py",
    "_client.py",
    "_contract.py",
    "_deadline.py",
    "_doctor.py",
    "_embed.py",
    "_event_loop.py",
    "_event_stream.py",
    "_exception.py",
    "_figures.py",
    "_load.py",
    "_logging.py",
    "_pattern.py",
    "_request.py",
    "_response.py",
    "_signature.py",
    "_source.py",
    "_sse.py",
    "_stack.py",
    "_trace_context.py",
    "_upload.py",
    "_version.py",
    "_worker/__init__.py",
    "_worker/async_lane.py",
    "_worker/async_stream.py",
    "_worker/call.py",
    "_worker/connection.py",
    "_worker/control.py",
    "_worker/event_loop.py",
    "_worker/fork.py",
    "_worker/frame.py",
    "_worker/inlet.py",
    "_worker/interruption.py",
    "_worker/life.py",
    "_worker/log.py",
    "_worker/main.py",
    "_worker/mark.py",
    "_worker/outlet.py",
    "_worker/reply.py",
    "_worker/seat.py",
    "_worker/stream.py",
    "_worker/sync_lane.py",
    "_worker/target.py",
    "_worker/task.py",
    "_worker/upload.py",
    "_worker/worker.py",
    "testing.py",
    "typing.py",
];

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn names(folder: &Path, prefix: &str, into: &mut Vec<String>) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = format!("{prefix}{}", path.file_name().unwrap().to_str().unwrap());
            if path.is_dir() {
                names(&path, &format!("{name}/"), into);
            } else if path.extension().is_some_and(|extension| extension == "py") {
                into.push(name);
            }
        }
    }

    #[test]
    fn every_module_of_the_package_is_carried() {
        let mut expected = Vec::new();
        names(&Path::new(env!("CARGO_MANIFEST_DIR")).join("httpy_rs"), "", &mut expected);
        expected.sort();
        let carried: Vec<&str> = FILES.iter().map(|(name, _)| *name).collect();
        assert_eq!(carried, expected);
    }
}
