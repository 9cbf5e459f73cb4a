"""Commands that read a configuration without running it: `geng fmt`, `dump`, `build`, `migrate`. The server imports none."""
