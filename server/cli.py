"""The command line `tollpath`: which commands there are, and how a failure ends the process."""

import sys

import typer

from server.commands.audit import audit_books
from server.commands.common import CommandError, say
from server.commands.demo import demo
from server.commands.export_schema import export_schema
from server.commands.import_calls import import_calls
from server.commands.import_rates import import_rates
from server.commands.make_migration import make_migration
from server.commands.migrate import migrate
from server.commands.months import drop_month, months
from server.commands.rerate_calls import rerate_calls
from server.commands.reset_password import reset_password
from server.commands.serve import serve
from server.commands.settings import settings

app = typer.Typer(
    name="tollpath",
    help="Prepaid telephone credit that is resold down a tree, as a GraphQL service.",
    epilog="Settings come from the environment: `tollpath settings` lists them. "
    "Exit codes: 0 done, 1 refused or differences found, 2 wrong use or environment.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.command("serve")(serve)
app.command("migrate")(migrate)
app.command("demo")(demo)
app.command("import-rates")(import_rates)
app.command("import-calls")(import_calls)
app.command("rerate-calls")(rerate_calls)
app.command("audit")(audit_books)
app.command("months")(months)
app.command("drop-month")(drop_month)
app.command("reset-password")(reset_password)
app.command("export-schema")(export_schema)
app.command("make-migration")(make_migration)
app.command("settings")(settings)


def main() -> None:
    """Entry point of the console script."""
    try:
        app()
    except CommandError as error:
        say(f"tollpath: {error}")
        sys.exit(error.exit_code)
