"""What a run says: tables, statistics, claims, figures, prose."""
