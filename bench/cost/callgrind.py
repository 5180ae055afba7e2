"""Reads callgrind's profiles: instructions in user space, by library."""

import re
from collections import Counter
from collections.abc import Iterable
from typing import Final

LIBRARIES: Final = (
    ("interpreter", r"/libpython|/python[\d.]*$|/lib-dynload/(?!_sqlite3)"),
    ("uvloop", r"/uvloop/"),
    ("httptools", r"/httptools/"),
    ("msgspec", r"/msgspec/"),
    ("SQLite", r"/_sqlite3|/libsqlite3"),
    ("C library", r"/libc[.-]|/ld-linux|/libm[.-]|/libpthread"),
    ("compiled modules of the gateway", r"/(src|site-packages)/intellirouter/|__mypyc"),
)
"""Title -> expression for the path. The first that matches counts."""
OTHER: Final = "other"


def library_of(path: str) -> str:
    return next((title for title, expression in LIBRARIES if re.search(expression, path)), OTHER)


def count_by_library(profile: Iterable[str]) -> Counter[str]:
    """Return the number of instructions in each library, without those in the functions that they call."""
    paths: dict[str, str] = {}
    counts: Counter[str] = Counter()
    library = OTHER
    is_call = False
    for line in profile:
        if line.startswith(("ob=", "cob=")):
            number, _, path = line.partition("=")[2].strip().partition(" ")
            if path:
                paths[number] = path
            if line.startswith("ob="):
                library = library_of(paths.get(number, number))
        elif line.startswith("calls="):
            is_call = True  # the next line has the inclusive cost of the call
        elif line[:1] in "0123456789+-*" and line.strip():
            if not is_call:
                counts[library] += int(line.split()[1])
            is_call = False
    return counts
