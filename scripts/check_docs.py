"""Check that the documentation agrees with the program. `python -m scripts.check_docs` prints every problem.

- Every relative link leads to an existing file and heading.
- Every YAML example with a section of the configuration can be loaded.
- Every `intellirouter …` command in a console block exists.
- Every code of the error tree has a heading in docs/reference/errors.md.
- Decision records are numbered without gaps, have a status, and are in the index.
"""

import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path

from intellirouter.config import ConfigError, load_config
from scripts.gen_errors import documented

ROOT = Path(__file__).resolve().parent.parent
LINK = re.compile(r"(?<!!)\[[^\]]*\]\(([^)\s]+)\)")
FENCE = re.compile(r"^```(\w*)[^\n]*\n(.*?)^```", re.MULTILINE | re.DOTALL)
CONFIG_KEY = re.compile(r"^(providers|deployments|models):", re.MULTILINE)
PROGRAM = Path(sys.executable).parent / "intellirouter"
COMMAND = re.compile(
    r"^(?:\$ )?(?:[A-Z_]+=\S+ )*(?:intellirouter|intellirouter-cli|ai-orchestra)((?: [a-z][a-z-]*(?=\s|$))+)",
    re.MULTILINE,
)
ADR_NAME = re.compile(r"(\d{4})-[a-z0-9-]+\.md")


def pages() -> list[Path]:
    top = [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")]
    others = [ROOT / name / "README.md" for name in ("api", "bench", "changelog.d", "tests/clients")]
    return [*top, *others, *sorted((ROOT / "docs").rglob("*.md")), *sorted((ROOT / "src").rglob("*.md"))]


def without_code(text: str) -> str:
    return re.sub(r"`[^`\n]*`", "", FENCE.sub("", text))


@cache
def anchors(page: Path) -> frozenset[str]:
    """Return the anchors of a page's headings, as GitHub generates them."""
    headings = re.findall(r"^#+ +(.+)$", FENCE.sub("", page.read_text(encoding="utf-8")), re.MULTILINE)
    plain = (re.sub(r"[^\w\- ]", "", heading.strip().lower()) for heading in headings)
    return frozenset(heading.replace(" ", "-") for heading in plain)


def broken_links(page: Path, text: str) -> Iterator[str]:
    for target in LINK.findall(without_code(text)):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        linked = (page.parent / path).resolve() if path else page
        if not linked.exists():
            yield f"The link to {target} leads to a file that does not exist."
        elif anchor and linked.suffix == ".md" and anchor not in anchors(linked):
            yield f"The link to {target} leads to a heading that does not exist."


def broken_configs(text: str) -> Iterator[str]:
    """Load the examples with an empty environment. Secrets are resolved later, by the compilation."""
    for language, block in FENCE.findall(text):
        if language not in {"yaml", "yml"} or not CONFIG_KEY.search(block):
            continue
        with tempfile.TemporaryDirectory() as folder:
            example = Path(folder) / "example.yaml"
            example.write_text(block, encoding="utf-8")
            try:
                load_config(example, environ={})
            except ConfigError as error:
                first = block.strip().splitlines()[0]
                problems = " ".join(str(problem) for problem in error.problems)
                yield f"The example that begins with `{first}` cannot be loaded. {problems}"


def shown_commands(text: str) -> set[str]:
    """Return the commands in the console blocks of a page: `config check`, `serve` and so on."""
    blocks = (block for language, block in FENCE.findall(text) if language in {"console", "sh", "bash", "shell"})
    return {words.strip() for block in blocks for words in COMMAND.findall(block)}


def is_command(words: str) -> bool:
    """Return whether these words begin with a command. `--help` takes effect before arguments are checked."""
    done = subprocess.run([PROGRAM, *words.split(), "--help"], capture_output=True, timeout=60, check=False)
    return done.returncode == 0


def unknown_commands(texts: dict[Path, str]) -> Iterator[str]:
    shown = {page: shown_commands(text) for page, text in texts.items()}
    distinct = sorted(set().union(*shown.values()))
    with ThreadPoolExecutor(2) as pool:
        known = dict(zip(distinct, pool.map(is_command, distinct), strict=True))
    for page, commands in shown.items():
        yield from (
            f"{page.relative_to(ROOT)}: The command `intellirouter {words}` does not exist."
            for words in sorted(commands)
            if not known[words]
        )


def broken_records() -> Iterator[str]:
    folder = ROOT / "docs" / "adr"
    index = (folder / "README.md").read_text(encoding="utf-8")
    for expected, path in enumerate(sorted(set(folder.glob("*.md")) - {folder / "README.md"}), start=1):
        match = ADR_NAME.fullmatch(path.name)
        text = path.read_text(encoding="utf-8")
        if match is None or int(match[1]) != expected:
            yield f"docs/adr/{path.name}: The number must be {expected:04}."
        elif not text.startswith(f"# {match[1]}: ") or not re.search(r"^Status: \w", text, re.MULTILINE):
            yield f"docs/adr/{path.name}: It must begin with `# {match[1]}: title` and have a line `Status: …`."
        if f"]({path.name})" not in index:
            yield f"docs/adr/README.md: {path.name} is missing."


def missing_codes() -> Iterator[str]:
    present = anchors(ROOT / "docs" / "reference" / "errors.md")
    yield from (
        f"docs/reference/errors.md: The code {cls.code} has no heading."
        for cls in documented()
        if cls.code not in present
    )


def problems() -> Iterator[str]:
    texts = {page: page.read_text(encoding="utf-8") for page in pages()}
    for page, text in texts.items():
        for check in (broken_links(page, text), broken_configs(text)):
            yield from (f"{page.relative_to(ROOT)}: {problem}" for problem in check)
    yield from unknown_commands(texts)
    yield from broken_records()
    yield from missing_codes()


def main() -> int:
    found = list(problems())
    print("\n".join(found), end="\n" if found else "")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
