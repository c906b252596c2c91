"""Log lines: one event each, with the request's id where there is a request."""

import logging
import sys
import warnings
from typing import Literal

import structlog
from structlog.typing import EventDict, Processor

_TRACEBACK_WITHOUT_LOCALS = structlog.tracebacks.ExceptionDictTransformer(show_locals=False)


def configure_logs(
    level: Literal["debug", "info", "warning", "error"], form: Literal["text", "json"], *, worker: int | None = None
) -> None:
    """Write events of ``level`` and above to standard error, as text for people or one JSON object a line.

    What libraries log comes out the same way, from warnings on. Each line names the ``worker``, where this process is
    one of several. Tracebacks never show local variables: they hold tokens and passwords.
    """
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    if worker is not None:
        shared.append(_naming(worker))
    writing = _writing(form)
    threshold = getattr(logging, level.upper())
    structlog.configure(
        processors=[*shared, *writing],
        wrapper_class=structlog.make_filtering_bound_logger(threshold),
        logger_factory=structlog.WriteLoggerFactory(file=sys.stderr),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *writing],
        )
    )
    # Where one field of a query fails, graphql-core gives up the others, some of which it has not begun. That is no
    # mistake of anybody's, but would be a warning for each; our own are found by the tests, to which it is an error.
    warnings.filterwarnings("ignore", "coroutine '.*' was never awaited", RuntimeWarning)
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(max(threshold, logging.WARNING))


def _naming(worker: int) -> Processor:
    def name(_logger: object, _method: str, event: EventDict) -> EventDict:
        return {"worker": worker, **event}

    return name


def _writing(form: Literal["text", "json"]) -> list[Processor]:
    if form == "json":
        return [
            structlog.processors.ExceptionRenderer(_TRACEBACK_WITHOUT_LOCALS),
            structlog.processors.JSONRenderer(),
        ]
    return [
        structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback)
    ]
