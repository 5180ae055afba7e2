"""The Redis or Valkey server of the response cache."""

from pathlib import Path

import pytest

from intellirouter.config import ConfigError, RedisSpec
from intellirouter.core import Secret

BASE = "defaults: {cache: exact}\n"
ENVIRON = {"PASSWORD": "pass-word-1", "URL": "rediss://user:se%40cret@h.example:6380/2", "PLAIN": "redis://h.example"}


@pytest.mark.parametrize(
    ("redis", "expected"),
    [
        ("url: 'redis://h.example'", RedisSpec(host="h.example")),
        ("url: 'valkey://h.example:7000/3'", RedisSpec(host="h.example", port=7000, database=3)),
        ("url: 'redis://[::1]:6379'", RedisSpec(host="::1")),
        ("url: 'rediss://h.example/'", RedisSpec(host="h.example", is_tls=True)),
        ("url: 'unix:/run/redis.sock', database: 4", RedisSpec(uds="/run/redis.sock", database=4)),
        ("url: 'unix:///run/redis.sock'", RedisSpec(uds="/run/redis.sock")),
        ("url: 'redis://h', password: 'env:PASSWORD'", RedisSpec(host="h", password=Secret("pass-word-1"))),
        (
            "url: 'redis://h', username: gw, password: 'env:PASSWORD', prefix: 'x:', timeout_s: 1",
            RedisSpec(
                host="h",
                username="gw",
                password=Secret("pass-word-1"),
                prefix="x:",
                timeout_s=1.0,
            ),
        ),
        (
            "url: 'env:URL'",
            RedisSpec(
                host="h.example", port=6380, is_tls=True, database=2, username="user", password=Secret("se@cret")
            ),
        ),
        ("url: 'env:PLAIN'", RedisSpec(host="h.example")),
    ],
)
def test_addresses(compile_text, redis: str, expected: RedisSpec) -> None:
    found = compile_text(f"{BASE}cache: {{backend: redis, redis: {{{redis}}}}}\n", environ=ENVIRON).cache
    assert found.redis == expected


def test_memory_is_the_default(compile_text) -> None:
    assert compile_text(BASE).cache.redis is None


@pytest.mark.parametrize(
    ("redis", "path", "message"),
    [
        ("{}", "cache.redis.url", "needs the URL of the server"),
        ("{url: 'http://h'}", "cache.redis.url", "must start with"),
        ("{url: 'redis://'}", "cache.redis.url", "invalid host"),
        ("{url: 'redis://h:99999'}", "cache.redis.url", "invalid host or port"),
        ("{url: 'redis://h:0'}", "cache.redis.url", "invalid host or port"),
        ("{url: 'redis://h/x'}", "cache.redis.url", "number of a database"),
        ("{url: 'redis://h/70000'}", "cache.redis.url", "number of a database"),
        ("{url: 'redis://h?db=1'}", "cache.redis.url", "query"),
        ("{url: 'unix:redis.sock'}", "cache.redis.url", "absolute path"),
        (f"{{url: 'unix:/{'x' * 120}'}}", "cache.redis.url", "107 bytes"),
        ("{url: 'redis://u:secret-word@h'}", "cache.redis.url", "must not contain a login"),
        ("{url: 'env:MISSING'}", "cache.redis.url", "MISSING is not set"),
        ("{url: 'redis://h', password: 'secret-word'}", "cache.redis.password", "must be a reference"),
        ("{url: 'redis://h', password: 'env:MISSING'}", "cache.redis.password", "MISSING is not set"),
        ("{url: 'redis://h', username: u}", "cache.redis.username", "needs a password"),
        ("{url: 'redis://h/2', database: 3}", "cache.redis.database", "names the database 2"),
        ("{url: 'redis://h', ca_file: /none}", "cache.redis.ca_file", "without TLS"),
        ("{url: 'rediss://h', ca_file: /none}", "cache.redis.ca_file", "does not exist"),
        ("{url: 'redis://h', prefix: 'a b'}", "cache.redis.prefix", "printable ASCII"),
        ("{url: 'redis://h', timeout_s: 0}", "cache.redis.timeout_s", "0.001"),
    ],
)
def test_problems_name_the_setting_and_no_secret(compile_text, redis: str, path: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        compile_text(f"{BASE}cache: {{backend: redis, redis: {redis}}}\n", environ=ENVIRON)
    [problem] = [each for each in caught.value.problems if each.path == path]
    assert message in problem.message
    assert "secret-word" not in str(caught.value)


def test_a_file_of_authorities_is_found(compile_text, tmp_path: Path) -> None:
    file = tmp_path / "ca.pem"
    file.touch()
    text = f"{BASE}cache: {{backend: redis, redis: {{url: 'rediss://h', ca_file: {file}}}}}\n"
    redis = compile_text(text).cache.redis
    assert redis is not None
    assert redis.ca_file == str(file)


@pytest.mark.parametrize(
    ("cache", "warning"),
    [
        (
            "{redis: {url: 'redis://h'}}",
            "cache.redis: This section has no effect, because `cache.backend` is not redis.",
        ),
        ("{max_replay_s: 5}", "cache.max_replay_s: It has no effect, because `cache.replay` is not original."),
    ],
)
def test_settings_without_effect(compile_text, cache: str, warning: str) -> None:
    assert warning in compile_text(f"{BASE}cache: {cache}\n").warnings


def test_pace_of_stored_streams(compile_text) -> None:
    assert compile_text(BASE).cache.max_replay_s is None
    assert compile_text(f"{BASE}cache: {{replay: original}}\n").cache.max_replay_s == 30.0
