"""The compiler of the configuration: source, syntax tree, checked directives, typed confs. No I/O, no gevent."""
