"""The head of an answer and its body leave together, and neither waits for what does not come."""

import asyncio

from server.one_write import _HeadWaits


class _Written:
    """A transport that notes what it is told."""

    def __init__(self) -> None:
        self.told: list[object] = []

    def write(self, data: bytes) -> None:
        self.told.append(data)

    def writelines(self, parts: tuple[bytes, ...]) -> None:
        self.told.append(parts)

    def close(self) -> None:
        self.told.append("closed")

    def is_closing(self) -> bool:
        return "closed" in self.told


async def test_two_writes_are_one() -> None:
    bare = _Written()
    transport = _HeadWaits(bare)  # type: ignore[arg-type]

    transport.write(b"head")
    assert bare.told == []
    transport.write(b"body")
    await asyncio.sleep(0)

    assert bare.told == [(b"head", b"body")]


async def test_a_head_whose_body_comes_later_waits_for_one_turn_of_the_loop() -> None:
    bare = _Written()
    transport = _HeadWaits(bare)  # type: ignore[arg-type]

    transport.write(b"head")
    await asyncio.sleep(0)
    assert bare.told == [b"head"]
    transport.write(b"event")
    await asyncio.sleep(0)

    assert bare.told == [b"head", b"event"]


async def test_what_waits_is_sent_before_the_connection_is_closed() -> None:
    bare = _Written()
    transport = _HeadWaits(bare)  # type: ignore[arg-type]

    transport.write(b"head")
    transport.close()
    await asyncio.sleep(0)

    assert bare.told == [b"head", "closed"]
    assert transport.is_closing()
