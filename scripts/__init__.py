"""Scripts of the gate, and generators of pages and data files. Run them from the root: `python -m scripts.NAME`."""
