"""Protocols as bytes and events: no sockets, no clock."""
