"""Check the pinned requirements: exact versions with hashes, no package index, few, and complete.

`python -m scripts.check_requirements` prints every problem.
"""

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


def normalized(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def pins(path: Path) -> dict[str, str]:
    """Return the version of each distribution, by its normalized name."""
    matches = map(PIN.match, path.read_text(encoding="utf-8").splitlines())
    return {normalized(match[1]): match[2] for match in matches if match}


def unhashed(path: Path) -> Iterator[str]:
    """Yield the pinned distributions without a hash."""
    entries = re.split(r"\n(?=[A-Za-z0-9])", path.read_text(encoding="utf-8"))
    for entry in entries:
        match = PIN.match(entry)
        if match and "--hash=sha256:" not in entry:
            yield match[1]


def requirement_names(requirements: list[str]) -> set[str]:
    return {normalized(re.split(r"[\s<>=!~;\[(]", requirement, maxsplit=1)[0]) for requirement in requirements}


def problems() -> Iterator[str]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    base_names = requirement_names(project["project"]["dependencies"])
    local_names = base_names | requirement_names(project["project"]["optional-dependencies"]["local"])
    extras = (requirement_names(names) for names in project["project"]["optional-dependencies"].values())
    dev_names = base_names.union(requirement_names(project["dependency-groups"]["dev"]), *extras)
    dev = pins(FOLDER / "dev.txt")
    for name, required in (("base", base_names), ("local", local_names), ("dev", dev_names)):
        pinned = pins(FOLDER / f"{name}.txt")
        for missing in sorted(required - set(pinned)):
            yield f"requirements/{name}.txt: {missing} is in pyproject.toml but not here. Run: make lock"
        for distribution, version in sorted(pinned.items()):
            if dev.get(distribution) != version:
                other = dev.get(distribution)
                yield f"requirements/{name}.txt: {distribution} is {version}, but {other} in dev.txt. Run: make lock"
    for path in sorted(FOLDER.glob("*.txt")):
        text = path.read_text(encoding="utf-8")
        if re.search(r"://|--(extra-)?index-url|--find-links|--trusted-host", text):
            yield f"requirements/{path.name}: It must not name a package index; the pip configuration selects it."
        yield from (f"requirements/{path.name}: {name} has no hash. Run: make lock" for name in unhashed(path))
    count = len(pins(FOLDER / "base.txt"))
    if count > BASE_MAX_DISTRIBUTIONS:
        yield (
            f"requirements/base.txt: {count} distributions, but at most {BASE_MAX_DISTRIBUTIONS} are allowed. "
            "Move some to an extra."
        )
    yield from (
        f"{name}: This file names a package index. Delete it, and pin versions in requirements/*.txt."
        for name in LOCK_FILES
        if (ROOT / name).exists()
    )


def main() -> int:
    found = list(problems())
    print("\n".join(found), end="\n" if found else "")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
