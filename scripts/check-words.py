"""Checks public text for the phrases of `words.toml`, and the pages in `docs` for long sentences. Run by `scripts/check-words`.

Text is: pages, `make help`, rustdoc, string literals of the crates, docstrings of what Python code can import. Code in
backticks and code blocks is not text. Prints each match as `file:line: reason` and exits with 1.
No linter from a registry fits: vale's wheel downloads its program from elsewhere, codespell and typos know single words only.
"""

import ast
import re
import sys
import tomllib
from pathlib import Path

PAGES = ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "docs/*.md", "python/README.md", "examples/README.md"]
PAGES += ["crates/*/README.md", "crates/*/src/**/*.html"]
LONGEST = 35  # words of a sentence in `docs`
WORDS = tomllib.loads(Path(__file__).with_name("words.toml").read_text(encoding="utf-8"))["words"]
RULES = [(re.compile(rf"\b(?:{word['pattern']})\b".replace(" ", r"\s+"), re.IGNORECASE), word["instead"]) for word in WORDS]

NOT_TEXT = re.compile(
    r"^[ \t]*(```+|~~~+).*?^[ \t]*\1[ \t]*$|(`+)(?!`)[^\n]+?(?:\n[^\n]+?)?(?<!`)\2(?!`)|\]\([^)\s]*\)|https?://\S+",
    re.DOTALL | re.MULTILINE,
)
RUST = re.compile(
    r"""
      //[/!](?!/)(?P<doc>[^\n]*)
    | //[^\n]* | /\*.*?\*/
    | (?<!\w)(?:b|c)?r(?P<hashes>\#*)"(?P<raw>.*?)"(?P=hashes)
    | (?<!\w)(?:b|c)?"(?P<string>(?:\\.|[^"\\])*)"
    | (?<!\w)b?'(?:\\[^\n']*'|\\''|[^'\\\n]')
    """,
    re.DOTALL | re.VERBOSE,
)
PUBLIC = re.compile(r"\n(?:\s*(?://[/!]|#!?\[)[^\n]*\n)*\s*pub\s")  # what follows a line about a public item


def keep(text, spans, filler=" "):
    """Blanks all but `spans`, and replaces code by backticks, so that lines stay where they are."""
    kept = list(re.sub(r"[^\n]", filler, text))
    for start, end in spans:
        kept[start:end] = text[start:end]
    return NOT_TEXT.sub(lambda found: re.sub(r"[^\n]", "`", found[0]), "".join(kept))


def rust(path):
    """The documentation and the strings of a file, without its tests. Outside of `httpy`, that of public items only."""
    text = path.read_text(encoding="utf-8").partition("#[cfg(test)]\nmod tests {")[0]
    every = path.is_relative_to("crates/httpy/src")
    found = list(RUST.finditer(text))
    yield keep(text, [match.span("doc") for match in found if match["doc"] and (every or PUBLIC.match(text, match.end()))])
    strings = keep(text, [match.span(name) for match in found for name in ("raw", "string") if match[name]], "`")
    yield strings.replace("\\n", "  ").replace("\\\n", " \n")


def python(package):
    """The docstrings of public modules, and of what these import from private ones."""
    trees = {path.stem: ast.parse(path.read_text(encoding="utf-8")) for path in package.glob("*.py")}
    names = {module: None for module in trees if module == "__init__" or not module.startswith("_")}
    for node in [node for module in list(names) for node in ast.walk(trees[module]) if isinstance(node, ast.ImportFrom)]:
        module = (node.module or "").removeprefix(f"{package.name}.")
        if module in trees and names.get(module, ()) is not None:
            names.setdefault(module, set()).update(alias.name for alias in node.names)
    for module, public in names.items():
        path = package / f"{module}.py"
        text = path.read_text(encoding="utf-8")
        starts = [0, *(line.end() for line in re.finditer("\n", text)), len(text)]
        docs = [node.body[0] for node in documented(trees[module], public) if ast.get_docstring(node)]
        yield path, keep(text, [(starts[doc.lineno - 1], starts[doc.end_lineno]) for doc in docs])


def documented(node, public=None):
    if public is None:
        yield node
    for child in node.body:
        if isinstance(child, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            if child.name in public if public is not None else not child.name.startswith("_"):
                yield from documented(child)


def texts():
    for path in sorted(path for page in PAGES for path in Path().glob(page)):
        text = path.read_text(encoding="utf-8")
        yield path, keep(text, [(0, len(text))])
    makefile = Path("Makefile").read_text(encoding="utf-8")
    yield Path("Makefile"), keep(makefile, [match.span(1) for match in re.finditer("## (.*)", makefile)])
    for path in sorted(Path().glob("crates/*/src/**/*.rs")):
        if "tests" not in (*path.parts, path.stem):
            yield from ((path, text) for text in rust(path))
    for path in sorted(Path().glob("crates/*/src/**/*.js")):
        # All but the comments: strings are nested in templates there, and no name looks like a phrase.
        yield path, re.sub("^[ \t]*//.*", "", path.read_text(encoding="utf-8"), flags=re.MULTILINE)
    yield from python(Path("python/httpy_rs"))


def findings():
    for path, text in texts():
        for pattern, instead in RULES:
            for found in pattern.finditer(text):
                yield path, text.count("\n", 0, found.start()) + 1, f"`{' '.join(found[0].split())}`: {instead}"
        if path.parent == Path("docs"):
            yield from long_sentences(path, text)


def long_sentences(path, text):
    start = 0
    for end in re.finditer(r"[.!?:;][\s*)]|\n\s*\n|\n\s*(?:[-*#]|\d+\.) |\||$", text):
        if (count := len(re.findall(r"\w[\w'-]*", text[start : end.start()]))) > LONGEST:
            yield path, text.count("\n", 0, end.start()) + 1, f"a sentence of {count} words: at most {LONGEST}"
        start = end.end()


def main():
    found = sorted(set(findings()))
    for path, line, reason in found:
        print(f"{path}:{line}: {reason}")
    return 1 if found else 0


sys.exit(main())
