"""The response cache: what may be stored, under which key, for how long, and who may wait for the same answer.

Door: `CacheKeys`, `CacheDirectives`, `StoredAnswer`, the protocol `AnswerStore`, `MemoryAnswerStore`,
`RedisAnswerStore`, `Flights`, `SharedCache`. It knows bytes and settings. `pipeline` has the stage that uses it. See
DESIGN.md. The core of the cache for similar requests, `semantic`, has a door of its own, because it is only loaded if
it is used.
"""

from intellirouter.cache.directives import CacheDirectives, parse_directives
from intellirouter.cache.entries import AnswerStore, Claim, MemoryAnswerStore, StoredAnswer
from intellirouter.cache.flights import Flight, Flights, Follower, Lagging, Landing
from intellirouter.cache.keys import CacheKeys, canonical_body, idempotency_key_of
from intellirouter.cache.redis import RedisAnswerStore, RedisCounts, RedisHealth
from intellirouter.cache.rules import exclusion_reason, may_store
from intellirouter.cache.shared_cache import SharedCache
from intellirouter.cache.similar_answers import Lookup, MonitorView, Similar, SimilarAnswers

__all__ = [
    "AnswerStore",
    "CacheDirectives",
    "CacheKeys",
    "Claim",
    "Flight",
    "Flights",
    "Follower",
    "Lagging",
    "Landing",
    "Lookup",
    "MemoryAnswerStore",
    "MonitorView",
    "RedisAnswerStore",
    "RedisCounts",
    "RedisHealth",
    "SharedCache",
    "Similar",
    "SimilarAnswers",
    "StoredAnswer",
    "canonical_body",
    "exclusion_reason",
    "idempotency_key_of",
    "may_store",
    "parse_directives",
]
