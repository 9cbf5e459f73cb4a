"""What the scripts share: starting servers, reading TAP, measuring processes. Standard library only."""
