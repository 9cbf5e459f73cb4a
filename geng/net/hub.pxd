# What hub.py is in C: types only, no code.
from geng.hot.greenlets cimport Greenlets

cdef class Hub(Greenlets):
    cdef public object loop, timers, on_error
    cdef public object _alarm, _keep, _main
    cdef public bint _stopped
    cdef object __weakref__
