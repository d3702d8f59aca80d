"""Protocol drivers: everything that speaks to a device, behind the one contract of `drivers.contract`."""
