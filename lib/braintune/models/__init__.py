"""What is tuned: encoders, methods of tuning, embeddings, controls."""
