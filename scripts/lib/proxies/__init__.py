"""The reverse proxies that Python libraries make with the fewest lines: what scripts/bench others runs beside geng."""
