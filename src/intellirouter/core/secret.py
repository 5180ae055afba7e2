"""Values that must not appear in logs and tracebacks."""

import hashlib
from typing import Final

_FINGERPRINT_CHARS: Final = 8


class Secret:
    """A credential. Its repr and str are masked, so that it does not appear in logs or tracebacks."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        return self._value

    @property
    def fingerprint(self) -> str:
        """The first 8 hex digits of the SHA-256 hash, which identify it among the credentials of a provider."""
        return hashlib.sha256(self._value.encode()).hexdigest()[:_FINGERPRINT_CHARS]

    def __repr__(self) -> str:
        return "Secret(***)"

    __str__ = __repr__

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._value == self._value

    def __hash__(self) -> int:
        return hash(self._value)
