"""Runs the command line: `python -m intellirouter`."""

from intellirouter.cli import main

if __name__ == "__main__":
    main()
