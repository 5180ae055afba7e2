"""A configuration with a name that is only similar to the default one is not overlooked."""

from pathlib import Path

import pytest

from intellirouter.config import DEFAULT_FILE, ConfigError, file_or_default


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
