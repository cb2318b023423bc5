"""The version of httpy: one assignment, whose text the Rust side reads as well."""

__version__ = "0.1.0"
