# What greenlets.py is in C: types only, but for the way to greenlet's C interface (greenlet.h).
cimport cython

cdef extern from *:
    """
    __attribute__((unused)) static PyObject *(*geng_switch)(PyObject *, PyObject *, PyObject *);
    __attribute__((unused)) static PyObject *(*geng_current)(void);

    __attribute__((unused)) static int geng_load_greenlets(void)
    {
        void **api = (void **) PyCapsule_Import("greenlet._C_API", 0);
        if (api == NULL)
            return -1;
        geng_current = (PyObject *(*)(void)) api[4];
        geng_switch = (PyObject *(*)(PyObject *, PyObject *, PyObject *)) api[6];
        return 0;
    }
    #define geng_switch_to(target, args) geng_switch(target, args, NULL)
    #define geng_current_greenlet() geng_current()
    """
    int load_greenlets "geng_load_greenlets"() except -1
    object switch_to "geng_switch_to"(object target, object args)
    object current_greenlet "geng_current_greenlet"()

cdef bint PLAIN
cdef tuple NOTHING

cpdef load()
cpdef switch(target, tuple args)
cpdef current()

cdef class Greenlets:
    cdef public object _gevent_hub, _park
    cdef public list _idle
    cdef public Py_ssize_t most_idle

    cpdef park(self)

    @cython.locals(idle=list)
    cpdef start(self, function, tuple args)

    @cython.locals(idle=list)
    cpdef _work(self, function, args)
