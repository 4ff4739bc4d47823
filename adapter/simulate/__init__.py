"""The loop with simulated annotators, who know a gold column that the adapter never sees."""
