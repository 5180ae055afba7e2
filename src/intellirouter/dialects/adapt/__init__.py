"""Emulation of features that an upstream lacks, and checks of answers, for all dialects."""
