"""Resolves references to secrets. This happens once, when the configuration is compiled."""

import hashlib
import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path as FilePath
from typing import Final

from msgspec import Struct

from intellirouter.config.value_types import DIGEST_PREFIX
from intellirouter.core import VendorRow, read_bounded

MAX_SECRET_BYTES: Final = 64 * 1024
_NOTHING_ELSE: Final = "It must contain only the secret."


class SecretReferenceError(Exception):
    """A reference that cannot be resolved. The message names the reference, never a value."""

    def __init__(self, message: str, hint: str) -> None:
        """Both are whole sentences; the hint may be empty."""
        super().__init__(message)
        self.message = message
        self.hint = hint


StoredSecretLookup = Callable[[str], str]
"""Takes the name of a stored credential and returns the credential. Raises `SecretReferenceError`."""


class SecretSources(Struct, frozen=True):
    """Where references are resolved: the environment and the store."""

    environ: Mapping[str, str]
    stored: StoredSecretLookup | None = None
    """None where stored credentials are not available."""
    resolves: bool = True
    """Otherwise every reference is valid, and stands for a placeholder."""


def resolve_secret(reference: str, sources: SecretSources) -> str:
    """Return the secret behind `env:NAME`, `file:PATH` or `store:NAME`, without surrounding white space.

    `env:A+B` joins two variables with a colon. A JSON document is reduced to one line. Raises `SecretReferenceError`.
    """
    kind, _, target = reference.partition(":")
    if not sources.resolves:
        return reference
    if kind == "env":
        text, where = _from_environment(target, sources.environ), f"The environment variable {target}"
    elif kind == "store":
        if sources.stored is None:
            raise SecretReferenceError("Stored credentials cannot be read here.", "Use another reference.")
        text, where = sources.stored(target), f"The stored credential `{target}`"
    else:
        text, where = _read(target), f"The file {target}"
    return clean_secret(text, where)


def clean_secret(text: str, where: str) -> str:
    """Return a secret as it is sent: on one line, without surrounding white space. Raises `SecretReferenceError`.

    `where` names its source at the beginning of a message.
    """
    text = _one_line(text.strip())
    if not text:
        raise SecretReferenceError(f"{where} is empty.", "It must contain the secret.")
    if not text.isascii() or not text.isprintable():
        raise SecretReferenceError(
            f"{where} contains characters that are not allowed in a credential.",
            "A credential is one line of printable ASCII.",
        )
    return text


def reference_source(reference: str) -> str:
    """Return where a reference leads, in words for the middle of a sentence."""
    kind, _, target = reference.partition(":")
    words = {"env": "the environment variable ", "file": "the file ", "store": "the stored credential "}
    return f"{words[kind]}{target.replace('+', ' and ') if kind == 'env' else target}"


def usual_variable(row: VendorRow, environ: Mapping[str, str]) -> str | None:
    """Return the first of the vendor's usual variables that is set, or None. For `A+B` both must be set."""
    for names in row.credential_env:
        if all(environ.get(name, "").strip() for name in names.split("+")):
            return names
    return None


def resolve_key_digest(reference: str, sources: SecretSources) -> bytes:
    """Return the SHA-256 digest of the key behind a reference, or the digest that is given instead of a reference.

    Raises `SecretReferenceError`.
    """
    if reference.startswith(DIGEST_PREFIX):
        return bytes.fromhex(reference.removeprefix(DIGEST_PREFIX))
    return hashlib.sha256(resolve_secret(reference, sources).encode()).digest()


def _from_environment(target: str, environ: Mapping[str, str]) -> str:
    texts = []
    for name in target.split("+"):
        text = environ.get(name)
        if text is None:
            raise SecretReferenceError(
                f"The environment variable {name} is not set.", "Set it, or use another reference."
            )
        texts.append(text.strip())
    return ":".join(texts)


def _one_line(text: str) -> str:
    """Reduce a credential that is a JSON object (a Google key file) to one line of ASCII."""
    if not text.startswith("{"):
        return text
    try:
        return json.dumps(json.loads(text), separators=(",", ":"))
    except (ValueError, RecursionError):
        return text


def _read(target: str) -> str:
    path = FilePath(os.path.expanduser(target))  # noqa: PTH111 - pathlib raises for an unknown user
    try:
        raw = read_bounded(path, MAX_SECRET_BYTES)
        text = raw.decode()
    except OSError as error:
        message = f"The file {target} cannot be read: {error.strerror or error}."
        raise SecretReferenceError(message, "Check its path and its permissions.") from None
    except UnicodeDecodeError:  # a ValueError, too
        raise SecretReferenceError(f"The file {target} is not valid UTF-8.", _NOTHING_ELSE) from None
    if len(raw) > MAX_SECRET_BYTES:
        raise SecretReferenceError(f"The file {target} is larger than 64 KiB.", _NOTHING_ELSE)
    return text
