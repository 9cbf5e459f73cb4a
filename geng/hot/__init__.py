"""The inner loops: plain typed Python that Cython compiles to a module of the same name when it can."""
