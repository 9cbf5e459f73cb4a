"""The mail proxy: servers, sessions, what its protocols have in common."""
