"""BACnet/IP. The README beside this file says what it can do."""
