"""A configuration with a name that is only similar to the default one is not overlooked."""

from pathlib import Path

import pytest

from intellirouter.config import DEFAULT_FILE, ConfigError, file_or_default, load_config


@pytest.mark.parametrize(
    "name", ["intellirouter.yml", "Intellirouter.YAML", "intellirouter.json", "intellirouter.toml"]
)
def test_a_similar_file_is_named(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path(name).touch()
    with pytest.raises(
        ConfigError, match=rf"but {name}, which is not read by itself\. Rename it to intellirouter.yaml"
    ):
        file_or_default(None)
    assert file_or_default(Path(name)) == Path(name)


def test_other_files_and_directories_are_not_similar(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("intellirouter.yml").mkdir()
    Path("intellirouter.db").touch()
    Path("my-intellirouter.yml").touch()
    assert file_or_default(None) is None
    DEFAULT_FILE.touch()
    Path("intellirouter.json").touch()
    assert file_or_default(None) == DEFAULT_FILE


def test_a_link_to_nowhere_is_not_overlooked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    link = Path("intellirouter.yml")
    link.symlink_to("nowhere.yaml")
    with pytest.raises(ConfigError, match=r"but intellirouter\.yml, which is not read by itself\."):
        file_or_default(None)
    link.rename(DEFAULT_FILE)
    assert file_or_default(None) == DEFAULT_FILE
    with pytest.raises(ConfigError, match=r"The file does not exist\. It is a symbolic link"):
        load_config(DEFAULT_FILE)


def test_similar_files_next_to_the_default_one_are_warnings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    DEFAULT_FILE.touch()
    assert load_config(DEFAULT_FILE, environ={}).warnings == ()
    Path("intellirouter.json").symlink_to(DEFAULT_FILE)
    Path("intellirouter.toml").mkdir()
    assert load_config(DEFAULT_FILE, environ={}).warnings == ()
    Path("intellirouter.yml").touch()
    Path("IntelliRouter.yaml").touch()
    names = [each.partition(": ")[0] for each in load_config(DEFAULT_FILE, environ={}).warnings]
    assert names == ["IntelliRouter.yaml", "intellirouter.yml"]
    other = Path("gateway.yaml")
    other.touch()
    assert load_config(other, environ={}).warnings == ()
