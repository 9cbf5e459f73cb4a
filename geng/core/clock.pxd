# What clock.py is in C: types only, no code.

cdef extern from "<time.h>" nogil:
    ctypedef long time_t
    struct timespec:
        long tv_sec
        long tv_nsec
    int CLOCK_REALTIME, CLOCK_MONOTONIC
    int clock_gettime(int clock, timespec* at)

cdef bint PLAIN
cdef timespec at[1]
cdef long long _second
cdef bytes _http, _http_log, _err_log, _iso8601, _syslog

cpdef long long seconds() noexcept
cpdef long long msec() noexcept
cpdef bytes http_time()
cpdef bytes http_log_time()
cpdef bytes err_log_time()
cpdef bytes iso8601()
cpdef bytes syslog_time()
cpdef bytes http_time_of(long long second)
cpdef _update(long long second)
