"""Sphinx configuration: pages in MyST, reference from docstrings, notebooks as committed."""

import csv
import importlib
import shutil
import tomllib
from pathlib import Path

from sphinx.application import Sphinx
from sphinx.util import logging

import discover

HERE = Path(__file__).parent
logger = logging.getLogger(__name__)

project = "discover"
author = "The discover developers"
copyright = f"2026, {author}"  # the name Sphinx reads
version = release = discover.__version__

extensions = ["myst_nb", "numpydoc", "sphinx.ext.autodoc", "sphinx.ext.autosummary"]
exclude_patterns = ["_build", "api/_sections.md", "benchmarks/chaos_summary.md", "changes"]
templates_path = ["_templates"]

html_theme = "pydata_sphinx_theme"
html_theme_options = {"secondary_sidebar_items": ["page-toc"], "show_version_warning_banner": False}

# `make notebooks` executes them; the pages show the outputs that were committed
nb_execution_mode = "off"
myst_enable_extensions = ["amsmath", "dollarmath", "substitution"]

autodoc_typehints = "none"  # types and shapes are in the docstrings
autosummary_generate = ["api/_sections.md"]
numpydoc_show_class_members = False
numpydoc_validation_checks = {
    "PR02",  # a documented parameter does not exist
    "PR03",  # parameters in another order than the signature
    "PR10",  # no space before the colon of a parameter
    "RT02",  # the only returned value has a name
    "SS02",  # summary does not start with a capital letter
    "SS06",  # summary is longer than one line
}


def copy_notebooks(source: Path, target: Path) -> None:
    """Bring the notebooks under the pages, with an index; Sphinx reads only below this folder."""
    target.mkdir(exist_ok=True)
    names = sorted(path.name for path in source.glob("*.ipynb"))
    for stale in {path.name for path in target.glob("*.ipynb")} - set(names):
        (target / stale).unlink()
    for name in names:
        shutil.copy2(source / name, target)  # keeps the time, so unchanged pages are not rebuilt
    text = [
        "# Notebooks",
        "",
        "Each asks one question of one data set, and is shown as it was last executed.",
        "",
        "```{toctree}",
        ":maxdepth: 1",
        "",
        *(name.removesuffix(".ipynb") for name in names),
        "```",
        "",
    ]
    (target / "index.md").write_text("\n".join(text), encoding="utf-8")


def importable(name: str) -> bool:
    """Whether a dotted name leads to something in a module that exists."""
    module, _, attribute = name.rpartition(".")
    try:
        getattr(importlib.import_module(module), attribute)
    except (AttributeError, ImportError):
        return False
    return True


def write_api_sections(names: Path, target: Path) -> None:
    """Turn the list of public names into autosummary tables, without what is not built yet."""
    lines, pages = [], set()
    for title, section in tomllib.loads(names.read_text(encoding="utf-8")).items():
        present = [name for name in section if importable(name)]
        for name in set(section) - set(present):
            logger.info("api: %s is listed but cannot be imported; left out", name)
        pages.update(f"{name}.rst" for name in present)
        if present:
            table = [".. autosummary::", "   :toctree: generated", ""]
            table += [f"   {name}" for name in present]
            lines += [f"## {title}", "", "```{eval-rst}", *table, "```", ""]
    target.write_text("\n".join(lines), encoding="utf-8")
    for page in (target.parent / "generated").glob("*.rst"):
        if page.name not in pages:  # a name that was removed or renamed
            page.unlink()


def benchmark_table(path: Path) -> str:
    """Return the recorded bars as a Markdown table."""
    with path.open(newline="", encoding="utf-8") as file:
        header, *rows = ([cell.replace("|", r"\|") for cell in row] for row in csv.reader(file))
    if not rows:
        return "No bar has been recorded."
    table = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(row)} |" for row in table)


def systems_table() -> str:
    """Return the catalogue of published systems as a Markdown table."""
    from discover.dynamics import list_systems, load_system

    lines = [
        "| system | states | terms | period | exponents | what it is | reference |",
        "|---|---|---|---|---|---|---|",
    ]
    for name in list_systems():
        system = load_system(name)
        degree = "" if system.degree is None else f", degree {system.degree}"
        known = [] if system.exponents is None else system.exponents
        exponents = ", ".join(f"{value:.3g}" for value in known) or "not computed"
        lines.append(
            f"| {name} | {system.dimension} | {system.model.complexity}{degree} | "
            f"{system.period:.4g} | {exponents} | {system.description} | {system.reference} |"
        )
    return "\n".join(lines)


def chaos_results(folder: Path) -> str:
    """Return the results on chaotic systems, when they have been measured."""
    summary = folder / "chaos_summary.md"
    if not summary.is_file():
        return "The results have not been recorded yet."
    figure = "![Laws recovered and errors of coefficients, over noise](chaos.svg)"
    return f"{figure}\n\n{summary.read_text(encoding='utf-8')}"


copy_notebooks(HERE.parent / "notebooks", HERE / "notebooks")
write_api_sections(HERE / "api" / "names.toml", HERE / "api" / "_sections.md")
myst_substitutions = {
    "bars": benchmark_table(HERE / "benchmarks" / "bars.csv"),
    "chaos": chaos_results(HERE / "benchmarks"),
    "systems": systems_table(),
}


def setup(app: Sphinx) -> None:
    """Leave out the methods scikit-learn writes for its metadata routing."""
    app.connect(
        "autodoc-skip-member",
        lambda app, what, name, obj, skip, options: (
            skip or (name.startswith("set_") and name.endswith("_request"))
        ),
    )
