"""The rules that tests/test_house_rules.py holds the code to: each takes a module's text and names what breaks it."""

import ast
import re
from collections.abc import Iterator

_WRITERS = {"insert", "update", "delete"}
_WRITER_METHODS = {"copy_records_to_table", "copy_to_table"}
_WRITING_SQL = re.compile(
    r"\b(INSERT\s+INTO|UPDATE\s+\S+(\s+AS\s+\S+)?\s+SET|DELETE\s+FROM|MERGE\s+INTO|TRUNCATE|COPY\s+\S+.*\bFROM)\b",
    re.IGNORECASE | re.DOTALL,
)
_BALANCE = r"\b(balance_units|held_units)\b"
_BALANCE_SQL = re.compile(
    rf"(UPDATE\s+account_state\b(?:(?!\bSET\b).)*\bSET\b(?:(?!\b(?:FROM|WHERE)\b).)*{_BALANCE}\s*=)"
    rf"|(INSERT\s+INTO\s+account_state\b[^)]*{_BALANCE})",
    re.IGNORECASE | re.DOTALL,
)


def writes(source: str) -> list[str]:
    """Where the module inserts, updates or deletes rows."""
    tree = ast.parse(source)
    imported = {
        alias.asname or alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("sqlalchemy")
        for alias in node.names
        if alias.name in _WRITERS
    }
    found = [f"line {line}: SQL that writes" for line, text in _texts(tree) if _WRITING_SQL.search(text)]
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        function = node.func
        if isinstance(function, ast.Name) and function.id in imported:
            found.append(f"line {node.lineno}: {function.id}()")
        elif isinstance(function, ast.Attribute) and (
            function.attr in _WRITER_METHODS or (function.attr in _WRITERS and _is_a_table(function.value))
        ):
            found.append(f"line {node.lineno}: .{function.attr}()")
    return found


def balance_writes(source: str) -> list[str]:
    """Where the module sets an account's balance or held amount."""
    tree = ast.parse(source)
    found = [f"line {line}: SQL" for line, text in _texts(tree) if _BALANCE_SQL.search(text)]
    for node in ast.walk(tree):
        if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "values"):
            continue
        given = {keyword.arg for keyword in node.keywords}
        for argument in node.args:
            given |= {key.value for key in getattr(argument, "keys", []) if isinstance(key, ast.Constant)}
        if given & {"balance_units", "held_units"} and not _inserts_into_a_history(node):
            found.append(f"line {node.lineno}: .values()")
    return found


def binary_fractions(source: str) -> list[str]:
    """Where the module makes a float: by name, by literal, or by dividing."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Name) and node.id == "float":
            found.append(f"line {node.lineno}: float")
        elif isinstance(node, ast.Constant) and isinstance(node.value, float):
            found.append(f"line {node.lineno}: {node.value}")
        elif isinstance(node, ast.BinOp | ast.AugAssign) and isinstance(node.op, ast.Div):
            found.append(f"line {node.lineno}: a division that leaves a fraction")
    return found


def lacks_docstring(source: str) -> bool:
    """Whether the module does not say what it is."""
    return ast.get_docstring(ast.parse(source)) is None


def _texts(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Every text of the module but docstrings; of a formatted one its fixed parts with a blank for each gap."""
    skipped: set[int] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            first = node.body[0] if node.body else None
            if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant):
                skipped.add(id(first.value))
        if isinstance(node, ast.JoinedStr):
            skipped.update(id(part) for part in node.values)
            parts = (part.value if isinstance(part, ast.Constant) else "gap" for part in node.values)
            yield node.lineno, "".join(str(part) for part in parts)
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in skipped:
            yield node.lineno, node.value


def _is_a_table(value: ast.expr) -> bool:
    """``table.insert()``, ``Account.__table__.delete()``; a dictionary's or a hash's ``update`` is no such thing."""
    if isinstance(value, ast.Attribute):
        return value.attr == "__table__"
    return isinstance(value, ast.Name) and (value.id.endswith("table") or value.id[:1].isupper())


def _inserts_into_a_history(values: ast.Call) -> bool:
    # ``insert(CreditTransaction).values(balance_units=...)`` would be a record, not a balance.
    target = values.func.value if isinstance(values.func, ast.Attribute) else None
    return (
        isinstance(target, ast.Call)
        and isinstance(target.func, ast.Name)
        and target.func.id == "insert"
        and any(isinstance(argument, ast.Name) and argument.id != "AccountState" for argument in target.args)
    )
