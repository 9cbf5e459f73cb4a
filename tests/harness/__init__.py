"""What live tests stand on: a running geng, fake upstreams, a client that sees every byte."""
