"""The wardgate daemon and everything an operator sees of it."""

__version__ = "0.1.0"
