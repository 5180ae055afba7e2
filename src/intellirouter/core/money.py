"""Prices and amounts as integers: prices in pico-USD per token, amounts in micro-USD, never floats.

One US dollar per million tokens is 10⁶ pico-USD per token, so all current list prices are exact.
"""

from decimal import ROUND_HALF_UP, Decimal
from typing import Final

from msgspec import Struct, structs

from intellirouter.core.usage import Usage

PICO_PER_MICRO: Final = 1_000_000


def pusd_per_token(usd_per_1m: Decimal | str | float) -> int:
    """Convert a list price (US dollars per million tokens) to pico-USD per token.

    A float is converted through its shortest decimal form, which is what was typed.
    """
    amount = Decimal(str(usd_per_1m)) * 1_000_000
    return int(amount.to_integral_value(ROUND_HALF_UP))


class Price(Struct, frozen=True, kw_only=True):
    """What a deployment charges, in pico-USD per token. A bucket without a price falls back as documented."""

    input: int
    output: int
    cache_read: int | None = None
    """Falls back to `input`."""
    cache_write: int | None = None
    """Falls back to `input`."""
    cache_write_1h: int | None = None
    """Falls back to twice `input`, as all providers with such a cache charge."""
    input_audio: int | None = None
    """Falls back to `input`."""
    output_audio: int | None = None
    """Falls back to `output`."""
    input_image: int | None = None
    """Falls back to `input`."""
    output_image: int | None = None
    """Falls back to `output`."""
    version: str = "config"
    """Where the price comes from: `config`, or the source and version of a price list."""

    def cost_microusd(self, usage: Usage) -> int:
        """Return the cost of `usage`. It is rounded half up to micro-USD once, at the end."""
        input_price, output_price = self.input, self.output
        total = usage.input_tokens * input_price + (usage.output_tokens + usage.reasoning_tokens) * output_price
        if usage.cache_read_tokens:
            total += usage.cache_read_tokens * (input_price if self.cache_read is None else self.cache_read)
        if usage.cache_write_tokens:
            total += usage.cache_write_tokens * (input_price if self.cache_write is None else self.cache_write)
        if usage.cache_write_1h_tokens:
            total += usage.cache_write_1h_tokens * (
                2 * input_price if self.cache_write_1h is None else self.cache_write_1h
            )
        if usage.input_audio_tokens:
            total += usage.input_audio_tokens * (input_price if self.input_audio is None else self.input_audio)
        if usage.output_audio_tokens:
            total += usage.output_audio_tokens * (output_price if self.output_audio is None else self.output_audio)
        if usage.input_image_tokens:
            total += usage.input_image_tokens * (input_price if self.input_image is None else self.input_image)
        if usage.output_image_tokens:
            total += usage.output_image_tokens * (output_price if self.output_image is None else self.output_image)
        return (total + PICO_PER_MICRO // 2) // PICO_PER_MICRO

    def prompt_cache_saved_microusd(self, usage: Usage) -> int:
        """Return how much less `usage` costs than without a prompt cache; negative if writing to it cost more."""
        cached = usage.cache_read_tokens + usage.cache_write_tokens + usage.cache_write_1h_tokens
        if not cached:
            return 0
        uncached = structs.replace(
            usage,
            input_tokens=usage.input_tokens + cached,
            cache_read_tokens=0,
            cache_write_tokens=0,
            cache_write_1h_tokens=0,
        )
        return self.cost_microusd(uncached) - self.cost_microusd(usage)


def format_usd(microusd: int) -> str:
    """Format micro-USD as dollars with six decimals: `1500` becomes `0.001500`."""
    sign, amount = ("-", -microusd) if microusd < 0 else ("", microusd)
    return f"{sign}{amount // 1_000_000}.{amount % 1_000_000:06d}"
