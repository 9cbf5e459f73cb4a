# What dates.py is in C: types only, no code.
cimport cython

cdef tuple WEEK, MONTHS
cdef bytes DAYS_IN
cdef int RFC822, RFC850, ASCTIME
cdef long long LAST_DAY


@cython.locals(first=int, second=int, third=int)
cdef int _month(const unsigned char* p, Py_ssize_t i) noexcept

@cython.locals(number=int, stop=Py_ssize_t, digit=int)
cdef int _number(const unsigned char* p, Py_ssize_t i, int digits) noexcept

cpdef long long days(long long year, long long month, long long day) except? -1

@cython.locals(data=bytes, p="const unsigned char*", end=Py_ssize_t, i=Py_ssize_t, style=int, day=int, year=int,
               month=int, units=int, hour=int, minute=int, second=int)
cpdef long long parse_http_time(bytes value) except? -1

cdef long long _join(int year, int month, int day, int in_day, int hour, int minute, int second) except? -1

@cython.locals(day="long long", left="long long", weekday=int, shifted="long long", era="long long",
               in_era="long long", year_of_era="long long", in_year="long long", shifted_month="long long",
               mday="long long", month="long long", year="long long")
cpdef tuple civil(long long seconds)
