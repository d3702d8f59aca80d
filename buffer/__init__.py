"""The store-and-forward journal: opaque records, in order, on disk. Imports nothing of ours."""
