"""Every example in the documentation runs: Python blocks, tests in them, and command lines."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

_ROOT = Path(__file__).parents[1]
_PAGES = sorted([_ROOT / "README.md", *(_ROOT / "docs").rglob("*.md")])
_BLOCK = re.compile(r"^( *)```(python|console)\n(.*?)^\1```", re.MULTILINE | re.DOTALL)


def _blocks(page: Path) -> list[tuple[str, str]]:
    found = []
    for indent, language, text in _BLOCK.findall(page.read_text()):
        lines = [line.removeprefix(indent) for line in text.splitlines()]
        found.append((language, "\n".join(lines) + "\n"))
    return found


_WITH_CODE = [page for page in _PAGES if _blocks(page)]


@pytest.fixture
def workplace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the files that the examples speak of, and the command on the path."""
    (tmp_path / "logs.tar").write_bytes(b"a line of a log\n" * 20_000)
    (tmp_path / "images.bin").write_bytes(bytes(range(256)) * 3073)  # 256 records of the CIFAR-10 kind
    (tmp_path / "numbers.csv").write_text("number,other\n1,1\n-3,2\n3,3\n-7,4\n")
    (tmp_path / "pictures").mkdir()
    for number in range(3):
        Image.new("RGB", (50, 40), (80 * number, 90, 20)).save(tmp_path / f"pictures/{number}.png")
    scripts = str(Path(sys.executable).parent)
    monkeypatch.setenv("PATH", os.pathsep.join([scripts, os.environ["PATH"]]))
    return tmp_path


@pytest.mark.parametrize("page", _WITH_CODE, ids=[str(page.relative_to(_ROOT)) for page in _WITH_CODE])
def test_examples_run(page: Path, workplace: Path) -> None:
    script, tests = "", []
    for language, text in _blocks(page):
        if language == "console":
            commands = [line[2:] for line in text.splitlines() if line.startswith("$ ")]
            assert commands, f"a console block without commands:\n{text}"
            _check(["sh", "-e", "-c", "\n".join(commands)], workplace)
        elif re.search(r"^(def|class) [tT]est", text, re.MULTILINE):
            tests.append(text)
        else:
            script += text
    if script:
        (workplace / "example.py").write_text(script)
        _check([sys.executable, "example.py"], workplace)
    for number, text in enumerate(tests):
        (workplace / f"test_example{number}.py").write_text(text)
    if tests:
        _check([sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"], workplace)


def _check(command: list[str], folder: Path) -> None:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"


@pytest.mark.parametrize("page", _PAGES, ids=[str(page.relative_to(_ROOT)) for page in _PAGES])
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text()):
        assert (page.parent / target).exists(), f"{page.name}: {target}"


def test_readme_shows_the_two_commands_that_ci_runs() -> None:
    readme, ci = (_ROOT / "README.md").read_text(), (_ROOT / ".ci/run").read_text()
    for command in re.findall(r"^    (python3 -m venv .*)$", readme, re.MULTILINE):
        if "test" in command:
            assert command in ci
