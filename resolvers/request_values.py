"""What a list is asked for, taken apart: its form, which makes the statement, and its values, which are bound to it.

A request is a frozen dataclass; its ``VALUES`` name the members that are values wherever they are not None. All else
(which way round, how many, which filters there are) is its form.
"""

from collections.abc import Hashable, Sequence
from dataclasses import fields, is_dataclass, replace
from datetime import date, datetime
from functools import cache
from typing import Any

from sqlalchemy import BigInteger, Date, DateTime, Text, bindparam
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.types import TypeEngine

_TYPES: dict[type, TypeEngine[Any]] = {
    int: BigInteger(),
    str: Text(),
    datetime: DateTime(timezone=True),
    date: Date(),
    tuple: ARRAY(BigInteger),
}


def parameter_name(slot: int, index: int) -> str:
    """The name of a request's value in the statement."""
    return f"value_{slot}_{index}"


def values_of(request: Any) -> tuple[list[Any], Hashable]:
    """The request's values in their order, and its form."""
    values: list[Any] = []
    return values, _form(request, values)


def _form(request: Any, values: list[Any]) -> Hashable:
    form: list[Any] = [type(request)]
    for name, is_value in _members(request.__class__):
        value = getattr(request, name)
        if is_value and value is not None:
            several = value if name == "position" else (value,)
            values.extend(several)
            form.append(tuple(type(one) for one in several))
        elif _members(value.__class__):
            form.append(_form(value, values))
        else:
            form.append(value)
    return tuple(form)


@cache
def _members(kind: Any) -> tuple[tuple[str, bool], ...]:
    """Each member and whether it is a value; nothing where it is no request."""
    if not is_dataclass(kind):
        return ()
    values: Sequence[str] = getattr(kind, "VALUES", ())
    return tuple((member.name, member.name in values) for member in fields(kind))


def with_parameters(request: Any, slot: int) -> Any:
    """The same request with bound parameters in place of its values."""
    return _with_parameters(request, slot, [])


def _with_parameters(request: Any, slot: int, made: list[Any]) -> Any:
    changes: dict[str, Any] = {}
    for member in fields(request):
        value = getattr(request, member.name)
        if member.name in request.VALUES and value is not None:
            if member.name == "position":
                changes[member.name] = tuple(_parameter(one, slot, made) for one in value)
            else:
                changes[member.name] = _parameter(value, slot, made)
        elif is_dataclass(value):
            changes[member.name] = _with_parameters(value, slot, made)
    return replace(request, **changes)


def _parameter(value: Any, slot: int, made: list[Any]) -> Any:
    made.append(bindparam(parameter_name(slot, len(made)), type_=_TYPES[type(value)]))
    return made[-1]


def bindable(values: Sequence[Any]) -> list[Any]:
    """The values as the driver takes them."""
    return [list(value) if isinstance(value, tuple) else value for value in values]
