"""What is told of fleets: how they are, what is left of others, what instances said."""
