# What linked.py is in C: types only, no code.

cdef class Linked:
    cdef public object loc, srv, log, limit_except, limit_rate, content_handler, send_head, send_timeout
    cdef public bytes default_type, server_line, dated
    cdef public object types
    cdef public long long dated_at
    cdef public object default, early_read, search
    cdef public tuple rewrite, steps, handlers, log_handlers, post_read, server_rewrite
    cdef public bint internal, chunked_transfer_encoding, absolute_redirect, gzip_vary, post_action
    cdef public long long client_max_body_size, keepalive_timeout, keepalive_min_timeout, keepalive_requests
    cdef public long long keepalive_time, keepalive_header, postpone_output
    cdef public long keepalive_disable, lingering_close
