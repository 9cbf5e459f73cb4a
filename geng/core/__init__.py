"""What needs no I/O and no gevent: logs, clocks, tables, formats. Every other floor may import it."""
