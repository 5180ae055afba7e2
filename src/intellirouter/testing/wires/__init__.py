"""The APIs that MockVendor serves, one package per wire format. `shared` contains what they have in common."""
