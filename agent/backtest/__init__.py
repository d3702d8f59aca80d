"""Rules over recorded input: which alarms another configuration would have given, on virtual time.

`recorded` gives what was read, from the journal or a file; `replay` plays it through the rules of one configuration;
`spells` says from when to when its alarms stood; `compare` says what appears, vanishes or moves from one configuration
to the other. Nothing waits, nothing is opened but the input, and the same input gives the same bytes.
"""
