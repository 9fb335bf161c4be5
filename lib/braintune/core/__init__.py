"""The basis of a run: its parameters, folders and files, and the machine."""
