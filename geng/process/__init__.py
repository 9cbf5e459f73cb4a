"""Master, workers and the configuration that they run."""
