"""`scripts/check-words.py` finds phrases in text that is public, and in no other."""

import subprocess
import sys
from pathlib import Path

SCRIPT = Path(__file__).parents[2] / "scripts" / "check-words.py"

FILES = {
    "Makefile": "anew:  # nobody\nrun: ## start anew\n",
    "README.md": "It is told\nof. `anew` It serves `it` on.\n\n```\nanew\n```\n",
    "crates/httpy/src/lib.rs": """//! Nobody.

// Nobody.
fn f() { g("made\\nanew", '"', 1); }

#[cfg(test)]
mod tests {
    /// Nobody.
""",
    "crates/httpy-core/src/lib.rs": "/// Nobody.\nfn f() {}\n\n/// Nobody.\n#[must_use]\npub fn g() {}\n",
    "python/httpy_rs/__init__.py": '"""Nobody."""\nfrom httpy_rs._own import f\n',
    "python/httpy_rs/_own.py": '"""Nobody."""\n\ndef f():\n    """Nobody."""\n\ndef g():\n    """Nobody."""\n',
}


def test_each_match_is_named_with_its_line(tmp_path: Path) -> None:
    for name, text in FILES.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text, encoding="utf-8")
    script = tmp_path / "check-words.py"
    script.write_bytes(SCRIPT.read_bytes())
    script.with_name("words.toml").write_bytes(SCRIPT.with_name("words.toml").read_bytes())
    ended = subprocess.run([sys.executable, script], cwd=tmp_path, capture_output=True, text=True)
    found = [":".join(line.split(":")[:2]) for line in ended.stdout.splitlines()]
    assert found == [
        "Makefile:2",
        "README.md:1",
        "crates/httpy/src/lib.rs:1",
        "crates/httpy/src/lib.rs:4",
        "crates/httpy-core/src/lib.rs:4",
        "python/httpy_rs/__init__.py:1",
        "python/httpy_rs/_own.py:4",
    ], ended.stdout + ended.stderr
    assert ended.returncode == 1
