"""`intellirouter credentials set`: keep a credential in the store, sealed."""

import re
import sys
import time

import typer

from intellirouter.cli.exits import ExitStatus, Failure
from intellirouter.cli.stored import NAME_PATTERN, ConfigOption, CredentialName, stored_credentials


def set_credential(name: CredentialName, config: ConfigOption = None) -> None:
    """Store a credential, or replace it. It is read from standard input, or asked for; it is never an argument.

    It is sealed with the key in INTELLIR_SECRET_KEY (32 bytes, base64 or hex), or with one that is made and kept beside
    the database. Refer to it as store:NAME; a running gateway takes it at its next start or reload.
    """
    if not re.fullmatch(NAME_PATTERN, name):
        hint = "Letters, digits, dots, dashes and underscores; 100 at most."
        raise Failure("that is not a name", hint, status=ExitStatus.USAGE)
    is_asked = sys.stdin.isatty()
    secret = (typer.prompt("Credential", hide_input=True) if is_asked else sys.stdin.read()).strip()
    if not secret:
        raise Failure("there is nothing to store", f"printf %s SECRET | intellirouter credentials set {name}")
    with stored_credentials(config) as store:
        key_file = store.set(name, secret, time.time_ns() // 1000)
    if key_file is not None:
        typer.echo(f"made a key for stored credentials: {key_file} (keep a copy: without it they cannot be opened)")
    typer.echo(f"stored {name}; refer to it as store:{name}")
