"""What goes in: tasks and brain data."""
