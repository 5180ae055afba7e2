"""The decision headers of a response: which deployment answered, why, after how many attempts, and at what cost."""

from functools import lru_cache

from intellirouter.core import format_usd, reason_of
from intellirouter.pipeline import Exchange, Headers


def decision_headers(exchange: Exchange) -> Headers:
    """Return the headers that are known so far. The first one is `x-request-id`."""
    headers = [(b"x-request-id", exchange.request_id.encode())]
    if exchange.answered_by is not None and not exchange.is_handed_over:
        headers.append((b"x-intellirouter-cache", header_value(exchange.answered_by)))
    decision = exchange.decision
    if exchange.losses or exchange.ignored:
        losses = (*exchange.ignored, *exchange.losses)
        headers.append((b"x-intellirouter-dropped", header_value(", ".join(map(str, losses)))))
    if decision is None:
        return headers
    if exchange.deployment is not None:
        headers.append((b"x-intellirouter-deployment", header_value(exchange.deployment.name)))
    headers += (
        (b"x-intellirouter-strategy", header_value(decision.strategy)),
        (b"x-intellirouter-reason", header_value(reason_of(decision, exchange.attempts))),
        (b"x-intellirouter-attempts", b"%d" % len(exchange.attempts)),
        (b"x-intellirouter-cache", b"off"),
    )
    if exchange.usage is not None:
        cost = b"unknown" if exchange.cost_microusd is None else format_usd(exchange.cost_microusd).encode()
        headers.append((b"x-intellirouter-cost-usd", cost))
    return headers


@lru_cache(maxsize=4096)
def header_value(text: str) -> bytes:
    """Return the text as a header value. Characters outside printable ASCII become `?`."""
    if text.isascii() and text.isprintable():
        return text.encode("ascii")
    return bytes(ord(char) if 0x20 <= ord(char) < 0x7F else 0x3F for char in text)
