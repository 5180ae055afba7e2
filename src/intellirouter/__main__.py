"""Runs the command line: `python -m intellirouter`."""

from intellirouter.cli import main

main()
