"""Move the fragments in changelog.d/ to CHANGELOG.md.

    python -m scripts.changelog --check            check the names and the format of the fragments
    python -m scripts.changelog 0.2.0 2027-01-31   write the section of a release and remove the fragments

changelog.d/README.md describes the fragments.
"""

import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FRAGMENTS = ROOT / "changelog.d"
CHANGELOG = ROOT / "CHANGELOG.md"
KINDS = ("added", "changed", "deprecated", "removed", "fixed", "security")
NAME = re.compile(rf"([a-z0-9-]+)\.({'|'.join(KINDS)})\.md")
MARKER = "<!-- releases -->\n"


def fragments() -> list[Path]:
    return sorted(path for path in FRAGMENTS.iterdir() if path.name != "README.md")


def problems() -> list[str]:
    found = []
    for path in fragments():
        text = path.read_text(encoding="utf-8").strip()
        if not NAME.fullmatch(path.name):
            found.append(
                f"changelog.d/{path.name}: The name must be <slug>.<kind>.md. The kinds are {', '.join(KINDS)}."
            )
        elif not text or text.startswith("#"):
            found.append(f"changelog.d/{path.name}: The fragment is empty or begins with a heading.")
    if MARKER not in CHANGELOG.read_text(encoding="utf-8"):
        found.append(f"CHANGELOG.md: The line {MARKER.strip()} is missing.")
    return found


def section(version: str, date: str) -> str:
    by_kind: dict[str, list[str]] = {kind: [] for kind in KINDS}
    for path in fragments():
        match = NAME.fullmatch(path.name)
        if match:
            text = path.read_text(encoding="utf-8").strip().replace("\n", "\n  ")
            by_kind[match[2]].append(f"- {text}\n")
    parts = [f"### {kind.capitalize()}\n\n{''.join(lines)}" for kind, lines in by_kind.items() if lines]
    return f"## {version} ({date})\n\n" + "\n".join(parts)


def main(arguments: list[str]) -> int:
    found = problems()
    if found:
        print("\n".join(found))
        return 1
    if arguments == ["--check"]:
        return 0
    if len(arguments) != 2:
        print(__doc__)
        return 2
    text = CHANGELOG.read_text(encoding="utf-8")
    CHANGELOG.write_text(text.replace(MARKER, f"{MARKER}\n{section(*arguments)}"), encoding="utf-8")
    for path in fragments():
        path.unlink()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
