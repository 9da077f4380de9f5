"""Rows, columns and frames to a model's inputs: columns by name in any order, the wrong ones told by name."""

from collections.abc import Sequence
from typing import Any

from numpy.typing import NDArray

from plimsoll_serving.errors import RequestError
from plimsoll_serving.v2.datatypes import Datatype
from plimsoll_serving.v2.signature import Signature, Tensor
from plimsoll_serving.v2.values import flatten, json_name, to_array

Arrays = dict[str, NDArray[Any]]
SHOWN_NAMES = 8


class Table:
    """How a table becomes the inputs of one model.

    A model of one tensor ``[rows, n]`` takes n columns of one value a cell. Any other model takes one column for each
    input, named as the input, whose cells have the shape of the input without its first size.

    Attributes:
        columns: names in the model's order; empty when nothing tells them. Columns are taken by their place then.
        width: number of columns.

    Args:
        features: names of the columns of a model of one tensor, in order, as its profile has them.
    """

    def __init__(self, signature: Signature, features: Sequence[str] = ()) -> None:
        self._inputs = list(signature.inputs.values())
        lone = self._inputs[0] if len(self._inputs) == 1 else None
        self._flat = lone if lone is not None and len(lone.shape) == 2 and lone.shape[1] > 0 else None
        self.width = len(self._inputs) if self._flat is None else self._flat.shape[1]
        self.columns = [tensor.name for tensor in self._inputs]
        if self._flat is not None:
            known = list(features) if len(set(features)) == self.width else []
            self.columns = known or (self.columns if self.width == 1 else [])

    def datatypes(self) -> list[Datatype]:
        """Of each column, in order."""
        if self._flat is not None:
            return [self._flat.datatype] * self.width
        return [tensor.datatype for tensor in self._inputs]

    def check_one_value_a_cell(self, form: str) -> None:
        """Raises RequestError when the form cannot carry the model's inputs."""
        deep = next((tensor for tensor in self._inputs if not _is_column(tensor)), None)
        if self._flat is None and deep is not None:
            raise RequestError(
                f"{form} has one value a cell, but input {deep.name!r} of the model takes {list(deep.shape)}; send JSON"
            )

    # Readers. Each raises RequestError naming the field at fault.

    def of_instances(self, rows: Any, field: str) -> Arrays:
        """Rows one by one: values, lists of values, or objects of column and value."""
        items = _filled(rows, field)
        if type(items[0]) is dict:
            names = list(items[0])
            return self.of_columns(dict(zip(names, _turned(items, names, field), strict=True)), field)
        if len(self._inputs) != 1:
            return self.of_frame(self.columns, items, field)
        return {self._inputs[0].name: _tensor(self._inputs[0], items, field)}

    def of_columns(self, columns: dict[str, Any], field: str) -> Arrays:
        """Columns by name, each a list with one cell a row."""
        for name, cells in columns.items():
            _filled(cells, f"{field}[{name!r}]")
        flat = self._flat
        if flat is not None and list(columns) == [flat.name] and self.columns != [flat.name]:
            return {flat.name: _tensor(flat, columns[flat.name], f"{field}.{flat.name}")}
        return self._placed(list(columns), list(columns.values()), field)

    def of_frame(self, names: Sequence[str] | None, rows: Any, field: str) -> Arrays:
        """Rows of cells under names; without names the cells are in the model's own order."""
        items = _filled(rows, field)
        width = self.width if names is None else len(names)
        for index, row in enumerate(items):
            if type(row) is not list:
                raise RequestError(f"{field}[{index}] is {json_name(row)}, not a list of {width} values")
            if len(row) != width:
                raise RequestError(f"{field}[{index}] has {len(row)} values, not {width}{self._told()}")
        return self._placed(names, list(zip(*items, strict=True)), field)

    def _placed(self, names: Sequence[str] | None, columns: list[Sequence[Any]], field: str) -> Arrays:
        """Columns in the model's order, as its inputs."""
        if names is not None:
            columns = self._ordered(names, columns, field)
        if not columns:
            raise RequestError(f"{field} has no columns{self._told()}")
        rows = {len(column) for column in columns}
        if len(rows) != 1:
            raise RequestError(f"{field}: columns differ in rows: from {min(rows)} to {max(rows)}")
        if self._flat is not None:
            return {self._flat.name: self._joined(self._flat, columns, field)}
        return {
            tensor.name: _tensor(tensor, list(cells), f"column {tensor.name!r}")
            for tensor, cells in zip(self._inputs, columns, strict=True)
        }

    def _ordered(self, names: Sequence[str], columns: list[Sequence[Any]], field: str) -> list[Sequence[Any]]:
        given = dict(zip(names, columns, strict=True))
        if len(given) != len(columns):
            raise RequestError(f"{field}: a column is named twice")
        if not self.columns and len(columns) == self.width:
            return columns
        missing = [name for name in self.columns if name not in given]
        surplus = [name for name in given if name not in self.columns]
        if not self.columns:
            raise RequestError(f"{field} has {len(columns)} columns, not {self.width}")
        if missing or surplus:
            told = [f"missing {_list(missing)}"] if missing else []
            told += [f"surplus {_list(surplus)}"] if surplus else []
            raise RequestError(f"{field}: columns {'; '.join(told)}{self._told()}, in any order")
        return [given[name] for name in self.columns]

    def _joined(self, tensor: Tensor, columns: list[Sequence[Any]], field: str) -> NDArray[Any]:
        values = [value for row in zip(*columns, strict=True) for value in row]
        try:
            if any(type(value) is list or type(value) is dict for value in values):
                raise RequestError(f"{field} has a list or an object where one value is expected")
            return to_array(values, tensor.datatype, field).reshape(len(columns[0]), self.width)
        except RequestError:
            for place, column in enumerate(columns):
                name = repr(self.columns[place]) if self.columns else str(place)
                _tensor_values(list(column), tensor, f"column {name}")
            raise

    def _told(self) -> str:
        return f"; the model takes {_list(self.columns)}" if self.columns else ""


def _tensor_values(cells: list[Any], tensor: Tensor, field: str) -> NDArray[Any]:
    for index, cell in enumerate(cells):
        if type(cell) is list or type(cell) is dict:
            raise RequestError(f"{field}[{index}] is {json_name(cell)}, not one value")
    return to_array(cells, tensor.datatype, field)


def _tensor(tensor: Tensor, cells: list[Any], field: str) -> NDArray[Any]:
    """A tensor of which each cell is one row; a cell of one value may stand without its list."""
    if not tensor.shape:
        raise RequestError(f"input {tensor.name!r} has no rows; ask the model over /v2/models")
    values, nested = flatten(cells, field)
    wanted = list(tensor.shape)
    if len(nested) == 1 and _is_column(tensor):
        nested += [1] * (len(wanted) - 1)
    if len(nested) != len(wanted) or any(want not in (-1, size) for want, size in zip(wanted, nested, strict=True)):
        raise RequestError(f"{field} is nested as {nested}, but input {tensor.name!r} takes {wanted}")
    if any(type(value) is dict for value in values):
        raise RequestError(f"{field} has an object where a value is expected")
    try:
        return to_array(values, tensor.datatype, field).reshape(nested)
    except RequestError:
        for index, cell in enumerate(cells if type(cells[0]) is list else []):
            to_array(flatten([cell], field)[0], tensor.datatype, f"{field}[{index}]")
        raise


def _is_column(tensor: Tensor) -> bool:
    """One value a row."""
    return len(tensor.shape) == 1 or (len(tensor.shape) == 2 and tensor.shape[1] == 1)


def _filled(rows: Any, field: str) -> list[Any]:
    if type(rows) is not list:
        raise RequestError(f"{field} is {json_name(rows)}, not a list")
    if not rows:
        raise RequestError(f"{field} has no rows")
    return rows


def _turned(rows: list[Any], names: list[str], field: str) -> list[list[Any]]:
    """Records, one object a row, as one list a column."""
    wanted = set(names)
    for index, row in enumerate(rows):
        if type(row) is not dict:
            raise RequestError(f"{field}[{index}] is {json_name(row)}, not an object as the rows before it")
        if row.keys() != wanted:
            odd = sorted(row.keys() ^ wanted)[0]
            which = "lacks" if odd in wanted else "has"
            raise RequestError(f"{field}[{index}] {which} {odd!r}, other than the rows before it")
    return [[row[name] for row in rows] for name in names]


def _list(names: Sequence[str]) -> str:
    shown = ", ".join(repr(name) for name in names[:SHOWN_NAMES])
    return shown if len(names) <= SHOWN_NAMES else f"{shown} and {len(names) - SHOWN_NAMES} more"
