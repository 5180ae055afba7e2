"""The documentation agrees with the program: links, examples, commands, generated pages."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from intellirouter.config import compile_config, load_config
from intellirouter.providers import VENDORS
from intellirouter.routing import STRATEGIES
from scripts import check_docs, error_codes

REPO = Path(__file__).resolve().parents[2]


def _script(name: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", f"scripts.{name}", *arguments], cwd=REPO, capture_output=True, text=True, timeout=120
    )


def test_check_of_the_documentation_passes() -> None:
    done = _script("check_docs")
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    "script", sorted(path.stem for pattern in ("gen_*.py", "changelog.py") for path in (REPO / "scripts").glob(pattern))
)
def test_generated_page_is_up_to_date(script: str) -> None:
    done = _script(script, "--check")
    assert done.returncode == 0, done.stdout + done.stderr


def test_first_configuration_of_the_readme_compiles(tmp_path: Path) -> None:
    blocks = re.findall(r"^```yaml\n(.*?)^```", (REPO / "README.md").read_text(), re.MULTILINE | re.DOTALL)
    config = tmp_path / "intellirouter.yaml"
    config.write_text(blocks[0])
    environ = {"OPENAI_API_KEY": "sk-unused", "LAB_KEY": "unused"}
    runtime = compile_config(
        load_config(config, environ=environ).config,
        environ=environ,
        vendors=VENDORS,
        strategies=[row.name for row in STRATEGIES],
    )
    assert set(runtime.models) == {"assistant"}
    assert runtime.models["assistant"].fallbacks == ("small",)


def test_broken_link_is_found() -> None:
    text = "[here](README.md) [gone](gone.md) [heading](README.md#no-such-heading) `[code](gone2.md)` [far](https://x.example)"
    assert list(check_docs.broken_links(REPO / "README.md", text)) == [
        "The link to gone.md leads to a file that does not exist.",
        "The link to README.md#no-such-heading leads to a heading that does not exist.",
    ]


def test_example_with_an_unknown_setting_is_found() -> None:
    good = "```yaml\nproviders:\n  fake: {vendor: fake}\n```\n"
    bad = "```yaml\nproviders:\n  fake: {vendr: fake}\n```\n"
    other = "```yaml\nservices:\n  fake: {vendr: fake}\n```\n"
    found = list(check_docs.broken_configs(good + bad + other))
    assert len(found) == 1
    assert "vendr" in found[0]


def test_commands_are_read_from_console_blocks_only() -> None:
    text = (
        "```console\n$ intellirouter config check FILE\n$ API_PORT=1 intellirouter serve --port 1\n```\n"
        "```text\n$ intellirouter nonsense\n```\n"
    )
    assert check_docs.shown_commands(text) == {"config check", "serve"}


def test_specific_error_codes_of_the_server_are_documented() -> None:
    text = (REPO / "docs" / "reference" / "errors.md").read_text(encoding="utf-8")
    for code, status in (("invalid_http", "400, 417"), ("headers_too_large", "431"), ("target_too_long", "414")):
        assert f"| `{code}` | {status} | " in text


def test_code_without_a_meaning_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(error_codes.MEANINGS, "headers_too_large")
    with pytest.raises(ValueError, match="no meaning for these codes: headers_too_large"):
        error_codes.specific_codes({"InvalidRequest": "400"}, set())


def test_every_error_code_has_a_heading() -> None:
    assert list(check_docs.missing_codes()) == []
    assert "model_not_found" in check_docs.anchors(REPO / "docs" / "reference" / "errors.md")
