"""Who gets a request, and the exchange with them.   nginx: ngx_http_upstream.c and its balancers"""
