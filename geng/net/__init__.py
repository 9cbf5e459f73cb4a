"""The net floor: hub and timers, connections and their pool, listening sockets, connect, resolver. Imports gevent."""
