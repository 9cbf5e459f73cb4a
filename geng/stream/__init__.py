"""The spine of `stream { … }`: servers, sessions, phases, and the relay between two connections."""
