"""Stored answers in a Redis or Valkey server, which several processes share.

Door: `RedisAnswerStore`, `RedisCounts`, `RedisHealth`. `resp` is the protocol, `connection` one connection, `link`
keeps a connection up, `values` encodes answers.
"""

from intellirouter.cache.redis.link import RedisHealth
from intellirouter.cache.redis.store import RedisAnswerStore, RedisCounts

__all__ = ["RedisAnswerStore", "RedisCounts", "RedisHealth"]
