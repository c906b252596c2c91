"""The smallest possible fan-out on Starlette: the same deliveries where nothing has to be known or worked out.

`python -m tests.benchmarks.fan_out` serves as `tollpath serve` does and prints its port. Whoever connects is sent one
event; then ``POST /send?first=0&count=20`` sends its body to so many of the connections, in the order they came.
"""

import asyncio

import uvloop
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

from server.listening import bind, serve_http


async def main() -> None:
    """See the module."""
    sockets: list[WebSocket] = []

    async def graphql(websocket: WebSocket) -> None:
        await websocket.accept("graphql-transport-ws")
        sockets.append(websocket)
        await websocket.send_text('{"version":0}')
        try:
            while True:
                await websocket.receive_text()
        except WebSocketDisconnect:
            return

    async def send(request: Request) -> Response:
        first, count = (int(request.query_params[name]) for name in ("first", "count"))
        text = (await request.body()).decode()
        for websocket in sockets[first : first + count]:
            await websocket.send_text(text)
        return Response()

    app = Starlette(routes=[WebSocketRoute("/graphql", graphql), Route("/send", send, methods=["POST"])])
    app.state.stopping = asyncio.Event()
    with bind("127.0.0.1", 0) as bound:
        await serve_http(app, bound, lambda: print(bound.getsockname()[1], flush=True))


if __name__ == "__main__":
    uvloop.run(main())
