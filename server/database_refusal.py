"""Tell a database that does not let us do something from a bug of ours."""

import asyncpg

from models.outage import driver_error


def database_refusal(error: BaseException) -> str | None:
    """What to tell whoever looks after the database: PostgreSQL's reason in one line, and what would help.

    None unless ``error`` says that the role lacks a right, or that the database is read-only.
    """
    cause = driver_error(error)
    if isinstance(cause, asyncpg.InsufficientPrivilegeError):
        return f"{_reason(cause)}: give its role this right, or name another in DATABASE_URL"
    if isinstance(cause, asyncpg.ReadOnlySQLTransactionError):
        return f"{_reason(cause)}: let it take writes, or name another in DATABASE_URL"
    return None


def _reason(error: asyncpg.PostgresError) -> str:
    # Not its detail, which may show a row; the message itself names a table or a statement's kind.
    return " ".join(str(error.args[0]).split())
