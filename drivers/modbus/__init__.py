"""Modbus TCP, read-only: settings, planning and decoding (pure), transactions, driver. See README.md in this folder."""
