"""geng: a server that reads a real nginx.conf and is what it describes."""

__version__ = "0.1.0"
