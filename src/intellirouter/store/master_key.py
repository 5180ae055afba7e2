"""The key that encrypts stored credentials: set by the operator, or in a file next to the database."""

import base64
import binascii
import contextlib
import os
import re
import secrets
import stat
from pathlib import Path
from typing import Final

from intellirouter.store.failures import reason_of

KEY_BYTES: Final = 32
_HEX: Final = re.compile(r"[0-9a-fA-F]{64}")
_CREATE_ONE: Final = "Create one with `openssl rand -base64 32`."


class CredentialError(Exception):
    """Stored credentials cannot be used. The message contains no secret."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


def parse_key(text: str, where: str) -> bytes:
    """Return the key in `text`: 32 bytes in base64 (either alphabet) or hexadecimal. Raises `CredentialError`.

    `where` is the start of the message: it names where the text comes from.
    """
    text = text.strip()
    if _HEX.fullmatch(text):
        return bytes.fromhex(text)
    with contextlib.suppress(binascii.Error, ValueError):
        key = base64.b64decode(text.replace("-", "+").replace("_", "/") + "=" * (-len(text) % 4), validate=True)
        if len(key) == KEY_BYTES:
            return key
    raise CredentialError(f"{where} is not a key of 32 bytes in base64 or hexadecimal.", _CREATE_ONE)


class KeyFile:
    """The key file next to the database. `next_path` exists only while the key is being changed."""

    def __init__(self, database: Path) -> None:
        self.path = database.with_suffix(".key")
        self.next_path = self.path.with_name(self.path.name + ".next")

    def read(self) -> tuple[bytes, ...]:
        """Return the key and, if a change of the key was interrupted, the new key; empty if there is no key file.

        Raises `CredentialError` for a file that other users can access, or that contains no key.
        """
        return tuple(_read(path) for path in (self.path, self.next_path) if os.path.lexists(path))

    def create(self) -> bytes:
        """Create a new key and its file. Raises `CredentialError`."""
        return _write(self.path)

    def prepare(self) -> bytes:
        """Save the new key before anything is encrypted with it, so that an interruption loses nothing."""
        if self.next_path.exists():
            return _read(self.next_path)
        return _write(self.next_path)

    def replace(self) -> None:
        """Make the new key the current key."""
        self.next_path.replace(self.path)


def _read(path: Path) -> bytes:
    try:
        mode = path.stat().st_mode
        text = path.read_text("ascii", errors="replace")
    except OSError as error:
        raise CredentialError(f"The key file {path} cannot be read: {reason_of(error)}.") from None
    if mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise CredentialError(f"The key file {path} is accessible to other users.", f"Run `chmod 600 {path}`.")
    return parse_key(text, f"The content of {path}")


def _write(path: Path) -> bytes:
    key = secrets.token_bytes(KEY_BYTES)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(handle, "w") as file:
            file.write(base64.b64encode(key).decode() + "\n")
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise CredentialError(f"The key file {path} cannot be written: {reason_of(error)}.") from None
    return key
