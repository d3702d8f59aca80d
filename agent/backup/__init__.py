"""Everything that makes a gateway this gateway, in one file: configuration, identity, certificates, alarms, journal.

`places` says what belongs to it and where, `sealed` keeps the secrets, `container` is the file itself, `make` and
`put_back` are the two ways. The journal's own copies are `buffer.archive`.
"""
