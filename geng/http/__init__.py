"""HTTP: requests, phases, filters, locations, variables.   nginx: src/http/"""
