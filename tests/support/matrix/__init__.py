"""The fault matrix: what the gateway makes of every fault, in every dialect, with every strategy."""
