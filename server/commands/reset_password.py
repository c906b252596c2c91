"""`tollpath reset-password`: a new password for an account whose own is lost, the operator's above all."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from billing.account_changes import set_password
from billing.call_records import printable
from billing.errors import Refusal
from billing.passwords import check_password
from resolvers.sign_in import account_named
from server.commands.common import BadEnvironment, Opened, Refused, settings_for_command, with_database, write


def reset_password(
    username: Annotated[str, typer.Argument(help="The full username, such as operator or keytyh*good.")],
    password_stdin: Annotated[
        bool, typer.Option("--password-stdin", help="Read the password from the first line of standard input.")
    ] = False,
    data_dir: Annotated[Path | None, typer.Option(help="Folder of the embedded PostgreSQL.")] = None,
) -> None:
    """Give an account a new password, for whoever has lost it.

    Asks for it twice. The account's sessions end, in a running server too; its API tokens go on.
    """
    settings = settings_for_command(data_dir=data_dir)
    password = _first_line() if password_stdin else _asked_twice()
    try:
        check_password(password, length_min=settings.password_length_min)
    except Refusal as refusal:
        raise Refused(refusal.message) from None

    async def work(opened: Opened) -> str:
        account = await account_named(opened.database, username)
        if account is None:
            raise Refused(f"there is no account {printable(username)}: give the full username, such as keytyh*good")
        password_hash = await settings.passwords().hash(password)
        async with opened.database.transaction() as tx:
            await set_password(tx, account_id=account.id, password_hash=password_hash)
        return str(account.username)

    changed = with_database(settings, work, migrate=False)
    write(f"The password of {changed} is changed, and its sessions have ended.")


def _first_line() -> str:
    try:
        return sys.stdin.buffer.readline().decode().rstrip("\r\n")
    except UnicodeDecodeError:
        raise BadEnvironment("the password on standard input is no UTF-8 text") from None


def _asked_twice() -> str:
    if not sys.stdin.isatty():
        raise BadEnvironment("there is no terminal to ask for the password: give it with --password-stdin")
    password: str = typer.prompt("New password", hide_input=True, err=True)
    if typer.prompt("The same again", hide_input=True, err=True) != password:
        raise Refused("the two are not the same: nothing is changed")
    return password
