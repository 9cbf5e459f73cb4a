"""HTTP/2 on client connections: a session per connection, a stream per request.   nginx: src/http/v2"""
