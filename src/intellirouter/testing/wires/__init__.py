"""The wire formats that MockVendor speaks, one package each; `shared` holds what they have in common."""
