"""Hold the pinned requirements to the rules: exact, hashed, hostless, few, and what pyproject.toml asks for."""

import re
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / "requirements"
BASE_MAX_DISTRIBUTIONS = 40
PIN = re.compile(r"^([A-Za-z0-9][A-Za-z0-9._-]*)==(\S+)")
LOCK_FILES = ("uv.lock", "poetry.lock", "pylock.toml", "Pipfile.lock")


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def pins(path: Path) -> dict[str, str]:
    """Distribution name (normalized) to its version."""
    matches = map(PIN.match, path.read_text(encoding="utf-8").splitlines())
    return {normal(match[1]): match[2] for match in matches if match}


def unhashed(path: Path) -> Iterator[str]:
    """Pinned distributions that no hash follows."""
    entries = re.split(r"\n(?=[A-Za-z0-9])", path.read_text(encoding="utf-8"))
    for entry in entries:
        match = PIN.match(entry)
        if match and "--hash=sha256:" not in entry:
            yield match[1]


def requirement_names(requirements: list[str]) -> set[str]:
    return {normal(re.split(r"[\s<>=!~;\[(]", requirement, maxsplit=1)[0]) for requirement in requirements}


def problems() -> Iterator[str]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    base_names = requirement_names(project["project"]["dependencies"])
    local_names = base_names | requirement_names(project["project"]["optional-dependencies"]["local"])
    dev_names = local_names | requirement_names(project["dependency-groups"]["dev"])
    dev = pins(FOLDER / "dev.txt")
    for name, asked in (("base", base_names), ("local", local_names), ("dev", dev_names)):
        pinned = pins(FOLDER / f"{name}.txt")
        for missing in sorted(asked - set(pinned)):
            yield f"requirements/{name}.txt lacks {missing}, which pyproject.toml asks for: make lock"
        for distribution, version in sorted(pinned.items()):
            if dev.get(distribution) != version:
                yield f"{distribution} is {version} in {name}.txt, {dev.get(distribution)} in dev.txt: make lock"
    for path in sorted(FOLDER.glob("*.txt")):
        text = path.read_text(encoding="utf-8")
        if re.search(r"://|--(extra-)?index-url|--find-links|--trusted-host", text):
            yield f"requirements/{path.name} names a place to download from; the machine says that"
        yield from (f"requirements/{path.name}: {name} has no hash" for name in unhashed(path))
    count = len(pins(FOLDER / "base.txt"))
    if count > BASE_MAX_DISTRIBUTIONS:
        yield f"the base install is {count} distributions; {BASE_MAX_DISTRIBUTIONS} are allowed; make it an extra"
    yield from (f"{name} names its index; pin with requirements/*.txt" for name in LOCK_FILES if (ROOT / name).exists())


def main() -> int:
    found = list(problems())
    print("\n".join(found), end="\n" if found else "")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
