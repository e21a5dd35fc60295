"""What must not be in an image: secrets, keys, and what its making left behind."""
