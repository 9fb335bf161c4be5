"""Brain data: the readers of data sets, and their registry."""
