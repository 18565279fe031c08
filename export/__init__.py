"""From Keras to a file that a phone can trust."""
