"""Events: interface and back ends (log file, journal, null)."""
