"""A step's output between the stage's value and its row."""

from typing import Any, TypeVar

from pydantic import TypeAdapter

T = TypeVar("T")


# Built once a process: building takes longer than most stages' own Python.
_ADAPTERS: dict[type[Any], TypeAdapter[Any]] = {}


def _adapter(kind: type[Any]) -> TypeAdapter[Any]:
    found = _ADAPTERS.get(kind)
    if found is None:
        found = _ADAPTERS[kind] = TypeAdapter(kind)
    return found


def read_output(kind: type[T], stored: Any) -> T:
    """The value that a stage recorded; pydantic's `ValidationError` for anything else."""
    value: T = _adapter(kind).validate_python(stored)
    return value


def write_output(value: Any) -> Any:
    """The value as JSON can hold it; `read_output` gives it back."""
    return _adapter(type(value)).dump_python(value, mode="json")
