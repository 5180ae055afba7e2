"""Where the sockets of local models are."""

import os
from pathlib import Path

import pytest

from intellirouter.core.errors import HostError
from intellirouter.hosting.sockets import MAX_SLUG_CHARS, MAX_SOCKET_PATH_BYTES, create_run_dir, socket_path


def longest(run_dir: Path) -> int:
    return len(os.fsencode(socket_path(run_dir, "x" * MAX_SLUG_CHARS, 9999)))


def test_directory_is_below_the_temporary_directory(tmp_path: Path) -> None:
    short = Path("/tmp")
    made = create_run_dir([str(short)])
    try:
        assert made.parent == short
        assert made.stat().st_mode & 0o777 == 0o700
        assert longest(made) <= MAX_SOCKET_PATH_BYTES
    finally:
        made.rmdir()


@pytest.mark.parametrize("unusable", ["long", "absent", "file"])
def test_other_directory_is_used_if_the_temporary_one_cannot_be(tmp_path: Path, unusable: str) -> None:
    parent = {"long": tmp_path / ("x" * 100), "absent": Path("/absent"), "file": Path("/dev/null")}[unusable]
    if unusable == "long":
        parent.mkdir()
    made = create_run_dir([str(parent), "/tmp"])
    made.rmdir()
    assert made.parent == Path("/tmp")


def test_long_tmpdir_is_no_problem(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    parent = tmp_path / ("x" * 120)
    parent.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(parent))
    made = create_run_dir()
    made.rmdir()
    assert longest(made) <= MAX_SOCKET_PATH_BYTES


def test_error_says_what_to_do_if_there_is_no_usable_directory() -> None:
    with pytest.raises(HostError, match="No temporary directory can be written") as raised:
        create_run_dir(["/dev/null"])
    assert "host.run_dir" in raised.value.hint
