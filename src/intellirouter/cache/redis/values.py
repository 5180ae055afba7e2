"""How answers and claims are stored in Redis: a mark with the version of the format, then MessagePack. Pure.

Times are wall-clock times, because the monotonic clocks of processes differ. The tenant and the key are in the value as
well, so that a value that was copied to another key is not used.
"""

from typing import Final

import msgspec
from msgspec import Struct

from intellirouter.cache.entries import Claim, StoredAnswer
from intellirouter.core import Loss

_MARK: Final = b"IR1\n"
"""Another version of the format has another mark, so that its values are misses."""


class _Answer(Struct, frozen=True, array_like=True, tag="answer"):
    tenant: str
    key: bytes
    body: bytes
    content_type: bytes
    request_id: str
    stored_us: int
    expires_us: int
    finish_reason: str | None
    losses: tuple[Loss, ...]
    cost_microusd: int | None
    client_key: bytes
    pieces: tuple[tuple[int, int], ...]


class _Claim(Struct, frozen=True, array_like=True, tag="claim"):
    tenant: str
    key: bytes
    client_key: bytes
    request_id: str


_decode: Final = msgspec.msgpack.Decoder(_Answer | _Claim).decode
_encode: Final = msgspec.msgpack.Encoder().encode


class ClockOffset(Struct, frozen=True):
    """What the monotonic clock of this process showed at a wall-clock time."""

    monotonic_s: float
    epoch_us: int

    def to_epoch_us(self, monotonic_s: float) -> int:
        return self.epoch_us + int((monotonic_s - self.monotonic_s) * 1e6)

    def to_monotonic_s(self, epoch_us: int) -> float:
        return self.monotonic_s + (epoch_us - self.epoch_us) / 1e6


def encode_answer(tenant: str, key: bytes, answer: StoredAnswer, now: ClockOffset) -> bytes:
    return _MARK + _encode(
        _Answer(
            tenant,
            key,
            answer.body,
            answer.content_type,
            answer.request_id,
            now.to_epoch_us(answer.stored_s),
            now.to_epoch_us(answer.expires_s),
            answer.finish_reason,
            answer.losses,
            answer.cost_microusd,
            answer.client_key,
            answer.pieces,
        )
    )


def encode_claim(tenant: str, key: bytes, claim: Claim) -> bytes:
    return _MARK + _encode(_Claim(tenant, key, claim.client_key, claim.request_id))


def decode_value(value: bytes, tenant: str, key: bytes, now: ClockOffset) -> StoredAnswer | Claim:
    """Return what is stored under this key of this tenant. Raises ValueError if it is not from this version."""
    if not value.startswith(_MARK):
        raise ValueError("it has another format")
    try:
        found = _decode(memoryview(value)[len(_MARK) :])
    except msgspec.MsgspecError as error:
        raise ValueError(f"it is damaged ({error})") from None
    if found.tenant != tenant or found.key != key:
        raise ValueError("it belongs to another key")
    if isinstance(found, _Claim):
        return Claim(client_key=found.client_key, request_id=found.request_id)
    return StoredAnswer(
        body=found.body,
        content_type=found.content_type,
        request_id=found.request_id,
        # An answer from a process whose clock is ahead is not from the future.
        stored_s=min(now.monotonic_s, now.to_monotonic_s(found.stored_us)),
        expires_s=now.to_monotonic_s(found.expires_us),
        finish_reason=found.finish_reason,
        losses=found.losses,
        cost_microusd=found.cost_microusd,
        client_key=found.client_key,
        pieces=found.pieces,
    )
