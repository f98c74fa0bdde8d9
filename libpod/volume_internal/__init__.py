"""The steps behind the verbs of `Volume`: mounting one that has options, removing one."""
