"""Events of a subscription that are sent the moment they come, past the stream and the task that reads it."""

from collections.abc import Callable
from typing import Any, Protocol

import structlog

log = structlog.get_logger(__name__)


class WritesEvents(Protocol):
    """Makes the text of a subscription's events without executing them (see `schema.event_writer`)."""

    def at_once(self, event: Any) -> str | None:
        """The text of the whole result, if nothing has to be waited for. Raises: as `write`."""

    async def write(self, event: Any) -> str:
        """The text of the whole result. Raises: anything, where the event has to be executed."""


class EventTeller:
    """Tells of events whose text can be made at once, where the connection takes it at once."""

    __slots__ = ("_push", "_writer")

    def __init__(self, writer: WritesEvents, push: Callable[[str], bool]) -> None:
        self._writer = writer
        self._push = push

    def tell(self, event: Any) -> bool:
        """Whether the event is told; else it has to come by the stream. Never raises: what is wrong is met there."""
        try:
            text = self._writer.at_once(event)
            return text is not None and self._push(text)
        except Exception as error:
            log.debug("event_not_told", error=repr(error))
            return False
