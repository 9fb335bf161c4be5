"""How the book of a run is built."""
