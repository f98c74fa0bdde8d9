"""Words and errors that every floor shares; imports nothing of the library."""
