"""TLS: OpenSSL, contexts, certificates, sessions, OCSP. No HTTP in here: stream and mail use it as well."""
