"""The generated world: sentences, passages and tasks with known meaning."""
