"""Files of named arrays: NumPy's npz and npy, MATLAB's mat (5 and 7.3)."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import zipfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from discover.observations.readers.files import file_error, guarded
from discover.observations.readers.source import Block, Header, Source

__all__ = ["ArraySource", "open_hdf5_mat", "open_mat", "open_npy", "open_npz", "refuse_large"]

_MOST_COLUMNS = 2_000
_DEEPEST = 3  # structs in structs
_MOST_ENTRIES = 10_000


class ArraySource(Source):
    """Arrays of one length, side by side.

    Parameters
    ----------
    path : Path
    arrays : mapping of str to ndarray
        Vectors are columns; matrices with a row per sample are several, numbered from 0.
        Arrays of other lengths than most are left out.
    units : mapping of str to str, optional
    clock : str, optional
        Which array is the time, where the file says so.
    """

    def __init__(
        self,
        path: Path,
        arrays: Mapping[str, NDArray[Any]],
        units: Mapping[str, str] | None = None,
        clock: str | None = None,
    ) -> None:
        self.path, self.headers, self.notes = path, [], []
        self.columns: list[NDArray[Any]] = []
        usable = {name: _tidy(array) for name, array in arrays.items()}
        strange = [name for name, array in usable.items() if array is None]
        tidy = {name: array for name, array in usable.items() if array is not None}
        length = _length(tidy, clock)
        for name, array in tidy.items():
            if length not in array.shape or length < 2:
                strange.append(name)
                continue
            if name == clock and array.ndim == 1:
                self.clock = len(self.columns)
            self._add(name, array if array.shape[0] == length else array.T, (units or {}).get(name))
        if not self.columns:
            held = ", ".join(list(arrays)[:10]) or "nothing"
            raise file_error(path, f"it holds no columns of numbers; it holds {held}")
        if strange:
            self.notes.append(f"left out, of another kind or length: {', '.join(strange[:10])}")

    def _add(self, name: str, array: NDArray[Any], unit: str | None) -> None:
        parts = [array] if array.ndim == 1 else list(array.T)
        if len(self.columns) + len(parts) > _MOST_COLUMNS:
            raise file_error(self.path, f"it holds more than {_MOST_COLUMNS} columns")
        for k, part in enumerate(parts):
            label = name if len(parts) == 1 else f"{name}{k}"
            header = Header(label, part.dtype.kind in "fMm", unit)
            header.example = "" if header.is_number else str(part[0])
            self.headers.append(header)
            self.columns.append(part)

    def blocks(self, columns: Sequence[int], rows_per_block: int | None) -> Iterator[Block]:
        """Yield columns as arrays; see :class:`Source`."""
        length = len(self.columns[0])
        step = rows_per_block or length
        for start in range(0, length, step):
            yield {j: self.columns[j][start : start + step] for j in columns}


def _tidy(array: Any) -> NDArray[Any] | None:
    """Return an array of numbers, dates or words as one or two axes; None for anything else."""
    array = np.asarray(array)
    if array.dtype.kind in "iub":
        array = array.astype(np.float64)
    if array.dtype.kind == "f":
        array = array.astype(np.float64)
    elif array.dtype.kind in "US":
        array = array.astype(object)
    elif array.dtype.kind not in "Mm":
        return None
    if array.ndim == 2 and 1 in array.shape:
        array = array.reshape(-1)
    return array if array.ndim in (1, 2) and array.size else None


def _length(arrays: Mapping[str, NDArray[Any]], clock: str | None) -> int:
    """Return the number of samples: that of the clock, else the one most arrays share."""
    times = [array for name, array in arrays.items() if name == clock]
    times += [array for name, array in arrays.items() if name.lower() in ("t", "time", "times")]
    if times and times[0].ndim == 1:
        return len(times[0])
    counts = Counter(array.shape[0] for array in arrays.values())
    return max(counts, key=lambda length: (counts[length], length), default=0)


def refuse_large(path: Path, size: int) -> None:
    """Raise DataError if arrays would take more than half of the memory of this machine."""
    try:
        limit = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2
    except (AttributeError, ValueError, OSError):  # not every system tells
        limit = 8 << 30
    if size > limit:
        what = (
            f"it declares {size / 1e9:.3g} GB of numbers, and half the memory is {limit / 1e9:.3g}"
        )
        raise file_error(path, what, "Convert it to Parquet or CSV, which are read piece by piece.")


# -- NumPy -----------------------------------------------------------------------------


def open_npy(path: Path) -> ArraySource:
    """Open one NumPy array: a column, or a matrix with a row per sample."""

    def read() -> dict[str, NDArray[Any]]:
        with open(path, "rb") as file:
            return {"x": _npy(path, file, os.path.getsize(path))}

    return ArraySource(path, guarded(path, "a NumPy array", read))


def open_npz(path: Path) -> ArraySource:
    """Open NumPy's zip of arrays; nothing is unpickled."""
    return ArraySource(path, guarded(path, "a NumPy archive", lambda: _npz(path, path)))


def _npz(archived: Path, path: Path) -> dict[str, NDArray[Any]]:
    """Read an archive; `path` is the file that messages name."""
    arrays = {}
    with zipfile.ZipFile(archived) as archive:
        members = [info for info in archive.infolist() if info.filename.endswith(".npy")]
        if not members:
            names = archive.namelist()
            what = "an Excel workbook; save it as CSV" if "xl/workbook.xml" in names else "a zip"
            raise file_error(path, f"this is {what}, not an archive of NumPy arrays")
        if len(members) > _MOST_ENTRIES:
            raise file_error(path, f"it holds {len(members)} arrays, more than {_MOST_ENTRIES}")
        refuse_large(path, sum(info.file_size for info in members))
        for info in members:
            with archive.open(info) as file:
                arrays[info.filename.removesuffix(".npy")] = _npy(path, file, info.file_size)
    return arrays


def _npy(path: Path, file: Any, size: int) -> NDArray[Any]:
    """Read one array whose header has been compared with what is there."""
    from numpy.lib import format as npy

    version = npy.read_magic(file)
    readers = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}
    if version not in readers:
        raise file_error(path, f"version {version} of NumPy's format is not read")
    shape, fortran, dtype = readers[version](file)
    if dtype.hasobject:
        what = "it holds pickled objects; loading those may run any program, so none is loaded"
        raise file_error(path, what, "Save plain arrays of numbers.")
    count = int(np.prod([int(n) for n in shape], dtype=object)) if shape else 1
    if count < 0 or count * dtype.itemsize > size:
        raise file_error(path, f"an array of shape {shape} is declared in {size} bytes")
    content = file.read(count * dtype.itemsize)
    if len(content) < count * dtype.itemsize:
        raise file_error(
            path, f"it is cut short: an array of shape {shape} has {len(content)} bytes"
        )
    flat = np.frombuffer(content, dtype=dtype, count=count)
    return flat.reshape(shape, order="F" if fortran else "C")


# -- MATLAB ----------------------------------------------------------------------------


def open_mat(path: Path) -> ArraySource:
    """Open a MATLAB file of version 5 to 7; fields of structs count as arrays."""
    return ArraySource(path, guarded(path, "a MATLAB file", lambda: _mat(path)))


def _mat(path: Path) -> dict[str, NDArray[Any]]:
    """Read in a process of its own: SciPy's compiled reader can crash on a broken file."""
    code = "import sys; from discover.observations.readers import arrays; arrays.convert_mat()"
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "arrays.npz"
        command = [sys.executable, "-c", code, os.path.abspath(path), str(target)]
        variables = {
            **os.environ,
            "PYTHONPATH": os.pathsep.join(p or os.getcwd() for p in sys.path),
        }
        done = subprocess.run(command, capture_output=True, text=True, check=False, env=variables)
        if done.returncode:
            lines = done.stderr.strip().splitlines() if done.returncode == 1 else []
            raise ValueError(lines[-1] if lines else "the reader crashed; the file is damaged")
        return _npz(target, path)


def convert_mat() -> None:
    """Turn the MATLAB file of the command line into an npz file, for `open_mat`."""
    from scipy.io import loadmat, whosmat

    path, target = map(Path, sys.argv[1:])
    held = whosmat(path)
    refuse_large(path, sum(8 * int(np.prod(shape, dtype=object)) for _, shape, _ in held))
    content = loadmat(path, struct_as_record=False, squeeze_me=False)
    arrays: dict[str, NDArray[Any]] = {}
    for name, value in content.items():
        if not name.startswith("__"):
            _flatten(name, value, arrays, _DEEPEST)
    plain: dict[str, Any] = {k: v for k, v in arrays.items() if not v.dtype.hasobject}
    if not plain:
        raise ValueError("it holds no arrays of numbers")
    np.savez(target, **plain)


def _flatten(name: str, value: Any, arrays: dict[str, NDArray[Any]], depth: int) -> None:
    """Add an array, or the fields of a struct as ``struct_field``."""
    if isinstance(value, np.ndarray) and value.dtype == object and value.size == 1:
        value = value.flat[0]
    fields = getattr(value, "_fieldnames", None)
    if fields is None or not depth:
        arrays[name] = np.asarray(value) if isinstance(value, np.ndarray) else np.empty(0)
        return
    for field in list(fields)[:_MOST_ENTRIES]:
        _flatten(f"{name}_{field}", getattr(value, field), arrays, depth - 1)


def open_hdf5_mat(path: Path) -> ArraySource:
    """Open a MATLAB file of version 7.3, which is HDF5 with axes in reverse."""
    return ArraySource(path, guarded(path, "an HDF5 file", lambda: _hdf5(path)))


def _hdf5(path: Path) -> dict[str, NDArray[Any]]:
    import h5py

    found: dict[str, Any] = {}

    def visit(name: str, item: Any) -> None:
        if (
            isinstance(item, h5py.Dataset)
            and not name.startswith("#")
            and item.dtype.kind in "fiub"
        ):
            if len(item.shape) in (1, 2) and len(found) < _MOST_ENTRIES:
                found[name] = item

    with h5py.File(path, "r") as file:
        file.visititems(visit)
        refuse_large(
            path, sum(8 * int(np.prod(item.shape, dtype=object)) for item in found.values())
        )
        return {name.replace("/", "_"): np.asarray(item[()]).T for name, item in found.items()}
