"""Money is integers: prices in pico-USD per token, amounts in micro-USD. No float ever holds an amount.

One US dollar per million tokens is 10⁶ pico-USD per token, so every price list in use today is exact.
"""

from decimal import ROUND_HALF_UP, Decimal
from typing import Final

from msgspec import Struct

from intellirouter.core.usage import Usage

PICO_PER_MICRO: Final = 1_000_000


def pusd_per_token(usd_per_1m: Decimal | str | float) -> int:
    """Convert a list price (US dollars per million tokens) to pico-USD per token.

    A float is read by its shortest decimal form, as the person who typed it meant it.
    """
    amount = Decimal(str(usd_per_1m)) * 1_000_000
    return int(amount.to_integral_value(ROUND_HALF_UP))


class Price(Struct, frozen=True, kw_only=True):
    """What one deployment charges, in pico-USD per token. A bucket without its own price falls back as noted."""

    input: int
    output: int
    cache_read: int | None = None
    """Falls back to `input`."""
    cache_write: int | None = None
    """Falls back to `input`."""
    input_audio: int | None = None
    """Falls back to `input`."""
    output_audio: int | None = None
    """Falls back to `output`."""
    version: str = "config"
    """Where the price came from: `config`, or the catalog and its date."""

    def cost_microusd(self, usage: Usage) -> int:
        """Price `usage`, rounded half up to a whole micro-USD once, at the end."""
        first_in, first_out = self.input, self.output
        total = usage.input_tokens * first_in + (usage.output_tokens + usage.reasoning_tokens) * first_out
        if usage.cache_read_tokens:
            total += usage.cache_read_tokens * (first_in if self.cache_read is None else self.cache_read)
        if usage.cache_write_tokens:
            total += usage.cache_write_tokens * (first_in if self.cache_write is None else self.cache_write)
        if usage.input_audio_tokens:
            total += usage.input_audio_tokens * (first_in if self.input_audio is None else self.input_audio)
        if usage.output_audio_tokens:
            total += usage.output_audio_tokens * (first_out if self.output_audio is None else self.output_audio)
        return (total + PICO_PER_MICRO // 2) // PICO_PER_MICRO


def format_usd(microusd: int) -> str:
    """Render micro-USD as plain dollars with six decimals: `1500` becomes `0.001500`."""
    sign, amount = ("-", -microusd) if microusd < 0 else ("", microusd)
    return f"{sign}{amount // 1_000_000}.{amount % 1_000_000:06d}"
