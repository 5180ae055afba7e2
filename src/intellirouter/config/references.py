"""Secrets are references; here they become values, once, at compile time."""

import hashlib
from collections.abc import Mapping
from pathlib import Path as FilePath
from typing import Final

from intellirouter.config.values import DIGEST_PREFIX

MAX_SECRET_BYTES: Final = 64 * 1024


class UnresolvedError(Exception):
    """A reference that leads nowhere. The message names the reference, never a value."""

    def __init__(self, message: str, hint: str) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


def resolve_secret(reference: str, environ: Mapping[str, str]) -> str:
    """Return the text behind `env:NAME` or `file:PATH`, without surrounding white space. Raises `UnresolvedError`."""
    kind, _, target = reference.partition(":")
    if kind == "env":
        text, where = environ.get(target), f"the environment variable {target}"
        if text is None:
            raise UnresolvedError(f"{where} is not set", f"export {target}=…, or name another reference")
    else:
        text, where = _read(target), f"the file {target}"
    text = text.strip()
    if not text:
        raise UnresolvedError(f"{where} is empty", "put the secret there")
    if not text.isascii() or not text.isprintable():
        raise UnresolvedError(
            f"{where} holds characters that no credential has", "it must be one line of printable ASCII"
        )
    return text


def resolve_key_digest(reference: str, environ: Mapping[str, str]) -> bytes:
    """Return the SHA-256 of the key behind a reference, or the digest stated. Raises `UnresolvedError`."""
    if reference.startswith(DIGEST_PREFIX):
        return bytes.fromhex(reference.removeprefix(DIGEST_PREFIX))
    return hashlib.sha256(resolve_secret(reference, environ).encode()).digest()


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
