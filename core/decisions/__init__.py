"""What is decided: universe, scores, screening, buckets, selection, sizing."""
