"""The deployed code: one package per function, and what they share."""
