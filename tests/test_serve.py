"""`tollpath serve` from the first start to the end, with the embedded database."""

import re
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from websockets.exceptions import ConnectionClosed
from websockets.frames import CloseCode
from websockets.sync.client import connect

from tests.command_line import started, tollpath
from tests.embedded_users import is_locked, is_running, keeper_id, kill, postmaster_id, wait_until

PASSWORD = "sesame"
BALANCES = "subscription { balanceChanged { version } }"


class Served:
    """A running server and what it has printed."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self.process = process
        self.printed = ""
        assert process.stdout is not None
        while "Database" not in self.printed:
            line = process.stdout.readline()
            assert line, process.communicate()
            self.printed += line
        match = re.search(r"GraphQL\s+(http://127\.0\.0\.1:\d+)/graphql", self.printed)
        assert match is not None, self.printed
        self.address = match[1]

    def ask(self, query: str, token: str | None = None) -> dict[str, object]:
        headers = {"authorization": f"Bearer {token}"} if token else {}
        answer = httpx.post(f"{self.address}/graphql", json={"query": query}, headers=headers, timeout=30)
        body: dict[str, object] = answer.json()["data"]
        return body

    def operator_token(self) -> str:
        login = f'mutation {{ login(input: {{username: "operator", password: "{PASSWORD}"}}) {{ token }} }}'
        token: str = self.ask(login)["login"]["token"]  # type: ignore[index]
        return token

    def end(self, number: signal.Signals) -> float:
        """Send a signal and wait for the end; returns the seconds it took."""
        begun = time.monotonic()
        self.process.send_signal(number)
        _, errors = self.process.communicate(timeout=60)
        assert self.process.returncode == 0, errors
        assert "Traceback" not in errors
        return time.monotonic() - begun


@contextmanager
def serving(data_dir: Path, *options: str) -> Iterator[Served]:
    arguments = ["serve", "--port", "0", "--data-dir", data_dir, *options]
    with started(*arguments, TOLLPATH_OPERATOR_PASSWORD=PASSWORD) as process:
        yield Served(process)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_server_and_its_database_in_order_also_with_open_subscriptions(
    tmp_path: Path, number: signal.Signals
) -> None:
    data_dir = tmp_path / "data"
    with serving(data_dir) as server:
        assert httpx.get(f"{server.address}/readyz").status_code == 200
        token = server.operator_token()
        postmaster = postmaster_id(data_dir)
        headers = {"authorization": f"Bearer {token}", "accept": "text/event-stream"}
        with (
            httpx.stream("POST", f"{server.address}/graphql", json={"query": BALANCES}, headers=headers) as events,
            connect(
                server.address.replace("http", "ws") + "/graphql", subprotocols=["graphql-transport-ws"]
            ) as websocket,
        ):
            lines = events.iter_lines()
            assert "next" in next(line for line in lines if line.startswith("event:"))
            websocket.send(f'{{"type": "connection_init", "payload": {{"Authorization": "Bearer {token}"}}}}')
            assert "connection_ack" in str(websocket.recv(timeout=10))
            websocket.send(f'{{"type": "subscribe", "id": "1", "payload": {{"query": "{BALANCES}"}}}}')
            assert '"next"' in str(websocket.recv(timeout=10))
            assert server.end(number) < 10
            # Both are told to come back: the one by its close code, the other by an end without "complete".
            with pytest.raises(ConnectionClosed) as closed:
                websocket.recv(timeout=10)
            assert closed.value.rcvd is not None
            assert closed.value.rcvd.code == CloseCode.SERVICE_RESTART
            assert "event: complete" not in list(lines)
    assert not is_running(postmaster)
    assert not (data_dir / "pgdata" / "postmaster.pid").exists()


def test_after_kill_9_of_everything_the_next_start_serves_the_same_accounts(tmp_path: Path) -> None:
    data_dir = tmp_path / "data"
    create = 'mutation { createCustomer(input: {username: "keytyh", password: "sesame"}) { account { username } } }'
    names = "{ viewer { customers(first: 10) { nodes { username } } } }"
    with serving(data_dir) as server:
        assert server.ask(create, server.operator_token()) == {
            "createCustomer": {"account": {"username": "keytyh*operator"}}
        }
        keeper, postmaster = keeper_id(data_dir), postmaster_id(data_dir)
        subprocess.run(["kill", "-9", str(server.process.pid), str(keeper), str(postmaster)], check=True)
    wait_until(lambda: not is_running(postmaster) and not is_locked(data_dir / "keeper.lock"))
    with serving(data_dir) as server:
        assert server.ask(names, server.operator_token()) == {
            "viewer": {"customers": {"nodes": [{"username": "keytyh*operator"}]}}
        }
        server.end(signal.SIGTERM)


def test_a_server_whose_database_lost_its_keeper_starts_it_again(tmp_path: Path) -> None:
    data_dir = tmp_path / "data"
    with serving(data_dir) as server:
        token = server.operator_token()
        postmaster = postmaster_id(data_dir)
        kill(keeper_id(data_dir))
        wait_until(lambda: not is_running(postmaster))
        wait_until(lambda: httpx.get(f"{server.address}/readyz").status_code == 200)
        assert postmaster_id(data_dir) != postmaster
        assert server.ask("{ viewer { username } }", token) == {"viewer": {"username": "operator"}}
        server.end(signal.SIGTERM)
    assert not (data_dir / "pgdata" / "postmaster.pid").exists()


def test_another_command_uses_the_database_of_a_running_server(tmp_path: Path) -> None:
    with serving(tmp_path / "data") as server:
        postmaster = postmaster_id(tmp_path / "data")
        audit = tollpath("audit", "--data-dir", tmp_path / "data")
        assert audit.exit_code == 0, audit
        assert postmaster_id(tmp_path / "data") == postmaster
        assert server.ask("{ settings { currency } }") == {"settings": {"currency": "EUR"}}
        server.end(signal.SIGTERM)


def test_a_start_with_the_demo_prints_sign_ins_and_a_command_that_charges_a_call(tmp_path: Path) -> None:
    with serving(tmp_path / "data", "--demo") as server:
        assert server.process.stdout is not None
        line = ""
        while not line.startswith("curl "):
            server.printed += line
            line = server.process.stdout.readline()
            assert line
        assert re.search(r"keytyh\*good +demo +\(customer\)", server.printed)
        charged = subprocess.run(["bash", "-c", line], capture_output=True, text=True, check=True).stdout
        assert '"duplicate":false,"errors":[]' in charged
        again = subprocess.run(["bash", "-c", line], capture_output=True, text=True, check=True).stdout
        assert '"duplicate":true,"errors":[]' in again
        server.end(signal.SIGTERM)
