"""The limits on the structure of requests. They bound how long a request can keep the gateway busy."""

from typing import Final

from msgspec import Struct

from intellirouter.core.json_outline import FEW_CONTAINERS, FEW_VALUES


class RequestLimits(Struct, frozen=True, kw_only=True):
    """Limits of one request. Each is the setting `server.max_NAME`."""

    json_depth: int = 128
    json_values: int = 350_000
    """Members of all objects and elements of all arrays."""
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
        """Return whether a body that is decoded on the event loop can exceed a limit other than the depth."""
        containers = min(self.json_objects, self.messages, self.tools)
        values = min(self.json_values, self.content_parts, self.inputs)
        return containers < FEW_CONTAINERS or values <= FEW_VALUES + FEW_CONTAINERS


DEFAULT_LIMITS: Final = RequestLimits()
