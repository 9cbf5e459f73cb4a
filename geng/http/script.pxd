# What script.py is in C: types only, no code.

cdef _fresh(r, dict values, name, source)
cdef _cached(r, dict values, name, source)

cdef class VariableRef:
    cdef public object flags, get, name, set, source

cdef class Value:
    cdef public object fn, literal, parts, text

cdef class Regex:
    cdef public object pattern, search
    cdef public list names

    cpdef exec(self, r, bytes subject)
