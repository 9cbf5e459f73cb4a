# What hub.py is in C: types only, no code.

cdef class Hub:
    cdef public object loop, timers, on_error, park
    cdef public object _gevent_hub, _alarm, _keep, _main
    cdef public list _idle
    cdef public bint _stopped
    cdef object __weakref__
