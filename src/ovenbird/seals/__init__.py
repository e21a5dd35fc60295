"""Who says that an image is what it is: keys, signatures, and statements of how it was made."""
