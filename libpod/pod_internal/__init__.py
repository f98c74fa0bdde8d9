"""The steps behind the verbs of `Pod`: its members in order, its infra container, its state in one word."""
