import pytest

from intellirouter.cache import CacheDirectives, parse_directives


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (b"", None),
        (b"max-stale=5, min-fresh=1", None),
        (b"x-only-if-cached", None),
        (b"no-store", CacheDirectives(no_store=True)),
        (b" No-Cache ,NO-STORE", CacheDirectives(no_cache=True, no_store=True)),
        (b"only-if-cached, max-age=60", CacheDirectives(only_if_cached=True, max_age_s=60)),
        (b'max-age="60"', CacheDirectives(max_age_s=60)),
        (b"max-age=0060", CacheDirectives(max_age_s=60)),
        (b"max-age=0", CacheDirectives(max_age_s=0)),
        (b"max-age", CacheDirectives(max_age_s=0)),
        (b"max-age=-1", CacheDirectives(max_age_s=0)),
        (b"max-age=1.5", CacheDirectives(max_age_s=0)),
        (b"max-age=" + b"9" * 5000, CacheDirectives(max_age_s=2**31)),
    ],
)
def test_directives_of_a_request(value: bytes, expected: CacheDirectives | None) -> None:
    assert parse_directives(value) == expected


@pytest.mark.parametrize(
    ("directives", "age_s", "is_accepted"),
    [
        (CacheDirectives(), 1e9, True),
        (CacheDirectives(no_cache=True), 0.0, False),
        (CacheDirectives(max_age_s=10), 10.0, True),
        (CacheDirectives(max_age_s=10), 10.1, False),
    ],
)
def test_age_that_a_client_accepts(directives: CacheDirectives, age_s: float, is_accepted: bool) -> None:
    assert directives.accepts(age_s) is is_accepted
