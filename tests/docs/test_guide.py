"""The guide is true: its Python blocks run, and print what the page says they print."""

import ast
import contextlib
import io
import re
import textwrap
import warnings
from pathlib import Path

import pytest

from discover.exceptions import DataWarning, DiscoverError

GUIDE = Path(__file__).parents[2] / "docs" / "guide"
FENCE = re.compile(r"^( *)```(\w*)\n(.*?)^\1```$", re.MULTILINE | re.DOTALL)
NUMBER = re.compile(r"(?<![\w.])[-+]?\d[\d,]*\.?\d*(?:e[-+]?\d+)?")
NEEDS_FILES = {"files"}  # files of the reader's own
SLOW = {"assimilation", "first_ten_minutes", "model_errors", "refine", "scikit_learn"}


def blocks(page):
    """Yield pairs of a Python block and what the page prints below it (None: nothing is shown)."""
    found = list(FENCE.finditer(page))
    for block, after in zip(found, [*found[1:], None], strict=True):
        if block[2] != "python":
            continue
        shown = after is not None and after[2] in ("", "text")
        shown = shown and not page[block.end() : after.start()].strip()
        yield textwrap.dedent(block[3]), textwrap.dedent(after[3]) if shown else None


def run(source, scope):
    """Run a block as a notebook would, and return what is printed."""
    *head, last = ast.parse(source).body
    out = io.StringIO()
    with contextlib.redirect_stdout(out), warnings.catch_warnings():
        warnings.simplefilter("ignore", DataWarning)  # some are shown on purpose
        try:
            exec(compile(ast.Module(head, []), "guide", "exec"), scope)
            value = evaluate(last, scope)
            if value is not None:
                print(repr(value))
        except DiscoverError as error:  # shown on purpose
            print(f"{type(error).__name__}: {error}")
    return out.getvalue()


def evaluate(statement, scope):
    if isinstance(statement, ast.Expr):
        return eval(compile(ast.Expression(statement.value), "guide", "eval"), scope)
    exec(compile(ast.Module([statement], []), "guide", "exec"), scope)
    return None


def agree(printed, shown):
    """Whether two texts agree but for the last digits, which other processors round otherwise."""
    words = [" ".join(NUMBER.sub("#", text).split()) for text in (printed, shown)]
    if words[0] != words[1]:
        return False
    return all(map(close, NUMBER.findall(printed), NUMBER.findall(shown)))


def close(ours, theirs):
    a, b = (float(text.replace(",", "")) for text in (ours, theirs))
    mantissa, _, power = theirs.replace(",", "").partition("e")
    last = 10.0 ** (int(power or 0) - len(mantissa.partition(".")[2]))
    return abs(a - b) <= max(2 * last, 0.01 * abs(b), 1e-9)  # below that they are rounding


PAGES = [
    pytest.param(path.stem, marks=[pytest.mark.slow] * (path.stem in SLOW))
    for path in sorted(GUIDE.glob("*.md"))
    if "```python" in path.read_text("utf-8") and path.stem not in NEEDS_FILES
]


@pytest.mark.parametrize("name", PAGES)
def test_pages_print_what_they_say(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    scope, wrong = {}, []
    for source, shown in blocks((GUIDE / f"{name}.md").read_text("utf-8")):
        printed = run(source, scope)
        if shown is not None and not agree(printed, shown):
            wrong.append(f"{source}\nprints\n{printed}\nand the page says\n{shown}")
    assert not wrong, "\n\n".join(wrong)
