"""Stored credentials: encrypted, bound to their names, and lost with the key."""

import base64
import os
import sqlite3
from pathlib import Path

import pytest

from intellirouter.store import CredentialError, CredentialStore

KEY = base64.b64encode(bytes(range(32))).decode()
OTHER = bytes(range(1, 33)).hex()
SECRET = "sk-very-secret-0123456789"


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'router.db'}"


def _key_file(url: str) -> Path:
    return Path(url.removeprefix("sqlite:///")).with_suffix(".key")


def _rows(url: str, statement: str = "SELECT name, nonce, sealed FROM credentials ORDER BY name") -> list[tuple]:
    connection = sqlite3.connect(url.removeprefix("sqlite:///"))
    with connection:
        rows = connection.execute(statement).fetchall()
    connection.close()
    return rows


def test_credential_is_stored_and_listed_without_the_secret(url: str) -> None:
    store = CredentialStore(url, KEY)
    assert store.set("openai", SECRET, 1_000) is None
    assert store.set("groq", "gsk", 2_000) is None
    assert store.set("openai", SECRET + "!", 3_000) is None
    again = CredentialStore(url, KEY)
    assert (again.get("openai"), again.get("groq"), again.get("nobody")) == (SECRET + "!", "gsk", None)
    entries = again.names()
    assert [(each.name, each.created_us, each.updated_us) for each in entries] == [
        ("groq", 2_000, 2_000),
        ("openai", 1_000, 3_000),
    ]
    assert "sk-" not in repr(entries)
    assert again.remove("groq")
    assert not again.remove("groq")
    assert [each.name for each in again.names()] == ["openai"]
    store.close()
    again.close()


def test_database_contains_neither_secrets_nor_the_key(url: str, tmp_path: Path) -> None:
    store = CredentialStore(url)
    store.set("openai", SECRET, 1)
    store.close()
    key = base64.b64decode(_key_file(url).read_text())
    for path in tmp_path.glob("router.db*"):
        content = path.read_bytes()
        assert SECRET.encode() not in content
        assert key not in content
        assert path.stat().st_mode & 0o077 == 0


def test_key_file_is_created_once_and_only_readable_by_its_owner(url: str) -> None:
    store = CredentialStore(url)
    assert store.set("a", "1", 1) == str(_key_file(url))
    assert _key_file(url).stat().st_mode & 0o777 == 0o600
    assert store.set("b", "2", 2) is None
    assert CredentialStore(url).get("a") == "1"


def test_encrypting_the_same_secret_twice_gives_different_bytes(url: str) -> None:
    store = CredentialStore(url, KEY)
    store.set("a", SECRET, 1)
    store.set("b", SECRET, 1)
    (_, nonce_a, sealed_a), (_, nonce_b, sealed_b) = _rows(url)
    assert nonce_a != nonce_b
    assert sealed_a != sealed_b


@pytest.mark.parametrize("tamper", ["sealed", "name"])
def test_changed_or_renamed_row_is_not_decrypted(url: str, tamper: str) -> None:
    store = CredentialStore(url, KEY)
    store.set("a", SECRET, 1)
    if tamper == "name":
        _rows(url, "UPDATE credentials SET name = 'b'")
        name = "b"
    else:
        other = "CASE substr(sealed, 1, 1) WHEN x'00' THEN x'01' ELSE x'00' END"
        _rows(url, f"UPDATE credentials SET sealed = CAST({other} || substr(sealed, 2) AS BLOB)")
        name = "a"
    with pytest.raises(CredentialError, match=f"stored credential {name} cannot be decrypted"):
        store.get(name)


def test_another_key_can_neither_read_nor_store(url: str) -> None:
    CredentialStore(url, KEY).set("a", SECRET, 1)
    for wrong in (CredentialStore(url, OTHER), CredentialStore(url, base64.b64encode(os.urandom(32)).decode())):
        with pytest.raises(CredentialError, match="cannot be decrypted with this key") as caught:
            wrong.get("a")
        assert "INTELLIR_SECRET_KEY" in caught.value.hint
        with pytest.raises(CredentialError, match="cannot be decrypted"):
            wrong.set("b", "2", 2)
        with pytest.raises(CredentialError, match="cannot be decrypted"):
            CredentialStore(url, OTHER).rekey("ff" * 32)
        assert SECRET not in str(caught.value)
    assert [name for name, _, _ in _rows(url)] == ["a"]


def test_missing_key_is_an_error_and_not_replaced(url: str) -> None:
    store = CredentialStore(url)
    store.set("a", SECRET, 1)
    _key_file(url).unlink()
    with pytest.raises(CredentialError, match="missing"):
        store.get("a")
    for act in (lambda: store.set("b", "2", 2), store.rekey):
        with pytest.raises(CredentialError, match=r"is missing\. It is neither in INTELLIR_SECRET_KEY nor in"):
            act()
    assert not _key_file(url).exists()
    assert store.remove("a")


def test_rekey_replaces_the_key_file(url: str) -> None:
    store = CredentialStore(url)
    store.set("a", "1", 1)
    store.set("b", "2", 1)
    before_key, before = _key_file(url).read_text(), _rows(url)
    assert store.rekey() == 2
    assert _key_file(url).read_text() != before_key
    assert all(old[2] != new[2] for old, new in zip(before, _rows(url), strict=True))
    again = CredentialStore(url)
    assert (again.get("a"), again.get("b")) == ("1", "2")
    _key_file(url).write_text(before_key)
    with pytest.raises(CredentialError, match="cannot be decrypted"):
        CredentialStore(url).get("a")


def test_rekey_with_a_configured_key(url: str) -> None:
    store = CredentialStore(url, KEY)
    store.set("a", SECRET, 1)
    with pytest.raises(CredentialError, match="so the new key must be set, too"):
        store.rekey()
    assert store.rekey(OTHER) == 1
    assert CredentialStore(url, OTHER).get("a") == SECRET
    with pytest.raises(CredentialError):
        CredentialStore(url, KEY).get("a")


@pytest.mark.parametrize("is_reencrypted", [False, True])
def test_crash_during_rekey_loses_nothing(url: str, is_reencrypted: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    store = CredentialStore(url)
    store.set("a", SECRET, 1)

    def crash(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        where = "KeyFile.replace" if is_reencrypted else "_encrypt"
        module = "master_key" if is_reencrypted else "credential_queries"
        patched.setattr(f"intellirouter.store.{module}.{where}", crash)
        with pytest.raises(KeyboardInterrupt):
            store.rekey()
    store.close()
    after = CredentialStore(url)
    assert after.get("a") == SECRET
    after.set("b", "2", 2)
    assert after.rekey() == 2
    assert CredentialStore(url).get("a") == SECRET
    assert CredentialStore(url).get("b") == "2"
    assert not _key_file(url).with_name("router.key.next").exists()


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o666])
def test_key_file_that_other_users_can_access_is_rejected(url: str, mode: int) -> None:
    CredentialStore(url).set("a", SECRET, 1)
    _key_file(url).chmod(mode)
    with pytest.raises(CredentialError, match="is accessible to other users") as caught:
        CredentialStore(url).get("a")
    assert caught.value.hint == f"Run `chmod 600 {_key_file(url)}`."


@pytest.mark.parametrize("text", ["short", "x" * 64, base64.b64encode(b"x" * 31).decode(), "ü" * 32, "!" * 44])
def test_invalid_key_is_rejected(url: str, text: str) -> None:
    with pytest.raises(CredentialError, match="INTELLIR_SECRET_KEY is not a key of 32 bytes") as caught:
        CredentialStore(url, text)
    assert "openssl rand -base64 32" in caught.value.hint
    assert text not in caught.value.message


@pytest.mark.parametrize(
    "text", [KEY, KEY.rstrip("="), base64.urlsafe_b64encode(bytes([255] * 32)).decode(), OTHER, f" {OTHER.upper()}\n"]
)
def test_key_in_each_supported_encoding(url: str, text: str) -> None:
    store = CredentialStore(url, text)
    store.set("a", SECRET, 1)
    assert store.get("a") == SECRET


def test_reading_creates_nothing(url: str, tmp_path: Path) -> None:
    store = CredentialStore(url)
    assert (store.get("a"), store.names(), store.remove("a")) == (None, [], False)
    assert list(tmp_path.iterdir()) == []


def test_older_database_is_upgraded_when_a_credential_is_stored(url: str) -> None:
    _rows(url, "CREATE TABLE other (x)")
    store = CredentialStore(url, KEY)
    assert (store.get("a"), store.names()) == (None, [])
    store.set("a", SECRET, 1)
    assert store.get("a") == SECRET


def test_file_that_is_not_a_database_is_an_error(url: str) -> None:
    Path(url.removeprefix("sqlite:///")).write_bytes(b"no database at all" * 100)
    store = CredentialStore(url, KEY)
    for act in (store.names, lambda: store.get("a"), lambda: store.set("a", "1", 1), lambda: store.remove("a")):
        with pytest.raises(CredentialError, match="is not an SQLite database"):
            act()
