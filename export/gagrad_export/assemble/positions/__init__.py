"""Which axes of a value run along the image, and which values lie between image and score."""
