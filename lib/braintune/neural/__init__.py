"""Analyses of brain data: decoding, encoding, representational similarity."""
