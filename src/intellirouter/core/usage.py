"""Token counts in disjoint buckets, independent of the format in which a vendor reports them."""

from collections.abc import Callable
from operator import attrgetter
from typing import Final

from msgspec import Struct


class Usage(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Tokens of one exchange. No token is counted in two buckets, so the buckets add up to the total."""

    input_tokens: int = 0
    """Input tokens that were neither read from nor written to the prompt cache of the provider."""
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0
    """Without `cache_write_1h_tokens`."""
    cache_write_1h_tokens: int = 0
    """Input tokens that were written to the provider's cache for an hour, which costs more."""
    output_tokens: int = 0
    """Output tokens without reasoning, audio and images."""
    reasoning_tokens: int = 0
    input_audio_tokens: int = 0
    output_audio_tokens: int = 0
    input_image_tokens: int = 0
    output_image_tokens: int = 0
    is_estimated: bool = False
    """True if the upstream did not report usage, for example for an aborted stream, so that it was estimated."""
    is_implausible: bool = False
    """True if the upstream reported counts that are not possible, so that they were replaced by what is possible."""
    provider_cost_microusd: int | None = None
    """The cost that the provider itself reports, which is only recorded."""

    def plus(self, other: "Usage") -> "Usage":
        """Return the sum. It is an estimate if one of the two is."""
        return Usage(
            input_tokens=self.input_tokens + other.input_tokens,
            cache_read_tokens=self.cache_read_tokens + other.cache_read_tokens,
            cache_write_tokens=self.cache_write_tokens + other.cache_write_tokens,
            cache_write_1h_tokens=self.cache_write_1h_tokens + other.cache_write_1h_tokens,
            output_tokens=self.output_tokens + other.output_tokens,
            reasoning_tokens=self.reasoning_tokens + other.reasoning_tokens,
            input_audio_tokens=self.input_audio_tokens + other.input_audio_tokens,
            output_audio_tokens=self.output_audio_tokens + other.output_audio_tokens,
            input_image_tokens=self.input_image_tokens + other.input_image_tokens,
            output_image_tokens=self.output_image_tokens + other.output_image_tokens,
            is_estimated=self.is_estimated or other.is_estimated,
            is_implausible=self.is_implausible or other.is_implausible,
            provider_cost_microusd=_sum_of(self.provider_cost_microusd, other.provider_cost_microusd),
        )

    @property
    def total_tokens(self) -> int:
        return self.total_input_tokens + self.total_output_tokens

    @property
    def total_input_tokens(self) -> int:
        return sum(INPUT_COUNTS(self))

    @property
    def total_cache_write_tokens(self) -> int:
        return self.cache_write_tokens + self.cache_write_1h_tokens

    @property
    def total_output_tokens(self) -> int:
        return sum(OUTPUT_COUNTS(self))


INPUT_COUNTS: Final[Callable[[Usage], tuple[int, ...]]] = attrgetter(
    "input_tokens",
    "cache_read_tokens",
    "cache_write_tokens",
    "cache_write_1h_tokens",
    "input_audio_tokens",
    "input_image_tokens",
)
"""Returns the disjoint counts of a usage's input. Their sum is its total."""
OUTPUT_COUNTS: Final[Callable[[Usage], tuple[int, ...]]] = attrgetter(
    "output_tokens", "reasoning_tokens", "output_audio_tokens", "output_image_tokens"
)

NO_USAGE = Usage()


def _sum_of(one: int | None, other: int | None) -> int | None:
    return one if other is None else other if one is None else one + other


BYTES_PER_TOKEN = 4


def estimate_tokens(size_bytes: int) -> int:
    """Estimate the tokens of a text, rounded up. For Latin scripts a token is about four bytes."""
    return -(-size_bytes // BYTES_PER_TOKEN)


_MEDIA_BYTES = 4096
"""A longer JSON string of ASCII without spaces is not text, but an image, audio or a document in base64."""
_MEDIA_TOKENS = 1000
_MIN_SCANNED_BYTES = 16 * 1024


def estimate_input_tokens(body: bytes) -> int:
    """Estimate the input tokens of a request from its body. An image counts as `_MEDIA_TOKENS`, not by its bytes."""
    size = len(body)
    if size > _MIN_SCANNED_BYTES:
        for piece in body.split(b'"'):
            if len(piece) > _MEDIA_BYTES and b" " not in piece and piece.isascii():
                size -= len(piece) - _MEDIA_TOKENS * BYTES_PER_TOKEN
    return estimate_tokens(size)
