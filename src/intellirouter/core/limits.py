"""The limits on the structure of requests. They bound how long a request can keep the gateway busy."""

from typing import Final

from msgspec import Struct


class RequestLimits(Struct, frozen=True, kw_only=True):
    """Limits of one request. Each is the setting `server.max_NAME`."""

    json_depth: int = 128
    json_values: int = 350_000
    """Commas, objects and arrays: at least the members of all objects and the elements of all arrays."""
    json_objects: int = 100_000
    """Objects and arrays."""
    messages: int = 20_000
    """Messages, or input items that are objects."""
    content_parts: int = 50_000
    """Parts of all messages, including tool calls and the parts of tool results."""
    tools: int = 4096
    inputs: int = 16_384
    """Texts or token lists to embed, documents to rank, prompts to complete."""

    @property
    def are_low(self) -> bool:
        """Return whether a limit, other than the depth, is lower than its default.

        Otherwise, only bodies that are decoded off the event loop can reasonably exceed one.
        """
        return any(
            getattr(self, name) < getattr(DEFAULT_LIMITS, name)
            for name in self.__struct_fields__
            if name != "json_depth"
        )


DEFAULT_LIMITS: Final = RequestLimits()
