"""Nothing gets in that does not belong into a repository."""

import re
from pathlib import Path

import pytest
from checkout import ROOT, files

BYTES_MAX = 600_000
TEXT_SUFFIXES = {".py", ".md", ".yaml", ".yml", ".toml", ".html", ".css", ".mako", ".tpl", ".txt"}
# Written in two parts, so that this file does not find itself.
MERGE_MARK = re.compile(r"^(<{6}<|>{6}>|={6}=)( |$)", re.MULTILINE)
PRIVATE_KEY = re.compile("-----BEGIN [A-Z ]*" + "PRIVATE KEY-----")
TRAILING = re.compile(r"[ \t]+$", re.MULTILINE)

TEXTS = [path for path in files() if path.suffix in TEXT_SUFFIXES]


@pytest.mark.parametrize("path", TEXTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_text_is_clean(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert not MERGE_MARK.search(text), "merge marks"
    assert not PRIVATE_KEY.search(text), "a private key"
    assert not TRAILING.search(text), "blanks at the end of a line"
    assert "\r" not in text, "Windows line ends"
    assert text == "" or text.endswith("\n"), "no newline at the end"
    assert not text.endswith("\n\n"), "empty lines at the end"


def test_no_file_is_large() -> None:
    large = {str(p.relative_to(ROOT)): p.stat().st_size for p in files()}
    assert {name: size for name, size in large.items() if size > BYTES_MAX} == {}
