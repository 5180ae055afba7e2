"""The key that seals stored credentials: stated by the operator, or kept in a file beside the database."""

import base64
import binascii
import contextlib
import os
import re
import secrets
import stat
from pathlib import Path
from typing import Final

KEY_BYTES: Final = 32
_HEX: Final = re.compile(r"[0-9a-fA-F]{64}")
_MAKE_ONE: Final = "Make one with: openssl rand -base64 32"


class CredentialError(Exception):
    """Stored credentials cannot be used. The message holds no secret."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


def parse_key(text: str, where: str) -> bytes:
    """Read a key: 32 bytes as base64 (either alphabet) or as hex. Raises `CredentialError`."""
    text = text.strip()
    if _HEX.fullmatch(text):
        return bytes.fromhex(text)
    with contextlib.suppress(binascii.Error, ValueError):
        key = base64.b64decode(text.replace("-", "+").replace("_", "/") + "=" * (-len(text) % 4), validate=True)
        if len(key) == KEY_BYTES:
            return key
    raise CredentialError(f"{where} is not a key of 32 bytes, as base64 or hex.", _MAKE_ONE)


class KeyFile:
    """The file beside the database. `next_path` exists only while the key is being changed."""

    def __init__(self, database: Path) -> None:
        self.path = database.with_suffix(".key")
        self.next_path = self.path.with_name(self.path.name + ".next")

    def read(self) -> tuple[bytes, ...]:
        """Return the key, and the one it was being replaced by when that was cut short; empty when there is none.

        Raises `CredentialError` for a file that others can read, or that holds no key.
        """
        return tuple(_read(path) for path in (self.path, self.next_path) if path.exists())

    def create(self) -> bytes:
        """Make a new key and its file. Raises `CredentialError`."""
        return _write(self.path)

    def prepare(self) -> bytes:
        """Write down the next key, so that what is sealed with it can be opened whatever happens."""
        if self.next_path.exists():
            return _read(self.next_path)
        return _write(self.next_path)

    def replace(self) -> None:
        """The next key is the key from now on."""
        self.next_path.replace(self.path)


def _read(path: Path) -> bytes:
    try:
        mode = path.stat().st_mode
        text = path.read_text("ascii", errors="replace")
    except OSError as error:
        raise CredentialError(f"the key file {path} cannot be read: {error.strerror}.") from None
    if mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise CredentialError(f"the key file {path} can be used by others.", f"chmod 600 {path}")
    return parse_key(text, f"the content of {path}")


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
        raise CredentialError(f"the key file {path} cannot be written: {error.strerror}.") from None
    return key
