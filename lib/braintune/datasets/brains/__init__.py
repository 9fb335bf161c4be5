"""Brain data: one reader a file, and the registry of them."""
