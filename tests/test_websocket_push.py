"""The frames of pushed texts are those that the library makes."""

import pytest
from websockets.frames import Frame, Opcode

from server.websocket_push import text_frame


@pytest.mark.parametrize("length", [0, 1, 125, 126, 127, 255, 256, 65_535, 65_536, 70_000])
def test_a_frame_is_the_librarys(length: int) -> None:
    data = ("é" * length).encode()[:length]
    assert text_frame(data) == Frame(Opcode.TEXT, data).serialize(mask=False)
