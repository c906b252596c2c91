"""`tollpath reset-password`: for whoever has lost the operator's password, or anybody's."""

import os
import subprocess

import pytest

from tests.command_line import TOLLPATH, Run, complaint, environment, tollpath_here
from tests.graphql_client import PASSWORD, Api

WHO = "{ viewer { username } }"


def reset(database_url: str, username: str, password: bytes, **settings: str) -> Run:
    """Run the command with the password on standard input."""
    done = subprocess.run(
        [TOLLPATH, "reset-password", username, "--password-stdin"],
        env=environment({"DATABASE_URL": database_url, **settings}),
        input=password,
        capture_output=True,
        timeout=120,
    )
    return Run(done.returncode, done.stdout.decode(), done.stderr.decode())


async def test_the_operator_gets_a_new_password_and_its_sessions_end(api: Api, database_url: str) -> None:
    keytyh = await api.customer("keytyh", of=api.operator)
    made = await api.done("createApiToken", "token", {"name": "reader", "scopes": ["READ"]}, by=api.operator)
    run = reset(database_url, "OPERATOR", b"br\xc3\xa4nd new\r\n")
    assert run == Run(0, "The password of operator is changed, and its sessions have ended.\n", "")
    assert await api.failure(WHO, by=api.operator) == "UNAUTHENTICATED"
    assert await api(WHO, by=keytyh) == {"viewer": {"username": "keytyh*operator"}}, "others stay signed in"
    assert await api(WHO, by=made["token"]) == {"viewer": {"username": "operator"}}, "API tokens go on"
    assert (await api.refused("login", {"username": "operator", "password": PASSWORD}))["code"] == (
        "INVALID_CREDENTIALS"
    )
    await api.sign_in("operator", "bränd new")


@pytest.mark.parametrize(
    ("username", "password", "exit_code", "message"),
    [
        ("nobody", b"brand new", 1, "there is no account nobody: give the full username, such as keytyh*good"),
        ("no\x1bbody", b"brand new", 1, "there is no account no body: give the full username, such as keytyh*good"),
        ("operator", b"abc\n", 1, "Password is too short; password should at least contain 4 characters."),
        ("operator", b"", 1, "Password is too short; password should at least contain 4 characters."),
        ("operator", b"\xff\xfe\xfd\xfc\xfb", 2, "the password on standard input is no UTF-8 text"),
    ],
)
async def test_a_password_that_cannot_be_set_changes_nothing(
    api: Api, database_url: str, username: str, password: bytes, exit_code: int, message: str
) -> None:
    before = await api.rows()
    run = tollpath_here("reset-password", username, "--password-stdin", stdin=password, DATABASE_URL=database_url)
    assert complaint(run, exit_code) == message
    assert await api.rows() == before


async def test_a_database_that_is_not_migrated_is_refused_and_gets_no_operator(empty_database_url: str) -> None:
    url = empty_database_url
    run = tollpath_here("reset-password", "operator", "--password-stdin", stdin=b"brand new", DATABASE_URL=url)
    assert complaint(run) == "the database is not up to date: run `tollpath migrate` first"


def test_without_a_terminal_nothing_is_asked() -> None:
    run = tollpath_here("reset-password", "operator", DATABASE_URL="postgresql://nobody@192.0.2.1/nowhere")
    assert complaint(run) == "there is no terminal to ask for the password: give it with --password-stdin"


async def test_a_terminal_asks_twice_and_shows_nothing_of_what_is_typed(api: Api, database_url: str) -> None:
    before = await api.rows()
    run = typed(database_url, "brand new", "brand old")
    assert (run.exit_code, run.out) == (1, "")
    assert "the two are not the same: nothing is changed" in run.err
    assert await api.rows() == before
    run = typed(database_url, "brand new", "brand new")
    assert (run.exit_code, run.out) == (0, "The password of operator is changed, and its sessions have ended.\n")
    assert "New password: " in run.err
    assert "The same again: " in run.err
    assert "brand" not in run.err
    await api.sign_in("operator", "brand new")


def typed(database_url: str, *answers: str) -> Run:
    """Run the command at a terminal, on which each answer is typed when it has asked."""
    ours, theirs = os.openpty()
    with subprocess.Popen(
        [TOLLPATH, "reset-password", "operator"],
        env=environment({"DATABASE_URL": database_url}),
        stdin=theirs,
        stdout=subprocess.PIPE,
        stderr=theirs,
        start_new_session=True,
    ) as process:
        os.close(theirs)
        shown = b""
        try:
            for count, answer in enumerate(answers, 1):
                while shown.count(b": ") < count:
                    shown += os.read(ours, 1000)
                os.write(ours, answer.encode() + b"\n")
            while True:
                shown += os.read(ours, 1000)
        except OSError:
            pass  # the other end is closed: the command has ended
        out, _ = process.communicate(timeout=60)
    os.close(ours)
    return Run(process.returncode, out.decode(), shown.decode())
