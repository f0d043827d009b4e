"""Labels of images as files of other tools: written for people to label, and read back."""
