"""Every directive of nginx 1.31.5, and geng's own: where it may stand and how many arguments it takes.

nginx: the ngx_command_t table of every module, in nginx's order of modules. geng.conf.tables reads this.

A module's name, then its directives: name, contexts, arity, and `block` where a block must follow. Contexts are the
constants of geng.conf.tables in small letters. Arity: `flag`, the numbers that are allowed (`12`: one or two), or
the least number (`1+`). Directives of the modules in ELSEWHERE are unknown to nginx on Linux.
"""

ELSEWHERE = frozenset({"devpoll", "eventport", "iocp", "kqueue"})

OWN = """
geng
    server_product main,direct 1
"""

NGINX = """\
core
    daemon main,direct flag
    master_process main,direct flag
    timer_resolution main,direct 1
    pid main,direct 1
    lock_file main,direct 1
    worker_processes main,direct 1
    debug_points main,direct 1
    user main,direct 12
    worker_priority main,direct 1
    worker_cpu_affinity main,direct 1+
    worker_rlimit_nofile main,direct 1
    worker_rlimit_core main,direct 1
    worker_shutdown_timeout main,direct 1
    working_directory main,direct 1
    env main,direct 1
    load_module main,direct 1

errlog
    error_log main 1+

conf
    include any 1

openssl
    ssl_engine main,direct 1

openssl_cache
    ssl_object_cache_inheritable main,direct flag

quic_bpf
    quic_bpf main,direct flag

regex
    pcre_jit main,direct flag

events
    events main 0 block

event_core
    worker_connections events 1
    use events 1
    multi_accept events flag
    accept_mutex events flag
    accept_mutex_delay events 1
    debug_connection events 1

epoll
    epoll_events events 1
    worker_aio_requests events 1

devpoll
    devpoll_changes events 1
    devpoll_events events 1

eventport
    eventport_events events 1

iocp
    iocp_threads events 1
    post_acceptex events 1
    acceptex_read events flag

kqueue
    kqueue_changes events 1
    kqueue_events events 1

thread_pool
    thread_pool main,direct 23

http
    http main 0 block

http_core
    variables_hash_max_size http 1
    variables_hash_bucket_size http 1
    server_names_hash_max_size http 1
    server_names_hash_bucket_size http 1
    server http 0 block
    connection_pool_size http,srv 1
    request_pool_size http,srv 1
    client_header_timeout http,srv 1
    client_header_buffer_size http,srv 1
    large_client_header_buffers http,srv 2
    max_headers http,srv 1
    ignore_invalid_headers http,srv flag
    merge_slashes http,srv flag
    underscores_in_headers http,srv flag
    location srv,loc 12 block
    listen srv 1+
    server_name srv 1+
    types_hash_max_size http,srv,loc 1
    types_hash_bucket_size http,srv,loc 1
    types http,srv,loc 0 block
    default_type http,srv,loc 1
    root http,srv,loc,lif 1
    alias loc 1
    limit_except loc 1+ block
    client_max_body_size http,srv,loc 1
    client_body_buffer_size http,srv,loc 1
    client_body_timeout http,srv,loc 1
    client_body_temp_path http,srv,loc 1234
    client_body_in_file_only http,srv,loc 1
    client_body_in_single_buffer http,srv,loc flag
    client_body_early_read http,srv 1+
    sendfile http,srv,loc,lif flag
    sendfile_max_chunk http,srv,loc 1
    subrequest_output_buffer_size http,srv,loc 1
    aio http,srv,loc 1
    aio_write http,srv,loc flag
    read_ahead http,srv,loc 1
    directio http,srv,loc 1
    directio_alignment http,srv,loc 1
    tcp_nopush http,srv,loc flag
    tcp_nodelay http,srv,loc flag
    send_timeout http,srv,loc 1
    send_lowat http,srv,loc 1
    postpone_output http,srv,loc 1
    limit_rate http,srv,loc,lif 1
    limit_rate_after http,srv,loc,lif 1
    keepalive_time http,srv,loc 1
    keepalive_timeout http,srv,loc 12
    keepalive_min_timeout http,srv,loc 1
    keepalive_requests http,srv,loc 1
    keepalive_disable http,srv,loc 12
    satisfy http,srv,loc 1
    auth_delay http,srv,loc 1
    internal loc 0
    lingering_close http,srv,loc 1
    lingering_time http,srv,loc 1
    lingering_timeout http,srv,loc 1
    reset_timedout_connection http,srv,loc flag
    absolute_redirect http,srv,loc flag
    server_name_in_redirect http,srv,loc flag
    port_in_redirect http,srv,loc flag
    msie_padding http,srv,loc flag
    msie_refresh http,srv,loc flag
    log_not_found http,srv,loc flag
    log_subrequest http,srv,loc flag
    recursive_error_pages http,srv,loc flag
    server_tokens http,srv,loc 1
    if_modified_since http,srv,loc 1
    max_ranges http,srv,loc 1
    chunked_transfer_encoding http,srv,loc flag
    etag http,srv,loc flag
    early_hints http,srv,loc 1+
    error_page http,srv,loc,lif 2+
    post_action http,srv,loc,lif 1
    error_log http,srv,loc 1+
    open_file_cache http,srv,loc 12
    open_file_cache_valid http,srv,loc 1
    open_file_cache_min_uses http,srv,loc 1
    open_file_cache_errors http,srv,loc flag
    open_file_cache_events http,srv,loc flag
    resolver http,srv,loc 1+
    resolver_timeout http,srv,loc 1
    gzip_vary http,srv,loc flag
    gzip_http_version http,srv,loc 1
    gzip_proxied http,srv,loc 1+
    gzip_disable http,srv,loc 1+
    disable_symlinks http,srv,loc 12

http_log
    log_format http 2+
    access_log http,srv,loc,lif,lmt 1+
    open_log_file_cache http,srv,loc 1234

http_upstream
    upstream http 1 block
    server ups 1+
    resolver ups 1+
    resolver_timeout ups 1

http_v2
    http2 http,srv flag
    http2_recv_buffer_size http 1
    http2_pool_size http,srv 1
    http2_max_concurrent_streams http,srv 1
    http2_max_concurrent_pushes http,srv 1
    http2_max_requests http,srv 1
    http2_max_field_size http,srv 1
    http2_max_header_size http,srv 1
    http2_body_preread_size http,srv 1
    http2_streams_index_size http,srv 1
    http2_recv_timeout http,srv 1
    http2_idle_timeout http,srv 1
    http2_chunk_size http,srv,loc 1
    http2_push_preload http,srv,loc flag
    http2_push http,srv,loc 1

http_v3
    http3 http,srv flag
    http3_hq http,srv flag
    http3_max_concurrent_streams http,srv 1
    http3_stream_buffer_size http,srv 1
    quic_retry http,srv flag
    quic_gso http,srv flag
    quic_host_key http,srv 1
    quic_active_connection_id_limit http,srv 1

http_gzip_static
    gzip_static http,srv,loc 1

http_dav
    dav_methods http,srv,loc 1+
    create_full_put_path http,srv,loc flag
    min_delete_depth http,srv,loc 1
    dav_access http,srv,loc 123

http_autoindex
    autoindex http,srv,loc flag
    autoindex_format http,srv,loc 1
    autoindex_localtime http,srv,loc flag
    autoindex_exact_size http,srv,loc flag

http_index
    index http,srv,loc 1+

http_random_index
    random_index loc flag

http_mirror
    mirror http,srv,loc 1
    mirror_request_body http,srv,loc flag

http_try_files
    try_files srv,loc 2+

http_auth_request
    auth_request http,srv,loc 1
    auth_request_set http,srv,loc 2

http_auth_basic
    auth_basic http,srv,loc,lmt 1
    auth_basic_user_file http,srv,loc,lmt 1

http_access
    allow http,srv,loc,lmt 1
    deny http,srv,loc,lmt 1

http_limit_conn
    limit_conn_zone http 2
    limit_conn http,srv,loc 2
    limit_conn_log_level http,srv,loc 1
    limit_conn_status http,srv,loc 1
    limit_conn_dry_run http,srv,loc flag

http_limit_req
    limit_req_zone http 3
    limit_req http,srv,loc 123
    limit_req_log_level http,srv,loc 1
    limit_req_status http,srv,loc 1
    limit_req_dry_run http,srv,loc flag

http_realip
    set_real_ip_from http,srv,loc 1
    real_ip_header http,srv,loc 1
    real_ip_recursive http,srv,loc flag

http_geo
    geo http 12 block

http_map
    map http 2 block
    map_hash_max_size http 1
    map_hash_bucket_size http 1

http_split_clients
    split_clients http 2 block

http_referer
    valid_referers srv,loc 1+
    referer_hash_max_size srv,loc 1
    referer_hash_bucket_size srv,loc 1

http_rewrite
    rewrite srv,loc,sif,lif 23
    return srv,loc,sif,lif 12
    break srv,loc,sif,lif 0
    if srv,loc 1+ block
    set srv,loc,sif,lif 2
    rewrite_log http,srv,loc,sif,lif flag
    uninitialized_variable_warn http,srv,loc,sif,lif flag

http_ssl
    ssl_certificate http,srv 1
    ssl_certificate_key http,srv 1
    ssl_certificate_cache http,srv 123
    ssl_ech_file http,srv 1
    ssl_password_file http,srv 1
    ssl_certificate_compression http,srv flag
    ssl_dhparam http,srv 1
    ssl_ecdh_curve http,srv 1
    ssl_protocols http,srv 1+
    ssl_ciphers http,srv 1
    ssl_buffer_size http,srv 1
    ssl_verify_client http,srv 1
    ssl_verify_depth http,srv 1
    ssl_client_certificate http,srv 1
    ssl_trusted_certificate http,srv 1
    ssl_prefer_server_ciphers http,srv flag
    ssl_session_cache http,srv 12
    ssl_session_tickets http,srv flag
    ssl_session_ticket_key http,srv 1
    ssl_session_timeout http,srv 1
    ssl_crl http,srv 1
    ssl_ocsp http,srv 1
    ssl_ocsp_responder http,srv 1
    ssl_ocsp_cache http,srv 1
    ssl_stapling http,srv flag
    ssl_stapling_file http,srv 1
    ssl_stapling_responder http,srv 1
    ssl_stapling_verify http,srv flag
    ssl_early_data http,srv flag
    ssl_conf_command http,srv 2
    ssl_reject_handshake http,srv flag

http_proxy
    proxy_pass loc,lif,lmt 1
    proxy_redirect http,srv,loc 12
    proxy_cookie_domain http,srv,loc 12
    proxy_cookie_path http,srv,loc 12
    proxy_cookie_flags http,srv,loc 1234
    proxy_store http,srv,loc 1
    proxy_store_access http,srv,loc 123
    proxy_buffering http,srv,loc flag
    proxy_request_buffering http,srv,loc flag
    proxy_ignore_client_abort http,srv,loc flag
    proxy_bind http,srv,loc 12
    proxy_socket_keepalive http,srv,loc flag
    proxy_socket_rcvbuf http,srv,loc 1
    proxy_socket_sndbuf http,srv,loc 1
    proxy_connect_timeout http,srv,loc 1
    proxy_send_timeout http,srv,loc 1
    proxy_send_lowat http,srv,loc 1
    proxy_intercept_errors http,srv,loc flag
    proxy_set_header http,srv,loc 2
    proxy_headers_hash_max_size http,srv,loc 1
    proxy_headers_hash_bucket_size http,srv,loc 1
    proxy_set_body http,srv,loc 1
    proxy_method http,srv,loc 1
    proxy_pass_request_headers http,srv,loc flag
    proxy_pass_request_body http,srv,loc flag
    proxy_pass_trailers http,srv,loc flag
    proxy_buffer_size http,srv,loc 1
    proxy_read_timeout http,srv,loc 1
    proxy_buffers http,srv,loc 2
    proxy_busy_buffers_size http,srv,loc 1
    proxy_force_ranges http,srv,loc flag
    proxy_limit_rate http,srv,loc 1
    proxy_cache http,srv,loc 1
    proxy_cache_key http,srv,loc 1
    proxy_cache_path http 2+
    proxy_cache_bypass http,srv,loc 1+
    proxy_no_cache http,srv,loc 1+
    proxy_cache_valid http,srv,loc 1+
    proxy_cache_min_uses http,srv,loc 1
    proxy_cache_max_range_offset http,srv,loc 1
    proxy_cache_use_stale http,srv,loc 1+
    proxy_cache_methods http,srv,loc 1+
    proxy_cache_lock http,srv,loc flag
    proxy_cache_lock_timeout http,srv,loc 1
    proxy_cache_lock_age http,srv,loc 1
    proxy_cache_revalidate http,srv,loc flag
    proxy_cache_convert_head http,srv,loc flag
    proxy_cache_background_update http,srv,loc flag
    proxy_temp_path http,srv,loc 1234
    proxy_max_temp_file_size http,srv,loc 1
    proxy_temp_file_write_size http,srv,loc 1
    proxy_next_upstream http,srv,loc 1+
    proxy_next_upstream_tries http,srv,loc 1
    proxy_next_upstream_timeout http,srv,loc 1
    proxy_pass_header http,srv,loc 1
    proxy_hide_header http,srv,loc 1
    proxy_ignore_headers http,srv,loc 1+
    proxy_http_version http,srv,loc 1
    proxy_ssl_session_reuse http,srv,loc flag
    proxy_ssl_protocols http,srv,loc 1+
    proxy_ssl_ciphers http,srv,loc 1
    proxy_ssl_name http,srv,loc 1
    proxy_ssl_server_name http,srv,loc flag
    proxy_ssl_verify http,srv,loc flag
    proxy_ssl_verify_depth http,srv,loc 1
    proxy_ssl_trusted_certificate http,srv,loc 1
    proxy_ssl_crl http,srv,loc 1
    proxy_ssl_certificate http,srv,loc 1
    proxy_ssl_certificate_key http,srv,loc 1
    proxy_ssl_certificate_cache http,srv,loc 123
    proxy_ssl_password_file http,srv,loc 1
    proxy_ssl_conf_command http,srv,loc 2

http_fastcgi
    fastcgi_pass loc,lif 1
    fastcgi_index http,srv,loc 1
    fastcgi_split_path_info http,srv,loc 1
    fastcgi_store http,srv,loc 1
    fastcgi_store_access http,srv,loc 123
    fastcgi_buffering http,srv,loc flag
    fastcgi_request_buffering http,srv,loc flag
    fastcgi_ignore_client_abort http,srv,loc flag
    fastcgi_bind http,srv,loc 12
    fastcgi_socket_keepalive http,srv,loc flag
    fastcgi_socket_rcvbuf http,srv,loc 1
    fastcgi_socket_sndbuf http,srv,loc 1
    fastcgi_connect_timeout http,srv,loc 1
    fastcgi_send_timeout http,srv,loc 1
    fastcgi_send_lowat http,srv,loc 1
    fastcgi_buffer_size http,srv,loc 1
    fastcgi_pass_request_headers http,srv,loc flag
    fastcgi_pass_request_body http,srv,loc flag
    fastcgi_intercept_errors http,srv,loc flag
    fastcgi_read_timeout http,srv,loc 1
    fastcgi_buffers http,srv,loc 2
    fastcgi_busy_buffers_size http,srv,loc 1
    fastcgi_force_ranges http,srv,loc flag
    fastcgi_limit_rate http,srv,loc 1
    fastcgi_cache http,srv,loc 1
    fastcgi_cache_key http,srv,loc 1
    fastcgi_cache_path http 2+
    fastcgi_cache_bypass http,srv,loc 1+
    fastcgi_no_cache http,srv,loc 1+
    fastcgi_cache_valid http,srv,loc 1+
    fastcgi_cache_min_uses http,srv,loc 1
    fastcgi_cache_max_range_offset http,srv,loc 1
    fastcgi_cache_use_stale http,srv,loc 1+
    fastcgi_cache_methods http,srv,loc 1+
    fastcgi_cache_lock http,srv,loc flag
    fastcgi_cache_lock_timeout http,srv,loc 1
    fastcgi_cache_lock_age http,srv,loc 1
    fastcgi_cache_revalidate http,srv,loc flag
    fastcgi_cache_background_update http,srv,loc flag
    fastcgi_temp_path http,srv,loc 1234
    fastcgi_max_temp_file_size http,srv,loc 1
    fastcgi_temp_file_write_size http,srv,loc 1
    fastcgi_next_upstream http,srv,loc 1+
    fastcgi_next_upstream_tries http,srv,loc 1
    fastcgi_next_upstream_timeout http,srv,loc 1
    fastcgi_param http,srv,loc 23
    fastcgi_pass_header http,srv,loc 1
    fastcgi_hide_header http,srv,loc 1
    fastcgi_ignore_headers http,srv,loc 1+
    fastcgi_catch_stderr http,srv,loc 1
    fastcgi_keep_conn http,srv,loc flag

http_uwsgi
    uwsgi_pass loc,lif 1
    uwsgi_modifier1 http,srv,loc 1
    uwsgi_modifier2 http,srv,loc 1
    uwsgi_store http,srv,loc 1
    uwsgi_store_access http,srv,loc 123
    uwsgi_buffering http,srv,loc flag
    uwsgi_request_buffering http,srv,loc flag
    uwsgi_ignore_client_abort http,srv,loc flag
    uwsgi_bind http,srv,loc 12
    uwsgi_socket_keepalive http,srv,loc flag
    uwsgi_socket_rcvbuf http,srv,loc 1
    uwsgi_socket_sndbuf http,srv,loc 1
    uwsgi_connect_timeout http,srv,loc 1
    uwsgi_send_timeout http,srv,loc 1
    uwsgi_buffer_size http,srv,loc 1
    uwsgi_pass_request_headers http,srv,loc flag
    uwsgi_pass_request_body http,srv,loc flag
    uwsgi_intercept_errors http,srv,loc flag
    uwsgi_read_timeout http,srv,loc 1
    uwsgi_buffers http,srv,loc 2
    uwsgi_busy_buffers_size http,srv,loc 1
    uwsgi_force_ranges http,srv,loc flag
    uwsgi_limit_rate http,srv,loc 1
    uwsgi_cache http,srv,loc 1
    uwsgi_cache_key http,srv,loc 1
    uwsgi_cache_path http 2+
    uwsgi_cache_bypass http,srv,loc 1+
    uwsgi_no_cache http,srv,loc 1+
    uwsgi_cache_valid http,srv,loc 1+
    uwsgi_cache_min_uses http,srv,loc 1
    uwsgi_cache_max_range_offset http,srv,loc 1
    uwsgi_cache_use_stale http,srv,loc 1+
    uwsgi_cache_methods http,srv,loc 1+
    uwsgi_cache_lock http,srv,loc flag
    uwsgi_cache_lock_timeout http,srv,loc 1
    uwsgi_cache_lock_age http,srv,loc 1
    uwsgi_cache_revalidate http,srv,loc flag
    uwsgi_cache_background_update http,srv,loc 1
    uwsgi_temp_path http,srv,loc 1234
    uwsgi_max_temp_file_size http,srv,loc 1
    uwsgi_temp_file_write_size http,srv,loc 1
    uwsgi_next_upstream http,srv,loc 1+
    uwsgi_next_upstream_tries http,srv,loc 1
    uwsgi_next_upstream_timeout http,srv,loc 1
    uwsgi_param http,srv,loc 23
    uwsgi_string http,srv,loc 1
    uwsgi_pass_header http,srv,loc 1
    uwsgi_hide_header http,srv,loc 1
    uwsgi_ignore_headers http,srv,loc 1+
    uwsgi_ssl_session_reuse http,srv,loc flag
    uwsgi_ssl_protocols http,srv,loc 1+
    uwsgi_ssl_ciphers http,srv,loc 1
    uwsgi_ssl_name http,srv,loc 1
    uwsgi_ssl_server_name http,srv,loc flag
    uwsgi_ssl_verify http,srv,loc flag
    uwsgi_ssl_verify_depth http,srv,loc 1
    uwsgi_ssl_trusted_certificate http,srv,loc 1
    uwsgi_ssl_crl http,srv,loc 1
    uwsgi_ssl_certificate http,srv,loc 1
    uwsgi_ssl_certificate_key http,srv,loc 1
    uwsgi_ssl_certificate_cache http,srv,loc 123
    uwsgi_ssl_password_file http,srv,loc 1
    uwsgi_ssl_conf_command http,srv,loc 2

http_scgi
    scgi_pass loc,lif 1
    scgi_store http,srv,loc 1
    scgi_store_access http,srv,loc 123
    scgi_buffering http,srv,loc flag
    scgi_request_buffering http,srv,loc flag
    scgi_ignore_client_abort http,srv,loc flag
    scgi_bind http,srv,loc 12
    scgi_socket_keepalive http,srv,loc flag
    scgi_socket_rcvbuf http,srv,loc 1
    scgi_socket_sndbuf http,srv,loc 1
    scgi_connect_timeout http,srv,loc 1
    scgi_send_timeout http,srv,loc 1
    scgi_buffer_size http,srv,loc 1
    scgi_pass_request_headers http,srv,loc flag
    scgi_pass_request_body http,srv,loc flag
    scgi_intercept_errors http,srv,loc flag
    scgi_read_timeout http,srv,loc 1
    scgi_buffers http,srv,loc 2
    scgi_busy_buffers_size http,srv,loc 1
    scgi_force_ranges http,srv,loc flag
    scgi_limit_rate http,srv,loc 1
    scgi_cache http,srv,loc 1
    scgi_cache_key http,srv,loc 1
    scgi_cache_path http 2+
    scgi_cache_bypass http,srv,loc 1+
    scgi_no_cache http,srv,loc 1+
    scgi_cache_valid http,srv,loc 1+
    scgi_cache_min_uses http,srv,loc 1
    scgi_cache_max_range_offset http,srv,loc 1
    scgi_cache_use_stale http,srv,loc 1+
    scgi_cache_methods http,srv,loc 1+
    scgi_cache_lock http,srv,loc flag
    scgi_cache_lock_timeout http,srv,loc 1
    scgi_cache_lock_age http,srv,loc 1
    scgi_cache_revalidate http,srv,loc flag
    scgi_cache_background_update http,srv,loc flag
    scgi_temp_path http,srv,loc 1234
    scgi_max_temp_file_size http,srv,loc 1
    scgi_temp_file_write_size http,srv,loc 1
    scgi_next_upstream http,srv,loc 1+
    scgi_next_upstream_tries http,srv,loc 1
    scgi_next_upstream_timeout http,srv,loc 1
    scgi_param http,srv,loc 23
    scgi_pass_header http,srv,loc 1
    scgi_hide_header http,srv,loc 1
    scgi_ignore_headers http,srv,loc 1+

http_grpc
    grpc_pass loc,lif 1
    grpc_bind http,srv,loc 12
    grpc_socket_keepalive http,srv,loc flag
    grpc_socket_rcvbuf http,srv,loc 1
    grpc_socket_sndbuf http,srv,loc 1
    grpc_connect_timeout http,srv,loc 1
    grpc_send_timeout http,srv,loc 1
    grpc_intercept_errors http,srv,loc flag
    grpc_buffer_size http,srv,loc 1
    grpc_read_timeout http,srv,loc 1
    grpc_next_upstream http,srv,loc 1+
    grpc_next_upstream_tries http,srv,loc 1
    grpc_next_upstream_timeout http,srv,loc 1
    grpc_set_header http,srv,loc 2
    grpc_pass_header http,srv,loc 1
    grpc_hide_header http,srv,loc 1
    grpc_ignore_headers http,srv,loc 1+
    grpc_ssl_session_reuse http,srv,loc flag
    grpc_ssl_protocols http,srv,loc 1+
    grpc_ssl_ciphers http,srv,loc 1
    grpc_ssl_name http,srv,loc 1
    grpc_ssl_server_name http,srv,loc flag
    grpc_ssl_verify http,srv,loc flag
    grpc_ssl_verify_depth http,srv,loc 1
    grpc_ssl_trusted_certificate http,srv,loc 1
    grpc_ssl_crl http,srv,loc 1
    grpc_ssl_certificate http,srv,loc 1
    grpc_ssl_certificate_key http,srv,loc 1
    grpc_ssl_certificate_cache http,srv,loc 123
    grpc_ssl_password_file http,srv,loc 1
    grpc_ssl_conf_command http,srv,loc 2

http_tunnel
    tunnel_pass srv,loc,lif 01
    tunnel_bind http,srv,loc 12
    tunnel_socket_keepalive http,srv,loc flag
    tunnel_socket_rcvbuf http,srv,loc 1
    tunnel_socket_sndbuf http,srv,loc 1
    tunnel_connect_timeout http,srv,loc 1
    tunnel_send_timeout http,srv,loc 1
    tunnel_send_lowat http,srv,loc 1
    tunnel_buffer_size http,srv,loc 1
    tunnel_read_timeout http,srv,loc 1
    tunnel_next_upstream http,srv,loc 1+
    tunnel_next_upstream_tries http,srv,loc 1
    tunnel_next_upstream_timeout http,srv,loc 1

http_memcached
    memcached_pass loc,lif 1
    memcached_bind http,srv,loc 12
    memcached_socket_keepalive http,srv,loc flag
    memcached_connect_timeout http,srv,loc 1
    memcached_send_timeout http,srv,loc 1
    memcached_buffer_size http,srv,loc 1
    memcached_read_timeout http,srv,loc 1
    memcached_next_upstream http,srv,loc 1+
    memcached_next_upstream_tries http,srv,loc 1
    memcached_next_upstream_timeout http,srv,loc 1
    memcached_gzip_flag http,srv,loc 1

http_empty_gif
    empty_gif loc 0

http_browser
    modern_browser http,srv,loc 12
    ancient_browser http,srv,loc 1+
    modern_browser_value http,srv,loc 1
    ancient_browser_value http,srv,loc 1

http_secure_link
    secure_link http,srv,loc 1
    secure_link_md5 http,srv,loc 1
    secure_link_secret http,srv,loc 1

http_degradation
    degradation http 1
    degrade http,srv,loc 1

http_flv
    flv loc 0

http_mp4
    mp4 loc 0
    mp4_buffer_size http,srv,loc 1
    mp4_max_buffer_size http,srv,loc 1
    mp4_start_key_frame http,srv,loc flag

http_upstream_hash
    hash ups 12

http_upstream_ip_hash
    ip_hash ups 0

http_upstream_least_conn
    least_conn ups 0

http_upstream_least_time
    least_time ups 12

http_upstream_random
    random ups 012

http_upstream_keepalive
    keepalive ups 12
    keepalive_time ups 1
    keepalive_timeout ups 1
    keepalive_requests ups 1

http_upstream_zone
    zone ups 12

http_upstream_sticky
    sticky ups 2+

http_stub_status
    stub_status srv,loc 01

http_gzip_filter
    gzip http,srv,loc,lif flag
    gzip_buffers http,srv,loc 2
    gzip_types http,srv,loc 1+
    gzip_comp_level http,srv,loc 1
    gzip_window http,srv,loc 1
    gzip_hash http,srv,loc 1
    postpone_gzipping http,srv,loc 1
    gzip_no_buffer http,srv,loc flag
    gzip_min_length http,srv,loc 1

http_ssi_filter
    ssi http,srv,loc,lif flag
    ssi_silent_errors http,srv,loc flag
    ssi_ignore_recycled_buffers http,srv,loc flag
    ssi_min_file_chunk http,srv,loc 1
    ssi_value_length http,srv,loc 1
    ssi_types http,srv,loc 1+
    ssi_last_modified http,srv,loc flag

http_charset_filter
    charset http,srv,loc,lif 1
    source_charset http,srv,loc,lif 1
    override_charset http,srv,loc,lif flag
    charset_types http,srv,loc 1+
    charset_map http 2 block

http_sub_filter
    sub_filter http,srv,loc 2
    sub_filter_types http,srv,loc 1+
    sub_filter_once http,srv,loc flag
    sub_filter_last_modified http,srv,loc flag

http_addition_filter
    add_before_body http,srv,loc 1
    add_after_body http,srv,loc 1
    addition_types http,srv,loc 1+

http_gunzip_filter
    gunzip http,srv,loc flag
    gunzip_buffers http,srv,loc 2

http_userid_filter
    userid http,srv,loc 1
    userid_service http,srv,loc 1
    userid_name http,srv,loc 1
    userid_domain http,srv,loc 1
    userid_path http,srv,loc 1
    userid_expires http,srv,loc 1
    userid_flags http,srv,loc 123
    userid_p3p http,srv,loc 1
    userid_mark http,srv,loc 1

http_headers_filter
    expires http,srv,loc,lif 12
    add_header http,srv,loc,lif 23
    add_trailer http,srv,loc,lif 23
    add_header_inherit http,srv,loc,lif 1
    add_trailer_inherit http,srv,loc,lif 1

http_copy_filter
    output_buffers http,srv,loc 2

http_slice_filter
    slice http,srv,loc 1

http_geoip
    geoip_country http 12
    geoip_org http 12
    geoip_city http 12
    geoip_proxy http 1
    geoip_proxy_recursive http flag

http_image_filter
    image_filter loc 123
    image_filter_jpeg_quality http,srv,loc 1
    image_filter_webp_quality http,srv,loc 1
    image_filter_sharpen http,srv,loc 1
    image_filter_transparency http,srv,loc flag
    image_filter_interlace http,srv,loc flag
    image_filter_buffer http,srv,loc 1

http_xslt_filter
    xml_entities http,srv,loc 1
    xml_external_entities http,srv,loc flag
    xslt_stylesheet loc 1+
    xslt_param http,srv,loc 2
    xslt_string_param http,srv,loc 2
    xslt_types http,srv,loc 1+
    xslt_last_modified http,srv,loc flag

http_perl
    perl_modules http 1
    perl_require http 1
    perl loc,lmt 1
    perl_set http 2

google_perftools
    google_perftools_profiles main,direct 1

mail
    mail main 0 block

mail_core
    server mail 0 block
    listen mail_srv 1+
    protocol mail_srv 1
    timeout mail,mail_srv 1
    server_name mail,mail_srv 1
    error_log mail,mail_srv 1+
    resolver mail,mail_srv 1+
    resolver_timeout mail,mail_srv 1
    max_errors mail,mail_srv 1

mail_ssl
    starttls mail,mail_srv 1
    ssl_certificate mail,mail_srv 1
    ssl_certificate_key mail,mail_srv 1
    ssl_password_file mail,mail_srv 1
    ssl_certificate_compression mail,mail_srv flag
    ssl_dhparam mail,mail_srv 1
    ssl_ecdh_curve mail,mail_srv 1
    ssl_protocols mail,mail_srv 1+
    ssl_ciphers mail,mail_srv 1
    ssl_prefer_server_ciphers mail,mail_srv flag
    ssl_session_cache mail,mail_srv 12
    ssl_session_tickets mail,mail_srv flag
    ssl_session_ticket_key mail,mail_srv 1
    ssl_session_timeout mail,mail_srv 1
    ssl_verify_client mail,mail_srv 1
    ssl_verify_depth mail,mail_srv 1
    ssl_client_certificate mail,mail_srv 1
    ssl_trusted_certificate mail,mail_srv 1
    ssl_crl mail,mail_srv 1
    ssl_conf_command mail,mail_srv 2

mail_pop3
    pop3_capabilities mail,mail_srv 1+
    pop3_auth mail,mail_srv 1+

mail_imap
    imap_client_buffer mail,mail_srv 1
    imap_capabilities mail,mail_srv 1+
    imap_auth mail,mail_srv 1+

mail_smtp
    smtp_client_buffer mail,mail_srv 1
    smtp_greeting_delay mail,mail_srv 1
    smtp_capabilities mail,mail_srv 1+
    smtp_auth mail,mail_srv 1+

mail_auth_http
    auth_http mail,mail_srv 1
    auth_http_timeout mail,mail_srv 1
    auth_http_header mail,mail_srv 2
    auth_http_pass_client_cert mail,mail_srv flag

mail_proxy
    proxy mail,mail_srv flag
    proxy_buffer mail,mail_srv 1
    proxy_timeout mail,mail_srv 1
    proxy_pass_error_message mail,mail_srv flag
    xclient mail,mail_srv flag
    proxy_smtp_auth mail,mail_srv flag
    proxy_protocol mail,mail_srv 1

mail_realip
    set_real_ip_from mail,mail_srv 1

stream
    stream main 0 block

stream_core
    variables_hash_max_size stream 1
    variables_hash_bucket_size stream 1
    server_names_hash_max_size stream 1
    server_names_hash_bucket_size stream 1
    server stream 0 block
    listen stream_srv 1+
    server_name stream_srv 1+
    error_log stream,stream_srv 1+
    resolver stream,stream_srv 1+
    resolver_timeout stream,stream_srv 1
    proxy_protocol_timeout stream,stream_srv 1
    tcp_nodelay stream,stream_srv flag
    preread_buffer_size stream,stream_srv 1
    preread_timeout stream,stream_srv 1

stream_log
    log_format stream 2+
    access_log stream,stream_srv 1+
    open_log_file_cache stream,stream_srv 1234

stream_proxy
    proxy_pass stream_srv 1
    proxy_bind stream,stream_srv 12
    proxy_socket_keepalive stream,stream_srv flag
    proxy_socket_rcvbuf stream,stream_srv 1
    proxy_socket_sndbuf stream,stream_srv 1
    proxy_connect_timeout stream,stream_srv 1
    proxy_timeout stream,stream_srv 1
    proxy_buffer_size stream,stream_srv 1
    proxy_downstream_buffer stream,stream_srv 1
    proxy_upstream_buffer stream,stream_srv 1
    proxy_upload_rate stream,stream_srv 1
    proxy_download_rate stream,stream_srv 1
    proxy_requests stream,stream_srv 1
    proxy_responses stream,stream_srv 1
    proxy_next_upstream stream,stream_srv flag
    proxy_next_upstream_tries stream,stream_srv 1
    proxy_next_upstream_timeout stream,stream_srv 1
    proxy_protocol stream,stream_srv 1
    proxy_half_close stream,stream_srv flag
    proxy_ssl stream,stream_srv flag
    proxy_ssl_session_reuse stream,stream_srv flag
    proxy_ssl_protocols stream,stream_srv 1+
    proxy_ssl_ciphers stream,stream_srv 1
    proxy_ssl_name stream,stream_srv 1
    proxy_ssl_server_name stream,stream_srv flag
    proxy_ssl_alpn stream,stream_srv 1+
    proxy_ssl_verify stream,stream_srv flag
    proxy_ssl_verify_depth stream,stream_srv 1
    proxy_ssl_trusted_certificate stream,stream_srv 1
    proxy_ssl_crl stream,stream_srv 1
    proxy_ssl_certificate stream,stream_srv 1
    proxy_ssl_certificate_key stream,stream_srv 1
    proxy_ssl_certificate_cache stream,stream_srv 123
    proxy_ssl_password_file stream,stream_srv 1
    proxy_ssl_conf_command stream,stream_srv 2

stream_upstream
    upstream stream 1 block
    server stream_ups 1+
    resolver stream_ups 1+
    resolver_timeout stream_ups 1

stream_ssl
    ssl_handshake_timeout stream,stream_srv 1
    ssl_certificate stream,stream_srv 1
    ssl_certificate_key stream,stream_srv 1
    ssl_certificate_cache stream,stream_srv 123
    ssl_ech_file stream,stream_srv 1
    ssl_password_file stream,stream_srv 1
    ssl_certificate_compression stream,stream_srv flag
    ssl_dhparam stream,stream_srv 1
    ssl_ecdh_curve stream,stream_srv 1
    ssl_protocols stream,stream_srv 1+
    ssl_ciphers stream,stream_srv 1
    ssl_verify_client stream,stream_srv 1
    ssl_verify_depth stream,stream_srv 1
    ssl_client_certificate stream,stream_srv 1
    ssl_trusted_certificate stream,stream_srv 1
    ssl_prefer_server_ciphers stream,stream_srv flag
    ssl_session_cache stream,stream_srv 12
    ssl_session_tickets stream,stream_srv flag
    ssl_session_ticket_key stream,stream_srv 1
    ssl_session_timeout stream,stream_srv 1
    ssl_crl stream,stream_srv 1
    ssl_ocsp stream,stream_srv 1
    ssl_ocsp_responder stream,stream_srv 1
    ssl_ocsp_cache stream,stream_srv 1
    ssl_stapling stream,stream_srv flag
    ssl_stapling_file stream,stream_srv 1
    ssl_stapling_responder stream,stream_srv 1
    ssl_stapling_verify stream,stream_srv flag
    ssl_conf_command stream,stream_srv 2
    ssl_reject_handshake stream,stream_srv flag
    ssl_alpn stream,stream_srv 1+

stream_realip
    set_real_ip_from stream,stream_srv 1

stream_limit_conn
    limit_conn_zone stream 2
    limit_conn stream,stream_srv 2
    limit_conn_log_level stream,stream_srv 1
    limit_conn_dry_run stream,stream_srv flag

stream_access
    allow stream,stream_srv 1
    deny stream,stream_srv 1

stream_geo
    geo stream 12 block

stream_map
    map stream 2 block
    map_hash_max_size stream 1
    map_hash_bucket_size stream 1

stream_split_clients
    split_clients stream 2 block

stream_return
    return stream_srv 1

stream_pass
    pass stream_srv 1

stream_set
    set stream_srv 2

stream_geoip
    geoip_country stream 12
    geoip_org stream 12
    geoip_city stream 12

stream_upstream_hash
    hash stream_ups 12

stream_upstream_least_conn
    least_conn stream_ups 0

stream_upstream_least_time
    least_time stream_ups 12

stream_upstream_random
    random stream_ups 012

stream_upstream_zone
    zone stream_ups 12

stream_ssl_preread
    ssl_preread stream,stream_srv flag
"""
