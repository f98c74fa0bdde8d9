"""Locks between processes and threads: interface, byte-range file locks, and a checked in-memory twin."""
