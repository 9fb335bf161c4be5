"""The data of an analysis: tasks and brain data."""
