"""The port of the memory for reasoning that clients do not send back."""

from typing import Protocol


class ReasoningMemory(Protocol):
    """Remembers, for one tenant, reasoning and opaque tokens that belong to tool calls. Bounded; thread-safe.

    Values are opaque bytes, so that they can be stored anywhere. Nothing can be read that another tenant has stored.
    """

    @property
    def is_empty(self) -> bool: ...

    def put(self, key: str, value: bytes) -> None:
        """Store a value, which replaces one with the same key. Others may be forgotten for it."""
        ...

    def get(self, key: str) -> bytes | None:
        """Return the value, which counts as used now; None if it is unknown or has been forgotten."""
        ...
