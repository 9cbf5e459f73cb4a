"""What geng knows of a configuration beyond nginx's verdict: `geng lint`. Only the commands for tools import this."""
