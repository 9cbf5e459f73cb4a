# What variables.py is in C: the getters that every line of an access log asks.
from geng.http.request cimport Request as CRequest

cpdef remote_user(CRequest r)
cpdef remote_addr(CRequest r)
cpdef request_line(CRequest r)
cpdef referer(CRequest r)
cpdef user_agent(CRequest r)
cpdef body_bytes_sent(CRequest r)
cpdef host(CRequest r)
cpdef request_uri(CRequest r)
cpdef uri(CRequest r)
cpdef request_time(CRequest r)
