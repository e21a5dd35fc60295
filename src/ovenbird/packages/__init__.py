"""What packages an image is made from: the sources it keeps, and what a bake is lent for them."""
