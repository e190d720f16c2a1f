"""Direct laws over jets, read as partial differential equations: ``u_t = -u*u_x - u_xx``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from discover.symbolic.model import SymbolicModel

__all__ = ["axes_of", "read_jets"]


def read_jets(model: SymbolicModel) -> dict[str, tuple[str, str]]:
    """Return what inputs and targets differentiate, if the law is one for a field.

    Parameters
    ----------
    model : SymbolicModel

    Returns
    -------
    dict of str to (str, str)
        Of every input and target: the quantity and the letters of its derivatives, none
        for the quantity itself. Empty unless the law is direct, all its targets are time
        derivatives ``u_t`` of inputs ``u``, and some input is a derivative such as
        ``u_xx``.

    Examples
    --------
    >>> from discover.libraries import SymbolicLibrary
    >>> from discover.symbolic import SymbolicModel
    >>> table = SymbolicLibrary("u*u_x").fit_names(["u", "u_x"]).terms()
    >>> law = SymbolicModel(table, [[-1.0]], ["u", "u_x"], target_names=["u_t"], kind="direct")
    >>> read_jets(law)
    {'u': ('u', ''), 'u_x': ('u', 'x'), 'u_t': ('u', 't')}
    """
    names = model.table.inputs
    if model.kind != "direct" or not all(name.endswith("_t") for name in model.target_names):
        return {}
    found = {name: _parted(name, names) for name in names}
    found |= {name: (name.removesuffix("_t"), "t") for name in model.target_names}
    components = {found[name][0] for name in model.target_names}
    used = {letters for base, letters in found.values() if letters not in ("", "t")}
    return found if used and components <= set(names) else {}


def _parted(name: str, names: Sequence[str]) -> tuple[str, str]:
    base, _, letters = name.rpartition("_")
    return (base, letters) if base in names and letters.isalpha() else (name, "")


def axes_of(jets: dict[str, tuple[str, str]]) -> tuple[str, ...]:
    """Return the letters of the axes in alphabetical order, without the time."""
    return tuple(sorted({axis for _, letters in jets.values() for axis in letters} - {"t"}))
