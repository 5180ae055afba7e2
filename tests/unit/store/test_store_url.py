from pathlib import Path

import pytest

from intellirouter.store import check_store_url
from intellirouter.store.store_url import database_path


@pytest.mark.parametrize(
    ("url", "path"),
    [
        ("sqlite:///data/router.db", "data/router.db"),
        ("sqlite:////var/lib/router.db", "/var/lib/router.db"),
        ("sqlite:////var/my data/100%.db", "/var/my data/100%.db"),
    ],
)
def test_an_sqlite_url_names_a_file(url: str, path: str) -> None:
    check_store_url(url)
    assert database_path(url) == Path(path)


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("postgresql://host/db", "PostgreSQL is not available in this version"),
        ("postgresql+psycopg://user:hunter2@host/db", "PostgreSQL is not available in this version"),
        ("mysql://user:hunter2@host/db", "must start with sqlite:///"),
        ("sqlite://", "must name a file"),
        ("sqlite:///", "must name a file"),
        ("sqlite:///:memory:", "must name a file"),
        ("sqlite:///a.db?timeout=3", "without parameters"),
        ("sqlite:///file:a.db", "without parameters"),
        ("router.db", "must start with sqlite:///"),
    ],
)
def test_other_urls_are_rejected_without_their_secrets(url: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason) as caught:
        check_store_url(url)
    assert "hunter2" not in str(caught.value)
