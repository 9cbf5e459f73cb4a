# What proxy_request.py is in C: types only, no code.
cimport cython
from geng.hot.decimal cimport decimal
from geng.hot.pieces cimport join
from geng.hot.http1 cimport RequestHead as CRequestHead
from geng.http.request cimport Request as CRequest
from geng.upstream.engine cimport Exchange as CExchange

cdef int _LITERAL, _HEADER, _HOST, _LENGTH, _CHUNKED, _GET

cpdef bytes replaced_uri(CRequest r, bytes uri, bytes location)

cdef class Assembler:
    cdef public object method, vars, body
    cdef public bytes uri, location, kinds
    cdef public tuple items
    cdef public bint streams

    @cython.locals(head=CRequestHead, out=list, kinds=bytes, items=tuple, i=Py_ssize_t, kind=int, length="long long")
    cpdef bytes assemble(self, CRequest r, CExchange u)

    cpdef bytes target(self, CRequest r, CExchange u)
    cpdef long long length_in_chunks(self, CRequest r, CExchange u) except? -2
