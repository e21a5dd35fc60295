"""Random days in the life of a fleet: sequences of verbs, hands and deaths, and what must hold."""
