"""Results of a run: tables, statistics, claims, figures, prose."""
