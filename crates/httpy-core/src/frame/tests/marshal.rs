//! The frames' values against Python's own `marshal`: a Python process reads what is written here, and writes it again.

use std::env;
use std::io::{Read as _, Write as _};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use proptest::collection::{btree_map, vec};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use super::{Py, tuple, value};
use crate::frame::Writer;

/// Reads values, each behind its length; answers with `marshal`'s bytes of what it is asked for.
const TWIN: &str = r#"
import marshal, struct, sys
read, write = sys.stdin.buffer.read, sys.stdout.buffer.write
while head := read(4):
    question, value = marshal.loads(read(struct.unpack("<I", head)[0]))
    if question == "same":
        answer = value
    elif question == "texts":
        answer = value.decode("utf-8", "surrogateescape"), value.decode("latin-1")
    elif question == "bytes":
        try:
            answer = value.encode("utf-8", "surrogateescape")
        except UnicodeEncodeError as error:
            answer = ord(error.object[error.start]), error.start
    else:
        answer = 1 << value, -(1 << value), (1 << value) - 1
    dumped = marshal.dumps(answer, 2)
    write(struct.pack("<I", len(dumped)) + dumped)
    sys.stdout.flush()
"#;

/// A Python process.
struct Twin {
    child: Child,
    stdin: ChildStdin,
    stdout: ChildStdout,
}

impl Twin {
    fn start() -> Self {
        let python = env::var_os("PYO3_PYTHON").unwrap_or_else(|| "python3".into());
        let mut command = Command::new(python);
        command
            .args(["-I", "-c", TWIN])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let (stdin, stdout) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        Self {
            child,
            stdin,
            stdout,
        }
    }

    /// What Python writes for its answer.
    fn ask(&mut self, question: &str, value: Py) -> Vec<u8> {
        let dumped = tuple![question, value].dump();
        let length = u32::try_from(dumped.len()).unwrap();
        self.stdin
            .write_all(&[&length.to_le_bytes(), &dumped[..]].concat())
            .unwrap();
        let mut length = [0; 4];
        self.stdout.read_exact(&mut length).unwrap();
        let mut answer = vec![0; u32::from_le_bytes(length) as usize];
        self.stdout.read_exact(&mut answer).unwrap();
        answer
    }
}

impl Drop for Twin {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

fn check<S: Strategy>(
    strategy: &S,
    test: impl Fn(&mut Twin, S::Value) -> Result<(), TestCaseError>,
) {
    let twin = std::cell::RefCell::new(Twin::start());
    let mut runner = TestRunner::new(Config {
        failure_persistence: None,
        ..Config::default()
    });
    runner
        .run(strategy, |value| test(&mut twin.borrow_mut(), value))
        .unwrap();
}

/// Text as Python has it, surrogates included.
fn text() -> impl Strategy<Value = Vec<u8>> {
    let character = prop_oneof![
        4 => any::<char>().prop_map(|character| character.to_string().into_bytes()),
        1 => (0xa0..=0xbf_u8, 0x80..=0xbf_u8).prop_map(|(middle, last)| vec![0xed, middle, last]),
        1 => (0xb2..=0xb3_u8, 0x80..=0xbf_u8).prop_map(|(middle, last)| vec![0xed, middle, last]),
    ];
    vec(character, 0..12).prop_map(|characters| characters.concat())
}

pub(super) fn any_value() -> impl Strategy<Value = Py> {
    let leaf = prop_oneof![
        Just(Py::None),
        any::<bool>().prop_map(Py::Bool),
        any::<i64>().prop_map(Py::Int),
        any::<i16>().prop_map(|number| Py::Int(number.into())),
        any::<f64>().prop_map(Py::from),
        vec(any::<u8>(), 0..40).prop_map(Py::Bytes),
        text().prop_map(Py::Str),
    ];
    leaf.prop_recursive(5, 40, 6, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..6).prop_map(Py::Tuple),
            vec(inner.clone(), 0..6).prop_map(Py::List),
            btree_map(text(), inner, 0..6).prop_map(|pairs| {
                Py::Dict(
                    pairs
                        .into_iter()
                        .map(|(key, value)| (Py::Str(key), value))
                        .collect(),
                )
            }),
        ]
    })
}

#[test]
fn python_reads_what_is_written_and_writes_the_same() {
    check(&any_value(), |twin, written| {
        let answer = twin.ask("same", written.clone());
        prop_assert_eq!(&answer, &written.dump());
        prop_assert_eq!(value(&answer), Ok(written));
        Ok(())
    });
}

#[test]
fn bytes_become_the_text_that_python_makes_of_them() {
    let bytes = prop_oneof![vec(any::<u8>(), 0..40), text()];
    check(&bytes, |twin, bytes| {
        let mut texts = Vec::new();
        let mut writer = Writer::new(&mut texts);
        writer.tuple(2);
        writer.text(&bytes);
        writer.latin1(&bytes);
        prop_assert_eq!(twin.ask("texts", Py::bytes(bytes)), texts);
        Ok(())
    });
}

#[test]
fn text_becomes_the_bytes_that_python_makes_of_it() {
    check(&text(), |twin, text| {
        use crate::frame::Text;
        use crate::frame::text::Unencodable;

        let expected = match Text::new(&text).encode() {
            Ok(bytes) => Py::bytes(bytes),
            Err(Unencodable::At { code_point, index }) => {
                tuple![i64::from(code_point), i64::try_from(index).unwrap()]
            }
            Err(Unencodable::Malformed) => return Err(TestCaseError::fail("it is text")),
        };
        prop_assert_eq!(value(&twin.ask("bytes", Py::Str(text))), Ok(expected));
        Ok(())
    });
}

#[test]
fn numbers_of_any_size_are_what_python_has() {
    let mut twin = Twin::start();
    for bits in 0..200_i64 {
        let expected = |number: Option<i128>| {
            let number = number.and_then(|number| i64::try_from(number).ok());
            number.map_or(Py::BigInt, Py::Int)
        };
        let power = u32::try_from(bits)
            .ok()
            .filter(|bits| *bits < 100)
            .map(|bits| 1_i128 << bits);
        let numbers = [
            power,
            power.map(|power| -power),
            power.map(|power| power - 1),
        ]
        .map(expected);
        let answer = twin.ask("power", Py::Int(bits));
        assert_eq!(value(&answer), Ok(Py::Tuple(numbers.to_vec())), "{bits}");
    }
}
