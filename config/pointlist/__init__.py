"""Point lists as engineers send them, to what a device file says; and back. Pure: bytes in, mappings out.

`sheet` finds rows and cells, `headings` what each column is, `cells` what is in a cell, `spelling` units and states as
people write them, `listing` what a protocol has to add, `written` the YAML that comes of it. What is not certain is
refused with its row and column; nothing is guessed.
"""
