"""What is done with a fleet between its rollouts: a verb writes a wish, and a repair drives it."""
