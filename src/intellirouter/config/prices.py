"""Converts the prices of the configuration."""

from decimal import Decimal

from intellirouter.config.schema import Price as PriceEntry
from intellirouter.core import Price, pusd_per_token


def compile_price(entry: PriceEntry) -> Price:
    """Convert US dollars per million tokens to whole pico-USD per token."""

    def optional(amount: Decimal | None) -> int | None:
        return None if amount is None else pusd_per_token(amount)

    return Price(
        input=pusd_per_token(entry.input_per_1m_usd),
        output=pusd_per_token(entry.output_per_1m_usd),
        cache_read=optional(entry.cache_read_per_1m_usd),
        cache_write=optional(entry.cache_write_per_1m_usd),
        cache_write_1h=optional(entry.cache_write_1h_per_1m_usd),
        input_audio=optional(entry.input_audio_per_1m_usd),
        output_audio=optional(entry.output_audio_per_1m_usd),
        input_image=optional(entry.input_image_per_1m_usd),
        output_image=optional(entry.output_image_per_1m_usd),
    )
