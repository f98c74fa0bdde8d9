"""The steps behind the verbs of `Container`: plain functions, one subject a module.

Each takes a `LockedContainer`, which is the proof that the lock is held and the state is fresh.
"""
