"""The state of the engine: what exists and where it is in its life. Interface, key layout, two back ends."""
