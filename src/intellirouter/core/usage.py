"""Token counts in disjoint buckets, whatever shape the vendor reports them in."""

from msgspec import Struct


class Usage(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Tokens of one exchange. No token is counted in two buckets, so the sum is the truth."""

    input_tokens: int = 0
    """Prompt tokens that were neither read from nor written to the provider's prompt cache."""
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0
    output_tokens: int = 0
    """Completion tokens without reasoning and audio."""
    reasoning_tokens: int = 0
    input_audio_tokens: int = 0
    output_audio_tokens: int = 0
    is_estimated: bool = False
    """True when the upstream reported nothing (an aborted stream, say) and we counted bytes."""

    def plus(self, other: "Usage") -> "Usage":
        """Return both together; an estimate in one makes the sum an estimate."""
        return Usage(
            input_tokens=self.input_tokens + other.input_tokens,
            cache_read_tokens=self.cache_read_tokens + other.cache_read_tokens,
            cache_write_tokens=self.cache_write_tokens + other.cache_write_tokens,
            output_tokens=self.output_tokens + other.output_tokens,
            reasoning_tokens=self.reasoning_tokens + other.reasoning_tokens,
            input_audio_tokens=self.input_audio_tokens + other.input_audio_tokens,
            output_audio_tokens=self.output_audio_tokens + other.output_audio_tokens,
            is_estimated=self.is_estimated or other.is_estimated,
        )

    @property
    def total_tokens(self) -> int:
        return self.total_input_tokens + self.total_output_tokens

    @property
    def total_input_tokens(self) -> int:
        return self.input_tokens + self.cache_read_tokens + self.cache_write_tokens + self.input_audio_tokens

    @property
    def total_output_tokens(self) -> int:
        return self.output_tokens + self.reasoning_tokens + self.output_audio_tokens


NO_USAGE = Usage()
BYTES_PER_TOKEN = 4


def estimate_tokens(size_bytes: int) -> int:
    """Guess tokens from bytes of text, rounded up: about four bytes a token for Latin scripts."""
    return -(-size_bytes // BYTES_PER_TOKEN)


_MEDIA_BYTES = 4096
"""From here on, a JSON string without a blank, in ASCII, is no text: base64 of a picture, a sound, a document."""
_MEDIA_TOKENS = 1000
_LOOK_FROM_BYTES = 16 * 1024


def estimate_input_tokens(body: bytes) -> int:
    """Guess the input tokens of a request from its body, a picture counted as a picture and not as its bytes."""
    size = len(body)
    if size > _LOOK_FROM_BYTES:
        for piece in body.split(b'"'):
            if len(piece) > _MEDIA_BYTES and b" " not in piece and piece.isascii():
                size -= len(piece) - _MEDIA_TOKENS * BYTES_PER_TOKEN
    return estimate_tokens(size)
