"""Where downloaded models are."""

from pathlib import Path

import pytest

from intellirouter.roles.host import default_cache_dir


def test_cache_is_in_the_home_directory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/ann")
    assert default_cache_dir() == Path("/home/ann/.cache/intellirouter")


def test_user_without_a_home_directory_has_a_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def no_home() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "home", no_home)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    assert default_cache_dir().parent == tmp_path
