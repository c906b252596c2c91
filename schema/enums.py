"""Enums of the inner packages as GraphQL enums, with every value described."""

from collections.abc import Mapping
from enum import StrEnum
from typing import TypeVar

import strawberry

EnumClass = TypeVar("EnumClass", bound=type[StrEnum])


def graphql_enum(python_enum: EnumClass, *, name: str, description: str, values: Mapping[str, str]) -> EnumClass:
    """The enum itself, usable in Strawberry annotations; ``values`` describes each member by name.

    Raises: ValueError where a member has no description, or a description no member.
    """
    members = set(python_enum.__members__)
    if members != set(values):
        raise ValueError(f"{name} needs a description of each of its values, differs in {members ^ set(values)}")
    enum = strawberry.enum(python_enum, name=name, description=description)
    for value in enum.__strawberry_definition__.values:  # type: ignore[attr-defined]
        value.description = values[value.name]
    return enum
