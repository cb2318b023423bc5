"""Checks what the crates may name and how the sources are kept, as far as clippy cannot.

Reads code only: comments and the insides of strings do not count. Prints each offence as `file:line: reason` and exits
with 1. Run by `scripts/check-border`.
"""

import re
import sys
from pathlib import Path

PYTHON_SIDE = "crates/httpy-python"
HTTP_NAMES = r"\b(axum|axum_core|tower|tower_http|hyper|hyper_util)\b"
STATICS = "PyO3's statics belong to one interpreter; keep it in a value that is passed by reference"

CLASSES = "Python-side classes are written in Python"

# One object for each request of an application: methods in Python would cost a frame each.
EXCEPT = {(f"{PYTHON_SIDE}/src/event_loop/exchange.rs", CLASSES)}

ONE_WAY = "the engine imports services, and they what is below them: never the other way"

# (folder or glob, pattern, reason)
BANNED = [
    (f"{PYTHON_SIDE}/src", r"\bintern!", STATICS),
    (f"{PYTHON_SIDE}/src", r"\b(PyOnceLock|GILOnceCell)\b", STATICS),
    (f"{PYTHON_SIDE}/src", r"\bstatic\s+(mut\s+)?\w+\s*:[^;=]*\b(Py|Bound|Borrowed)\s*<", STATICS),
    (f"{PYTHON_SIDE}/src", r"\b(create|import)_exception!", STATICS),
    (f"{PYTHON_SIDE}/src", r"#\[\s*(pyo3::)?py(class|module)\b", CLASSES),
    (f"{PYTHON_SIDE}/src", HTTP_NAMES, "the Python side never names the HTTP side"),
    ("crates/httpy-core/src", HTTP_NAMES + r"|\bpyo3\w*", "the border names neither side"),
    ("crates/httpy/src", r"\bpyo3\w*", "the HTTP side never names PyO3"),
    ("crates/httpy/src/service", r"\bcrate::(\{[^}]*)?\b(engine|status_page|PyEngine|PyRoutes|Snapshot)\b", ONE_WAY),
    *(
        (f"crates/httpy/src/{folder}", r"\bcrate::(\{[^}]*)?\b(engine|service|status_page|Py\w+|ResponseBody)\b", ONE_WAY)
        for folder in ("config", "error", "metric", "route", "status")
    ),
    ("tests", r"\bsleep(_until)?\(", "a test waits for an event, it never sleeps"),
    ("crates/*/tests", r"\bsleep(_until)?\(", "a test waits for an event, it never sleeps"),
    ("benches", r"\bunsafe\b", f"unsafe stands in {PYTHON_SIDE} only"),
    ("examples", r"\bunsafe\b", f"unsafe stands in {PYTHON_SIDE} only"),
    ("tests", r"\bunsafe\b", f"unsafe stands in {PYTHON_SIDE} only"),
]

# Crate → names that its Cargo.toml may not have among `[dependencies]`.
BANNED_DEPENDENCIES = {
    "httpy-core": r"^(pyo3|axum|tower|hyper)",
    "httpy-python": r"^(axum|tower|hyper)",
    "httpy": r"^pyo3",
}

LINES_WARNED, LINES_ALLOWED = 480, 560
SOURCE_FOLDERS = ["crates", "examples", "tests", "benches", "python", "scripts"]

# What is not code, in the order in which Rust's own lexer would meet it.
NOT_CODE = re.compile(
    r"""
      //[^\n]*
    | /\*.*?\*/
    | (?<!\w)(?:b|c)?r(?P<hashes>\#*)".*?"(?P=hashes)
    | (?<!\w)(?:b|c)?"(?:\\.|[^"\\])*"
    | (?<!\w)b?'(?:\\[^\n']*'|\\''|[^'\\\n]')
    """,
    re.DOTALL | re.VERBOSE,
)


def code_of(path):
    """The file's text with comments and strings blanked, so that lines and columns stay where they are."""
    return NOT_CODE.sub(lambda found: blank(found[0]), path.read_text(encoding="utf-8"))


def blank(text):
    return re.sub(r"[^\n]", " ", text)


def without_tests(code, path):
    """Blanks each item behind `#[cfg(test)]`; the whole of a file that a `#[cfg(test)] mod` declares elsewhere."""
    if path in test_files(path.parent) or "tests" in path.parts[:-1] or path.name == "tests.rs":
        return blank(code)
    while found := re.search(r"#\[cfg\(test\)\]", code):
        end = found.end()
        opening = re.compile(r"[;{]").search(code, end)
        if opening is None:
            end = len(code)
        elif opening[0] == ";":
            end = opening.end()
        else:
            end = closing_brace(code, opening.start())
        code = code[: found.start()] + blank(code[found.start() : end]) + code[end:]
    return code


def closing_brace(code, start):
    depth = 0
    for position in range(start, len(code)):
        depth += {"{": 1, "}": -1}.get(code[position], 0)
        if depth == 0:
            return position + 1
    return len(code)


def test_files(folder):
    """The files of `folder` that only exist in tests."""
    names = set()
    for path in folder.glob("*.rs"):
        names.update(re.findall(r"#\[cfg\(test\)\]\s*(?:#\[[^\]]*\]\s*)*(?:pub(?:\([^)]*\))?\s+)?mod\s+(\w+)\s*;", code_of(path)))
    return {folder / f"{name}.rs" for name in names}


def rust_files(folder):
    return sorted(path for path in Path().glob(f"{folder}/**/*.rs") if "target" not in path.parts)


def matches(pattern, code, path, reason):
    for found in re.finditer(pattern, code, re.MULTILINE):
        line = code.count("\n", 0, found.start()) + 1
        yield f"{path}:{line}: `{' '.join(found[0].split())}`: {reason}"


def banned_names():
    for folder, pattern, reason in BANNED:
        for path in rust_files(folder):
            if (str(path), reason) not in EXCEPT:
                yield from matches(pattern, code_of(path), path, reason)


def crate_rules():
    for manifest in sorted(Path("crates").glob("*/Cargo.toml")):
        crate = manifest.parent
        for path in rust_files(crate / "src"):
            code = code_of(path)
            if str(crate) != PYTHON_SIDE:
                yield from matches(r"\bunsafe\b", code, path, f"unsafe stands in {PYTHON_SIDE} only")
            yield from matches(
                r"\.(unwrap|expect)\(",
                without_tests(code, path),
                path,
                "what comes from a client or from Python is hostile: handle it",
            )
        library = crate / "src" / "lib.rs"
        if str(crate) != PYTHON_SIDE and "#![forbid(unsafe_code)]" not in code_of(library):
            yield f"{library}:1: lacks #![forbid(unsafe_code)]"
        yield from banned_dependencies(manifest)


def banned_dependencies(manifest):
    pattern = BANNED_DEPENDENCIES.get(manifest.parent.name)
    section = ""
    for number, line in enumerate(manifest.read_text(encoding="utf-8").splitlines(), 1):
        if line.startswith("["):
            section = line.strip()
        elif pattern and section == "[dependencies]" and re.match(pattern, line):
            yield f"{manifest}:{number}: {manifest.parent.name} may not depend on `{line.split('=')[0].strip()}`"


def file_lengths():
    for folder in SOURCE_FOLDERS:
        for path in sorted(Path(folder).rglob("*")):
            if path.suffix not in {".rs", ".py"} or "target" in path.parts or path.is_symlink():
                continue
            lines = path.read_text(encoding="utf-8").count("\n")
            if lines > LINES_ALLOWED:
                yield f"{path}:{lines}: {lines} lines, at most {LINES_ALLOWED}: split it"
            elif lines > LINES_WARNED:
                print(f"{path}:{lines}: warning: {lines} lines, better at most {LINES_WARNED}", file=sys.stderr)


def main():
    offences = [*banned_names(), *crate_rules(), *file_lengths()]
    if not rust_files("crates"):
        offences.append("crates: no Rust file found: run this from the repository's root")
    for offence in offences:
        print(offence)
    return 1 if offences else 0


sys.exit(main())
