"""Parquet files, and NetCDF files by xarray."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from discover.observations.readers.arrays import ArraySource, refuse_large
from discover.observations.readers.files import describe, file_error, guarded
from discover.observations.readers.source import Block, Header, Source

__all__ = ["ParquetSource", "open_netcdf"]

_ROW_LABELS = re.compile(r"__index_level_\d+__")  # pandas' name for an index without one


class ParquetSource(Source):
    """A Parquet file; columns of lists or structs are left out.

    Parameters
    ----------
    path : Path
    """

    def __init__(self, path: Path) -> None:
        from pyarrow import parquet

        self.path, self.headers, self.notes = path, [], []
        file = guarded(path, "a Parquet file", lambda: parquet.ParquetFile(path))
        with file:
            schema = guarded(path, "a Parquet file", lambda: file.schema_arrow)
            self.n_rows = int(file.metadata.num_rows)
        nested = []
        self.places: list[int] = []
        for place, field in enumerate(schema):
            kind = _kind(field.type)
            if _ROW_LABELS.fullmatch(field.name):
                continue
            if kind is None:
                nested.append(field.name)
                continue
            self.places.append(place)
            self.headers.append(Header(field.name, kind == "number"))
        if not self.headers:
            raise file_error(path, "it holds no columns of numbers")
        self.names = [schema.names[place] for place in self.places]
        if nested:
            self.notes.append(f"left out, not one number per row: {', '.join(nested[:10])}")

    def blocks(self, columns: Sequence[int], rows_per_block: int | None) -> Iterator[Block]:
        """Yield columns as arrays; see :class:`Source`."""
        from pyarrow import parquet

        wanted = [self.names[j] for j in columns]
        if len(set(wanted)) < len(wanted) or any(self.names.count(name) > 1 for name in wanted):
            raise file_error(self.path, "two columns have the same name", "Rename one of them.")
        try:
            with parquet.ParquetFile(self.path) as file:
                if rows_per_block is None:
                    refuse_large(self.path, 8 * self.n_rows * len(columns))
                    yield _arrow_block(file.read(columns=wanted), columns, wanted)
                    return
                for batch in file.iter_batches(batch_size=rows_per_block, columns=wanted):
                    if batch.num_rows:
                        yield _arrow_block(batch, columns, wanted)
        except (OSError, ValueError, NotImplementedError) as error:  # pyarrow's are of these
            if type(error).__module__.startswith("discover."):
                raise
            raise file_error(
                self.path, f"it cannot be read as a Parquet file: {describe(error)}"
            ) from None


def _kind(type_: Any) -> str | None:
    from pyarrow import types

    if types.is_floating(type_) or types.is_integer(type_) or types.is_decimal(type_):
        return "number"
    if types.is_boolean(type_) or types.is_timestamp(type_) or types.is_date(type_):
        return "number"
    if types.is_duration(type_):
        return "number"
    if types.is_dictionary(type_):
        return _kind(type_.value_type)
    return "text" if types.is_string(type_) or types.is_large_string(type_) else None


def _arrow_block(table: Any, columns: Sequence[int], names: Sequence[str]) -> Block:
    return {j: _arrow_array(table.column(name)) for j, name in zip(columns, names, strict=True)}


def _arrow_array(column: Any) -> NDArray[Any]:
    import pyarrow as pa
    from pyarrow import compute, types

    type_ = column.type
    if types.is_dictionary(type_):
        column = compute.cast(column, type_.value_type)
        type_ = column.type
    if types.is_date(type_):
        column = compute.cast(column, pa.timestamp("s"))
    elif _kind(type_) == "number" and not (types.is_timestamp(type_) or types.is_duration(type_)):
        column = compute.cast(column, pa.float64(), safe=False)
    values = column.to_pandas().to_numpy() if types.is_timestamp(type_) else _plain(column)
    return np.asarray(values)


def _plain(column: Any) -> NDArray[Any]:
    if hasattr(column, "chunks"):
        return np.asarray(column.to_numpy())
    return np.asarray(column.to_numpy(zero_copy_only=False))


# -- NetCDF ----------------------------------------------------------------------------


def open_netcdf(path: Path, kind: str) -> ArraySource:
    """Open a NetCDF file: the variables that lie along time, and short second axes.

    Parameters
    ----------
    path : Path
    kind : {"hdf5", "netcdf3"}
    """
    return guarded(path, "a NetCDF file", lambda: _netcdf(path, kind))  # type: ignore[no-any-return]


def _netcdf(path: Path, kind: str) -> ArraySource:
    import xarray as xr

    engine = "h5netcdf" if kind == "hdf5" else "scipy"
    if kind == "hdf5":
        _groups(path)  # h5py refuses a broken file without complaining a second time
    try:
        data = xr.open_dataset(path, engine=engine)
    except (ValueError, OverflowError):  # times that cannot be decoded are numbers
        data = xr.open_dataset(path, engine=engine, decode_times=False)
    with data:
        if not data.variables:
            groups = _groups(path) if kind == "hdf5" else []
            held = f"it keeps them in groups ({', '.join(groups)})" if groups else "it is empty"
            raise file_error(
                path, f"there are no variables at the root; {held}",
                "Write the group to a file of its own: "
                "xarray.open_dataset(path, group=...).to_netcdf(...)." if groups else "",
            )  # fmt: skip
        dim = _time_dimension(data)
        names = [name for name in data.variables if dim in data[name].dims and data[name].ndim <= 2]
        refuse_large(path, sum(8 * data[name].size for name in names))
        arrays = {str(name): data[name].transpose(dim, ...).values for name in names}
        units = {str(n): str(data[n].attrs["units"]) for n in names if "units" in data[n].attrs}
        left = [str(name) for name in data.variables if name not in names]
    source = ArraySource(path, arrays, units, str(dim))
    if left:
        source.notes.append(f"left out, not along {dim}: {', '.join(left[:10])}")
    return source


def _time_dimension(data: Any) -> Any:
    """Return the dimension called time or t, else the one most variables have."""
    for name in ("time", "t", "Time", "TIME"):
        if name in data.dims:
            return name
    dims = [dim for name in data.data_vars for dim in data[name].dims] or list(data.dims)
    return max(dims, key=lambda dim: (dims.count(dim), data.sizes[dim]))


def _groups(path: Path) -> list[str]:
    import h5py

    with h5py.File(path, "r") as file:
        return [name for name, item in file.items() if isinstance(item, h5py.Group)][:10]
