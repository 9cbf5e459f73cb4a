"""What geng knows of stream's modules that it does not run yet."""
