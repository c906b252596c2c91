"""Tell a database that is away, or too busy to answer in time, from a bug of ours."""

import asyncpg
import sqlalchemy.exc

# By SQLSTATE: connection lost (08), out of connections, memory or disk (53), shutting down, starting up, statement
# timeout (57), lock timeout, deadlock, serialization failure, or read-only as a standby is until it takes over. All of
# them may go well the next time.
_OUTAGE_CLASSES = ("08", "53", "57")
_OUTAGE_STATES = ("55P03", "40P01", "40001", "25006")


def driver_error(error: BaseException) -> BaseException | None:
    """What the driver raised, where SQLAlchemy has wrapped it; any other error as it is."""
    if isinstance(error, sqlalchemy.exc.DBAPIError):
        return getattr(error.orig, "driver_exception", None) or error.orig
    return error


def is_database_outage(error: BaseException) -> bool:
    """Whether ``error`` says that the database could not be reached or did not answer in time."""
    if isinstance(error, sqlalchemy.exc.DBAPIError):
        cause = driver_error(error)
        return error.connection_invalidated or (cause is not None and is_database_outage(cause))
    if isinstance(error, asyncpg.PostgresError):
        state = error.sqlstate or ""
        return state.startswith(_OUTAGE_CLASSES) or state in _OUTAGE_STATES
    if isinstance(error, asyncpg.InternalClientError):
        # The server's goodbye came when nobody had asked, and the driver no longer knows where it stands.
        return True
    if isinstance(error, asyncpg.InterfaceError):
        # Rolling back on a connection that is cut fails as well, and hides how it was cut.
        hidden = error.__context__
        return "closed" in str(error) or "released" in str(error) or (hidden is not None and is_database_outage(hidden))
    # Connecting fails with OSError (refused, no such socket, unknown host, time-out), before any driver class.
    return isinstance(error, OSError | sqlalchemy.exc.TimeoutError)
