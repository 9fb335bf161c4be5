"""The side of the brain: decoding, encoding, representational similarity."""
