"""Benchmarks against podman on the same work in the same run. Ratios count, not seconds; nothing here is a test."""
