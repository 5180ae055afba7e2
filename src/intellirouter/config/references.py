"""Secrets are references; here they become values, once, at compile time."""

import hashlib
import json
from collections.abc import Callable, Mapping
from pathlib import Path as FilePath
from typing import Final

from msgspec import Struct

from intellirouter.config.values import DIGEST_PREFIX
from intellirouter.core import VendorRow

MAX_SECRET_BYTES: Final = 64 * 1024


class UnresolvedError(Exception):
    """A reference that leads nowhere. The message names the reference, never a value."""

    def __init__(self, message: str, hint: str) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


StoredSecrets = Callable[[str], str]
"""Takes the name of a stored credential and returns it. Raises `UnresolvedError`."""


class Secrets(Struct, frozen=True):
    """Where references lead: the environment and the store."""

    environ: Mapping[str, str]
    stored: StoredSecrets | None = None
    """None: nothing can be stored where this runs."""


def resolve_secret(reference: str, secrets: Secrets) -> str:
    """Return the text behind `env:NAME`, `file:PATH` or `store:NAME`, without surrounding white space.

    `env:A+B` is both, joined by a colon. JSON becomes one line. Raises `UnresolvedError`.
    """
    kind, _, target = reference.partition(":")
    if kind == "env":
        text, where = _from_environment(target, secrets.environ), f"the environment variable {target}"
    elif kind == "store":
        if secrets.stored is None:
            raise UnresolvedError("stored credentials cannot be read here", "name another reference")
        text, where = secrets.stored(target), f"the stored credential {target}"
    else:
        text, where = _read(target), f"the file {target}"
    text = _one_line(text.strip())
    if not text:
        raise UnresolvedError(f"{where} is empty", "put the secret there")
    if not text.isascii() or not text.isprintable():
        raise UnresolvedError(
            f"{where} holds characters that no credential has", "it must be one line of printable ASCII"
        )
    return text


def usual_variable(row: VendorRow, environ: Mapping[str, str]) -> str | None:
    """Return the first of the vendor's usual variables (`A+B`: all of them) that is set, or None."""
    for names in row.credential_env:
        if all(environ.get(name, "").strip() for name in names.split("+")):
            return names
    return None


def resolve_key_digest(reference: str, secrets: Secrets) -> bytes:
    """Return the SHA-256 of the key behind a reference, or the digest stated. Raises `UnresolvedError`."""
    if reference.startswith(DIGEST_PREFIX):
        return bytes.fromhex(reference.removeprefix(DIGEST_PREFIX))
    return hashlib.sha256(resolve_secret(reference, secrets).encode()).digest()


def _from_environment(target: str, environ: Mapping[str, str]) -> str:
    texts = []
    for name in target.split("+"):
        text = environ.get(name)
        if text is None:
            raise UnresolvedError(
                f"the environment variable {name} is not set", f"export {name}=…, or name another reference"
            )
        texts.append(text.strip())
    return ":".join(texts)


def _one_line(text: str) -> str:
    """Write a credential that is a JSON object (a Google key file) as one line of ASCII."""
    if not text.startswith("{"):
        return text
    try:
        return json.dumps(json.loads(text), separators=(",", ":"))
    except (ValueError, RecursionError):
        return text


def _read(target: str) -> str:
    path = FilePath(target).expanduser()
    try:
        with path.open("rb") as file:
            raw = file.read(MAX_SECRET_BYTES + 1)
        text = raw.decode()
    except OSError as error:
        raise UnresolvedError(
            f"the file {target} cannot be read: {error.strerror or error}", "check the path"
        ) from None
    except UnicodeDecodeError:
        raise UnresolvedError(f"the file {target} is not text", "it must hold the secret alone") from None
    if len(raw) > MAX_SECRET_BYTES:
        raise UnresolvedError(f"the file {target} is larger than 64 KiB", "it must hold the secret alone")
    return text
