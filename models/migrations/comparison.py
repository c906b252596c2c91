"""How the models are compared with a database: what Alembic is told, wherever it compares."""

from collections.abc import Mapping
from typing import Any

from models.call_month import is_month_table


def _is_described(name: str | None, kind: str, _parents: Mapping[str, str | None]) -> bool:
    """The models know the monthly tables as a whole; months come and go."""
    return kind != "table" or not is_month_table(name)


COMPARISON: dict[str, Any] = {"compare_type": True, "compare_server_default": True, "include_name": _is_described}
