"""Persisted records: frozen, with podman's JSON names, without I/O.

A change is a new record (`msgspec.structs.replace`), persisted before it is visible. Times are RFC 3339 strings with
nanoseconds, because Python's datetime holds microseconds only; durations inside records are nanoseconds, as Go's.
"""
