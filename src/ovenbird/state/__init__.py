"""What a site remembers: where its state lives, and the database in it."""
