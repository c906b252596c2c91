"""`/healthz`: the process answers. `/readyz`: it can serve, its database answers, is up to date and takes writes."""

import asyncio

import structlog
from sqlalchemy import text
from starlette.requests import Request
from starlette.responses import JSONResponse

from models.database import Database

log = structlog.get_logger(__name__)

ANSWER_WITHIN_S = 3.0
_PRESENT = text("SELECT version_num, CAST(current_setting('transaction_read_only') AS boolean) FROM alembic_version")


async def healthz(request: Request) -> JSONResponse:
    """Always 200."""
    return JSONResponse({"status": "ok"})


async def readiness(database: Database, newest_revision: str) -> JSONResponse:
    """200 where the database answers, is at ``newest_revision`` and no standby, else 503 with the reason."""
    try:
        async with asyncio.timeout(ANSWER_WITHIN_S), database.read() as connection:
            present, is_read_only = (await connection.execute(_PRESENT)).one()
    except Exception as error:
        # Whatever it is, this process cannot serve now; the log says why.
        log.warning("not_ready", error=repr(error))
        return _not_ready("the database does not answer")
    if present != newest_revision:
        return _not_ready("the database is not at this version's revision")
    if is_read_only:
        return _not_ready("the database is read-only")
    return JSONResponse({"status": "ready"})


def _not_ready(reason: str) -> JSONResponse:
    return JSONResponse({"status": "not ready", "reason": reason}, status_code=503)
