"""QUIC, version 1: the transport below HTTP/3.   nginx: src/event/quic; RFC 9000, 9001, 9002"""
