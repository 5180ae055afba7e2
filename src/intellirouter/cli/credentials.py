"""`intellirouter credentials`: provider credentials in the encrypted store."""

import re
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from intellirouter.cli.command_group import CommandGroup
from intellirouter.cli.config_options import StoreConfigOption, chosen_file, report_config_errors
from intellirouter.cli.errors import CommandError, ExitStatus
from intellirouter.cli.lazy import LazyModule
from intellirouter.cli.output import OutputOption, format_count, make_table, print_data, print_line
from intellirouter.cli.standard_streams import read_input

if TYPE_CHECKING:
    from intellirouter import config, roles, store
else:
    config = LazyModule("intellirouter.config")
    roles = LazyModule("intellirouter.roles")
    store = LazyModule("intellirouter.store")

_NAME_PATTERN: Final = r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}"
CredentialName = Annotated[
    str, typer.Argument(metavar="NAME", help="Name of the credential; configurations refer to it as store:NAME.")
]


def credentials_commands() -> typer.Typer:
    group = CommandGroup(help="Manage provider credentials in the encrypted store.")
    group.command("set")(set_credential)
    group.command("list")(list_credentials)
    group.command("remove")(remove_credential)
    group.command("rekey")(rekey_credentials)
    return group


@contextmanager
def _open_store(config_file: Path | None) -> Iterator["store.CredentialStore"]:
    """Open the credential store of the configuration, and turn its errors into command errors."""
    with report_config_errors():
        try:
            opened = roles.open_credentials(chosen_file(config_file))
            try:
                yield opened
            finally:
                opened.close()
        except store.CredentialError as error:
            raise CommandError(error.message, error.hint, status=ExitStatus.FAILURE) from error


def set_credential(name: CredentialName, config_file: StoreConfigOption = None) -> None:
    """Store a credential or replace it. The value is read from standard input or a prompt, never from an argument.

    The value is encrypted with the key in INTELLIR_SECRET_KEY (32 bytes, base64 or hex). If that is not set, a key is
    generated and saved next to the database. Refer to the credential as store:NAME in the configuration. A running
    gateway uses the new value after its next restart or reload.
    """
    _check_name(name)
    text = typer.prompt("Credential", hide_input=True) if sys.stdin.isatty() else read_input()
    if not text.strip():
        hint = f"Pass it on standard input: `printf %s SECRET | intellirouter credentials set {name}`."
        raise CommandError("The credential is empty.", hint)
    try:
        secret = config.clean_secret(text, "The credential")
    except config.SecretReferenceError as error:
        raise CommandError(error.message, error.hint, status=ExitStatus.USAGE) from None
    with _open_store(config_file) as credentials:
        key_file = credentials.set(name, secret, time.time_ns() // 1000)
    if key_file is not None:
        print_line(f"Created the encryption key {key_file}.")
        print_line("Keep a copy of it: stored credentials cannot be decrypted without it.")
    print_line(f"Stored the credential {name}. Refer to it as store:{name}.")


def _check_name(name: str) -> None:
    """Raise `CommandError` for an invalid name. It is not repeated, because it may be the credential itself."""
    if not re.fullmatch(_NAME_PATTERN, name):
        hint = "Use 1 to 100 letters, digits, dots, dashes and underscores, starting with a letter or digit."
        raise CommandError("Invalid credential name.", hint, status=ExitStatus.USAGE)
    if not re.fullmatch(config.STORED_PATTERN, f"store:{name}"):
        hint = "Choose a name, and pass the credential on standard input."
        raise CommandError("The name looks like a credential.", hint, status=ExitStatus.USAGE)


def list_credentials(config_file: StoreConfigOption = None, output: OutputOption = "table") -> None:
    """List the names of stored credentials. Their values are never shown."""
    with _open_store(config_file) as credentials:
        entries = credentials.names()
    rows = [(each.name, _format_time(each.created_us), _format_time(each.updated_us)) for each in entries]
    data = {"credentials": [dict(zip(("name", "created", "updated"), row, strict=True)) for row in rows]}
    empty = "No credentials are stored."
    headings = ("NAME", "CREATED", "UPDATED")
    print_data(data, output, lambda: [make_table(headings, rows, optional=("CREATED", "UPDATED")) if rows else empty])


def _format_time(epoch_us: int) -> str:
    return datetime.fromtimestamp(epoch_us / 1_000_000, UTC).isoformat(timespec="seconds")


def remove_credential(name: CredentialName, config_file: StoreConfigOption = None) -> None:
    """Delete a stored credential. A running gateway keeps using it until its next restart or reload."""
    with _open_store(config_file) as credentials:
        was_removed = credentials.remove(name)
    if not was_removed:
        hint = "Run `intellirouter credentials list` to list the stored credentials."
        raise CommandError(f"There is no stored credential named {name}.", hint)
    print_line(f"Removed the credential {name}.")


def rekey_credentials(config_file: StoreConfigOption = None) -> None:
    """Re-encrypt all stored credentials with a new key.

    A key file next to the database is replaced by a newly generated one. If the key is in INTELLIR_SECRET_KEY instead,
    set the new key in INTELLIR_SECRET_KEY_NEW, run this command, then move the new key to INTELLIR_SECRET_KEY.
    """
    key_variable = store.KEY_VARIABLE
    variables = config.process_environment()
    with _open_store(config_file) as credentials:
        count = credentials.rekey(variables.get(f"{key_variable}_NEW"))
    print_line(f"Re-encrypted {format_count(count, 'stored credential')} with the new key.")
    if variables.get(key_variable, "").strip():
        print_line(f"Now set {key_variable} to the new key.")
