"""The tests. Test modules import what they share from `tests.support`."""
