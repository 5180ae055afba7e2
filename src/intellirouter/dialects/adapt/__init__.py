"""Emulations and checks that dialects share: what one side offers and the other lacks."""
