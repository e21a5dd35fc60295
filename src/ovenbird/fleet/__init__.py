"""The servers that should run and the ones that do: what is seen of them, and their health."""
