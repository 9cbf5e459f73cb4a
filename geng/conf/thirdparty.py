"""Directives of well-known modules that are not nginx's: where an unknown one comes from, and what geng has in its place.

A module's line: its name, where it is to be found, what geng offers instead (each may be empty; `=` the same), parted by
`|`; then its directives. Names that nginx itself has are left out. Only a message about an unknown directive reads this.
"""

from __future__ import annotations

from dataclasses import dataclass

HAS = "="


@dataclass(slots=True, frozen=True)
class Origin:
    """The module that a directive comes from."""

    module: str
    place: str
    instead: str


def origin(name: str) -> Origin | None:
    """Where the directive *name* comes from, as far as it is known."""
    found = None
    for line in KNOWN.splitlines():
        if not line.startswith(" "):
            found = line
        elif found and name in line.split():
            return Origin(*found.split("|"))
    return None


def explain(name: str) -> str:
    """One sentence about the unknown directive *name*; "" if nothing is known of it."""
    found = origin(name)
    if found is None:
        return ""
    place = f" ({found.place})" if found.place else ""
    said = f'"{name}" is a directive of {found.module}{place}, which geng does not have'
    if found.instead == HAS:
        return said.replace("does not have", "has and nginx does not")
    return f"{said}; geng offers {found.instead} instead" if found.instead else said


KNOWN = """\
Angie's ngx_http_acme_module||
    acme acme_client acme_client_path acme_dns_port acme_dns_ttl acme_hook acme_http_port acme_max_response_size
Angie's ngx_http_api_module||stub_status
    api api_config_files
Angie's ngx_http_core_module||
    auto_redirect client error_log_user_tag status_zone time_format
Angie's ngx_http_docker_module||
    docker_endpoint docker_max_object_size
Angie's ngx_http_doh_module||
    doh_bind doh_buffer_size doh_connect_timeout doh_max_size doh_next_upstream doh_next_upstream_timeout
    doh_next_upstream_tries doh_pass doh_read_timeout doh_send_timeout doh_socket_keepalive doh_transport
Angie's ngx_http_fastcgi_module||
    fastcgi_connection_drop
Angie's ngx_http_grpc_module||
    grpc_connection_drop
Angie's ngx_http_image_filter_module||
    image_filter_avif_quality image_filter_heic_quality
Angie's ngx_http_metric_module||
    metric metric_complex_zone metric_zone
Angie's ngx_http_mp4_module||
    mp4_limit_rate mp4_limit_rate_after
Angie's ngx_http_prometheus_module||stub_status
    prometheus prometheus_template
Angie's ngx_http_proxy_module||
    proxy_connection_drop proxy_http3_hq proxy_http3_max_concurrent_streams proxy_http3_max_table_capacity
    proxy_http3_stream_buffer_size proxy_quic_active_connection_id_limit proxy_quic_gso proxy_quic_host_key
    proxy_ssl_keylog_file proxy_ssl_ntls
Angie's ngx_http_rewrite_module||
    goto
Angie's ngx_http_scgi_module||
    scgi_connection_drop
Angie's ngx_http_ssl_module||
    ssl_encrypted_hello_key ssl_keylog_file ssl_ntls
Angie's ngx_http_upstream||
    response_time_factor
Angie's ngx_http_upstream_sticky_module||
    sticky_secret sticky_strict
Angie's ngx_http_uwsgi_module||
    uwsgi_connection_drop
Angie's ngx_http_v3_module||
    http3_max_table_capacity
Angie's ngx_mail_core_module||
    max_commands
Angie's ngx_stream_mqtt_preread_module||
    mqtt_preread
Angie's ngx_stream_proxy_module||
    proxy_protocol_tlv proxy_protocol_version
Angie's ngx_stream_rdp_preread_module||
    rdp_preread
echo-nginx-module|openresty/echo-nginx-module|return and add_before_body
    echo echo_abort_parent echo_after_body echo_before_body echo_blocking_sleep echo_duplicate echo_end echo_exec
    echo_flush echo_foreach_split echo_location echo_location_async echo_read_request_body echo_request_body
    echo_reset_timer echo_sleep echo_status echo_subrequest echo_subrequest_async
encrypted-session-nginx-module|openresty/encrypted-session-nginx-module|
    encrypted_session_expires encrypted_session_iv encrypted_session_key set_decrypt_session set_encrypt_session
headers-more-nginx-module|openresty/headers-more-nginx-module|add_header, proxy_set_header and proxy_hide_header
    more_clear_headers more_clear_input_headers more_set_headers more_set_input_headers
memc-nginx-module|openresty/memc-nginx-module|memcached_pass
    memc_cmds_allowed memc_connect_timeout memc_flags_to_last_modified memc_ignore_client_abort memc_next_upstream
    memc_pass memc_read_timeout memc_send_timeout memc_upstream_fail_timeout memc_upstream_max_fails
NAXSI|nbs-system/naxsi|
    BasicRule CheckRule DeniedUrl LearningMode MainRule SecRulesDisabled SecRulesEnabled basic_rule check_rule
    denied_url learning_mode main_rule rules_disabled rules_enabled
nchan|slact/nchan|
    nchan_access_control_allow_credentials nchan_access_control_allow_origin nchan_authorize_request nchan_benchmark
    nchan_benchmark_channels nchan_benchmark_message_padding_bytes nchan_benchmark_messages_per_channel_per_minute
    nchan_benchmark_publisher_distribution nchan_benchmark_subscriber_distribution
    nchan_benchmark_subscribers_per_channel nchan_benchmark_time nchan_channel_event_string
    nchan_channel_events_channel_id nchan_channel_group nchan_channel_group_accounting nchan_channel_id
    nchan_channel_id_split_delimiter nchan_channel_timeout nchan_deflate_message_for_websocket nchan_eventsource_event
    nchan_eventsource_ping_comment nchan_eventsource_ping_data nchan_eventsource_ping_event
    nchan_eventsource_ping_interval nchan_group_location nchan_group_max_channels nchan_group_max_messages
    nchan_group_max_messages_disk nchan_group_max_messages_memory nchan_group_max_subscribers
    nchan_longpoll_multipart_response nchan_max_channel_id_length nchan_max_channel_subscribers
    nchan_max_reserved_memory nchan_message_buffer_length nchan_message_max_buffer_length nchan_message_temp_path
    nchan_message_timeout nchan_permessage_deflate_compression_level nchan_permessage_deflate_compression_memlevel
    nchan_permessage_deflate_compression_strategy nchan_permessage_deflate_compression_window nchan_pub_channel_id
    nchan_publisher nchan_publisher_channel_id nchan_publisher_location nchan_publisher_upstream_request nchan_pubsub
    nchan_pubsub_channel_id nchan_pubsub_location nchan_redis_accurate_subscriber_count
    nchan_redis_cluster_check_interval nchan_redis_cluster_check_interval_backoff
    nchan_redis_cluster_check_interval_jitter nchan_redis_cluster_check_interval_max
    nchan_redis_cluster_check_interval_min nchan_redis_cluster_connect_timeout nchan_redis_cluster_max_failing_time
    nchan_redis_cluster_recovery_delay nchan_redis_cluster_recovery_delay_backoff
    nchan_redis_cluster_recovery_delay_jitter nchan_redis_cluster_recovery_delay_max
    nchan_redis_cluster_recovery_delay_min nchan_redis_command_timeout nchan_redis_connect_timeout
    nchan_redis_discovered_ip_range_blacklist nchan_redis_fakesub_timer_interval
    nchan_redis_idle_channel_cache_timeout nchan_redis_idle_channel_keepalive_backoff
    nchan_redis_idle_channel_keepalive_jitter nchan_redis_idle_channel_keepalive_max
    nchan_redis_idle_channel_keepalive_min nchan_redis_idle_channel_keepalive_safety_margin
    nchan_redis_load_scripts_unconditionally nchan_redis_namespace nchan_redis_node_connect_timeout
    nchan_redis_nostore_fastpublish nchan_redis_optimize_target nchan_redis_pass nchan_redis_pass_inheritable
    nchan_redis_password nchan_redis_ping_interval nchan_redis_publish_msgpacked_max_size nchan_redis_reconnect_delay
    nchan_redis_reconnect_delay_backoff nchan_redis_reconnect_delay_jitter nchan_redis_reconnect_delay_max
    nchan_redis_reconnect_delay_min nchan_redis_retry_commands nchan_redis_retry_commands_max_wait nchan_redis_server
    nchan_redis_ssl nchan_redis_ssl_ciphers nchan_redis_ssl_client_certificate nchan_redis_ssl_client_certificate_key
    nchan_redis_ssl_server_name nchan_redis_ssl_trusted_certificate nchan_redis_ssl_trusted_certificate_path
    nchan_redis_ssl_verify_certificate nchan_redis_storage_mode nchan_redis_subscribe_weights nchan_redis_tls
    nchan_redis_tls_ciphers nchan_redis_tls_client_certificate nchan_redis_tls_server_name
    nchan_redis_tls_trusted_certificate nchan_redis_tls_trusted_certificate_path nchan_redis_tls_verify_certificate
    nchan_redis_upstream_stats nchan_redis_upstream_stats_disconnected_timeout nchan_redis_upstream_stats_enabled
    nchan_redis_url nchan_redis_username nchan_redis_wait_after_connecting nchan_shared_memory_size
    nchan_storage_engine nchan_store_messages nchan_stub_status nchan_sub_channel_id
    nchan_subscribe_existing_channels_only nchan_subscribe_request nchan_subscriber nchan_subscriber_channel_id
    nchan_subscriber_compound_etag_message_id nchan_subscriber_first_message
    nchan_subscriber_http_raw_stream_separator nchan_subscriber_info nchan_subscriber_info_string
    nchan_subscriber_last_message_id nchan_subscriber_location nchan_subscriber_message_id_custom_etag_header
    nchan_subscriber_timeout nchan_unsubscribe_request nchan_use_redis nchan_websocket_client_heartbeat
    nchan_websocket_ping_interval push_authorized_channels_only push_channel_group push_channel_timeout
    push_max_channel_id_length push_max_channel_subscribers push_max_message_buffer_length push_max_reserved_memory
    push_message_buffer_length push_message_timeout push_min_message_buffer_length push_publisher push_store_messages
    push_subscriber push_subscriber_concurrency push_subscriber_timeout
NGINX Plus||
    adaptive_multiplier app_protect_enable app_protect_policy_file app_protect_security_log
    app_protect_security_log_enable f4f f4f_buffer_size hls_buffers hls_forward_args hls_mp4_buffer_size
    hls_mp4_max_buffer_size internal_redirect internal_redirect_flag license_token limit_zone mgmt mqtt mqtt_buffers
    mqtt_set_connect ntlm num_map proxy_session_drop queue session_log session_log_format session_log_zone
    ssl_session_ticket_keys state sticky_cookie_insert upstream_conf usage_report zone_sync zone_sync_buffers
    zone_sync_connect_retry_interval zone_sync_connect_timeout zone_sync_interval zone_sync_recv_buffer_size
    zone_sync_server zone_sync_ssl zone_sync_ssl_verify zone_sync_timeout
NGINX Plus||auth_request
    auth_jwt auth_jwt_claim_set auth_jwt_header_set auth_jwt_key_cache auth_jwt_key_file auth_jwt_key_request
    auth_jwt_leeway auth_jwt_require auth_jwt_type auth_oidc auth_require oidc_provider
NGINX Plus||map
    keyval keyval_zone
NGINX Plus||max_fails and fail_timeout of server
    health_check health_check_timeout match match_hash_bucket_size
NGINX Plus||stub_status
    status status_format
nginx-auth-ldap|kvspb/nginx-auth-ldap|auth_basic or auth_request
    auth_ldap auth_ldap_cache_enabled auth_ldap_cache_expiration_time auth_ldap_cache_size auth_ldap_servers
    ldap_server
nginx-ct|grahamedgecombe/nginx-ct|
    ssl_ct ssl_ct_static_scts
nginx-dav-ext-module|arut/nginx-dav-ext-module|dav_methods
    dav_ext_lock dav_ext_lock_zone dav_ext_methods
nginx-otel|nginxinc/nginx-otel|
    otel_exporter otel_resource_attr otel_service_name otel_span_attr otel_span_name otel_trace otel_trace_context
nginx-push-stream-module|wandenberg/nginx-push-stream-module|
    push_stream_channel_id push_stream_channels_path push_stream_channels_statistics push_stream_header_template
    push_stream_max_messages_stored_per_channel push_stream_message_template push_stream_message_ttl
    push_stream_ping_message_interval push_stream_publisher push_stream_shared_memory_size push_stream_store_messages
    push_stream_subscriber push_stream_subscriber_connection_ttl push_stream_websocket_allow_publish
nginx-rtmp-module|arut/nginx-rtmp-module|
    ack_window application buffer buflen busy chunk_size dash dash_cleanup dash_fragment dash_nested dash_path
    dash_playlist_length drop_idle_publisher exec exec_kill_signal exec_options exec_play exec_play_done exec_publish
    exec_publish_done exec_pull exec_push exec_record_done exec_static hls hls_audio_buffer_size hls_base_url
    hls_cleanup hls_continuous hls_fragment hls_fragment_naming hls_fragment_naming_granularity hls_fragment_slicing
    hls_fragments_per_key hls_key_path hls_key_url hls_keys hls_max_audio_delay hls_max_fragment hls_muxdelay
    hls_nested hls_path hls_playlist_length hls_sync hls_type hls_variant idle_streams interleave live max_connections
    max_message max_streams meta netcall_buffer netcall_timeout notify_method notify_relay_redirect
    notify_update_strict notify_update_timeout on_connect on_disconnect on_done on_play on_play_done on_publish
    on_publish_done on_record_done on_update out_cork out_queue ping ping_timeout play play_local_path play_restart
    play_temp_path play_time_fix publish_notify publish_time_fix pull pull_reconnect push push_reconnect record
    record_append record_interval record_lock record_max_frames record_max_size record_notify record_path
    record_suffix record_unique recorder relay_buffer respawn_timeout rtmp rtmp_auto_push rtmp_auto_push_reconnect
    rtmp_control rtmp_socket_dir rtmp_stat rtmp_stat_stylesheet session_relay so_keepalive stream_buckets sync
    wait_key wait_video
nginx-sticky-module-ng|nginx-sticky-module-ng|hash or ip_hash
    sticky_no_fallback
nginx-upload-module|vkholodkov/nginx-upload-module|
    upload_add_header upload_aggregate_form_field upload_buffer_size upload_cleanup upload_limit_rate
    upload_max_file_size upload_max_output_body_len upload_max_part_header_len upload_pass upload_pass_args
    upload_pass_form_field upload_resumable upload_set_form_field upload_state_store upload_store upload_store_access
    upload_tame_arrays
nginx-upstream-fair|gnosek/nginx-upstream-fair|least_conn
    fair upstream_fair_shm_size
nginx-vod-module|kaltura/nginx-vod-module|
    vod vod_align_segments_to_key_frames vod_apply_dynamic_mapping vod_base_url vod_bootstrap_segment_durations
    vod_cache_buffer_size vod_clip_from_param_name vod_clip_to_param_name vod_drm_clear_lead_segment_count
    vod_drm_enabled vod_drm_info_cache vod_drm_max_info_length vod_drm_request_uri vod_drm_single_key
    vod_drm_upstream_location vod_dynamic_clip_map_uri vod_dynamic_mapping_cache vod_encryption_iv_seed vod_expires
    vod_expires_live vod_expires_live_time_dependent vod_fallback_upstream_location vod_force_continuous_timestamps
    vod_force_playlist_type_vod vod_force_sequence_index vod_gop_look_ahead vod_gop_look_behind vod_ignore_edit_list
    vod_initial_read_size vod_lang_param_name vod_last_modified vod_last_modified_types vod_live_mapping_cache
    vod_live_response_cache vod_live_window_duration vod_manifest_duration_policy vod_manifest_segment_durations_mode
    vod_mapping_cache vod_max_frame_count vod_max_frames_size vod_max_mapping_response_size vod_max_metadata_size
    vod_max_upstream_headers_size vod_media_set_map_uri vod_media_set_override_json vod_metadata_cache
    vod_min_single_nalu_per_frame_segment vod_mode vod_multi_uri_suffix vod_notification_uri vod_open_file_thread_pool
    vod_output_buffer_pool vod_parse_hdlr_name vod_parse_udta_name vod_path_response_postfix vod_path_response_prefix
    vod_performance_counters vod_proxy_header_name vod_proxy_header_value vod_redirect_segments_url
    vod_remote_upstream_location vod_response_cache vod_secret_key vod_segment_count_policy vod_segment_duration
    vod_segment_max_frame_count vod_segments_base_url vod_source_clip_map_uri vod_speed_param_name vod_status
    vod_time_shift_param_name vod_tracks_param_name vod_upstream_extra_args vod_upstream_location
ngx-fancyindex|aperezdc/ngx-fancyindex|autoindex
    fancyindex fancyindex_css_href fancyindex_default_sort fancyindex_directories_first fancyindex_exact_size
    fancyindex_footer fancyindex_header fancyindex_hide_parent_dir fancyindex_hide_symlinks fancyindex_ignore
    fancyindex_localtime fancyindex_name_length fancyindex_show_dotfiles fancyindex_show_path fancyindex_time_format
ngx_brotli|google/ngx_brotli|=
    brotli brotli_buffers brotli_comp_level brotli_min_length brotli_static brotli_types brotli_window
ngx_cache_purge|FRiCKLE/ngx_cache_purge|
    fastcgi_cache_purge proxy_cache_purge scgi_cache_purge uwsgi_cache_purge
ngx_dynamic_etag|dvershinin/ngx_dynamic_etag|etag
    dynamic_etag dynamic_etag_types
ngx_http_auth_pam_module|sto/ngx_http_auth_pam_module|auth_basic or auth_request
    auth_pam auth_pam_service_name auth_pam_set_pam_env
ngx_http_geoip2_module|leev/ngx_http_geoip2_module|geo and map
    geoip2 geoip2_proxy geoip2_proxy_recursive
ngx_http_lua_module|openresty/lua-nginx-module|a module written in Python (load_module)
    access_by_lua access_by_lua_block access_by_lua_file access_by_lua_no_postpone balancer_by_lua_block
    balancer_by_lua_file balancer_keepalive body_filter_by_lua body_filter_by_lua_block body_filter_by_lua_file
    content_by_lua content_by_lua_block content_by_lua_file exit_worker_by_lua_block exit_worker_by_lua_file
    header_filter_by_lua header_filter_by_lua_block header_filter_by_lua_file init_by_lua init_by_lua_block
    init_by_lua_file init_worker_by_lua init_worker_by_lua_block init_worker_by_lua_file log_by_lua log_by_lua_block
    log_by_lua_file lua_capture_error_log lua_check_client_abort lua_code_cache lua_http10_buffering
    lua_load_resty_core lua_malloc_trim lua_max_pending_timers lua_max_running_timers lua_need_request_body
    lua_package_cpath lua_package_path lua_regex_cache_max_entries lua_regex_match_limit lua_sa_restart
    lua_shared_dict lua_socket_buffer_size lua_socket_connect_timeout lua_socket_keepalive_timeout
    lua_socket_log_errors lua_socket_pool_size lua_socket_read_timeout lua_socket_send_lowat lua_socket_send_timeout
    lua_ssl_certificate lua_ssl_certificate_key lua_ssl_ciphers lua_ssl_conf_command lua_ssl_crl lua_ssl_key_log
    lua_ssl_protocols lua_ssl_trusted_certificate lua_ssl_verify_depth lua_thread_cache_max_entries
    lua_transform_underscores_in_response_headers lua_upstream_skip_openssl_default_verify lua_use_default_type
    lua_worker_thread_vm_pool_size precontent_by_lua_block precontent_by_lua_file precontent_by_lua_no_postpone
    proxy_ssl_certificate_by_lua_block proxy_ssl_certificate_by_lua_file proxy_ssl_verify_by_lua_block
    proxy_ssl_verify_by_lua_file rewrite_by_lua rewrite_by_lua_block rewrite_by_lua_file rewrite_by_lua_no_postpone
    server_rewrite_by_lua_block server_rewrite_by_lua_file set_by_lua set_by_lua_block set_by_lua_file
    ssl_certificate_by_lua_block ssl_certificate_by_lua_file ssl_client_hello_by_lua_block
    ssl_client_hello_by_lua_file ssl_session_fetch_by_lua_block ssl_session_fetch_by_lua_file
    ssl_session_store_by_lua_block ssl_session_store_by_lua_file
ngx_http_modsecurity_module|owasp-modsecurity/ModSecurity-nginx|
    modsecurity modsecurity_rules modsecurity_rules_file modsecurity_rules_remote modsecurity_transaction_id
ngx_http_substitutions_filter_module|yaoweibin/ngx_http_substitutions_filter_module|sub_filter
    subs_filter subs_filter_bypass subs_filter_types
ngx_http_upsync_module|weibocom/nginx-upsync-module|
    upstream_show upsync upsync_dump_path upsync_lb
ngx_http_vhost_traffic_status_module|vozlt/nginx-module-vts|stub_status
    vhost_traffic_status vhost_traffic_status_average_method vhost_traffic_status_bypass_limit
    vhost_traffic_status_bypass_stats vhost_traffic_status_display vhost_traffic_status_display_format
    vhost_traffic_status_display_jsonp vhost_traffic_status_display_sum_key vhost_traffic_status_dump
    vhost_traffic_status_filter vhost_traffic_status_filter_by_host vhost_traffic_status_filter_by_set_key
    vhost_traffic_status_filter_check_duplicate vhost_traffic_status_filter_max_node
    vhost_traffic_status_histogram_buckets vhost_traffic_status_ignore_status vhost_traffic_status_limit
    vhost_traffic_status_limit_check_duplicate vhost_traffic_status_limit_traffic
    vhost_traffic_status_limit_traffic_by_set_key vhost_traffic_status_measure_status_codes
    vhost_traffic_status_set_by_filter vhost_traffic_status_stats_by_upstream vhost_traffic_status_zone
ngx_pagespeed|apache/incubator-pagespeed-ngx|
    pagespeed pagespeed_statistics_path
ngx_security_headers|GetPageSpeed/ngx_security_headers|add_header
    security_headers security_headers_corp security_headers_referrer_policy security_headers_text_types
njs|nginx/njs|a module written in Python (load_module)
    js_access js_body_filter js_content js_context_reuse js_engine js_fetch_buffer_size js_fetch_ciphers
    js_fetch_keepalive js_fetch_max_response_buffer_size js_fetch_protocols js_fetch_proxy js_fetch_timeout
    js_fetch_trusted_certificate js_fetch_verify js_fetch_verify_depth js_filter js_header_filter js_import js_include
    js_path js_periodic js_preload_object js_preread js_set js_shared_dict_zone js_var
opentracing|opentracing-contrib/nginx-opentracing|
    opentracing opentracing_fastcgi_propagate_context opentracing_grpc_propagate_context opentracing_load_tracer
    opentracing_location_operation_name opentracing_operation_name opentracing_propagate_context opentracing_tag
    opentracing_trace_locations opentracing_trusted_incoming_span
Phusion Passenger|phusion/passenger|proxy_pass or uwsgi_pass to the application's own server
    passenger_app_env passenger_app_root passenger_app_type passenger_base_uri passenger_document_root
    passenger_enabled passenger_env_var passenger_friendly_error_pages passenger_instance_registry_dir
    passenger_log_file passenger_log_level passenger_max_pool_size passenger_max_preloader_idle_time
    passenger_max_request_queue_size passenger_min_instances passenger_nodejs passenger_pool_idle_time
    passenger_pre_start passenger_python passenger_root passenger_ruby passenger_set_header passenger_spawn_method
    passenger_start_timeout passenger_startup_file passenger_sticky_sessions passenger_user passenger_user_switching
    rack_env rails_env
redis2-nginx-module|openresty/redis2-nginx-module|
    redis2_bind redis2_buffer_size redis2_connect_timeout redis2_literal_raw_query redis2_next_upstream redis2_pass
    redis2_query redis2_raw_queries redis2_raw_query redis2_read_timeout redis2_send_timeout
set-misc-nginx-module|openresty/set-misc-nginx-module|map and set
    set_base32_alphabet set_base32_padding set_decode_base32 set_decode_base64 set_decode_base64url set_decode_hex
    set_encode_base32 set_encode_base64 set_encode_base64url set_encode_hex set_escape_uri set_formatted_gmt_time
    set_formatted_local_time set_hashed_upstream set_hmac_sha1 set_hmac_sha256 set_if_empty set_local_today set_md5
    set_misc_base32_padding set_quote_json_str set_quote_pgsql_str set_quote_sql_str set_random set_rotate
    set_secure_random_alphanum set_secure_random_lcalpha set_sha1 set_unescape_uri upstream_list
srcache-nginx-module|openresty/srcache-nginx-module|proxy_cache
    srcache_buffer srcache_default_expire srcache_fetch srcache_fetch_skip srcache_header_buffer_size
    srcache_ignore_content_encoding srcache_max_expire srcache_methods srcache_request_cache_control
    srcache_response_cache_control srcache_store srcache_store_hide_header srcache_store_max_size
    srcache_store_no_cache srcache_store_no_store srcache_store_pass_header srcache_store_private srcache_store_ranges
    srcache_store_skip srcache_store_statuses
Tengine's nginx||
    master_env pipe_set_size
Tengine's ngx_backtrace_module||
    backtrace_log backtrace_max_stack_size
Tengine's ngx_http_append_header_module||add_header
    append_header append_header_separator
Tengine's ngx_http_concat_module||
    concat concat_delimiter concat_ignore_file_error concat_max_files concat_types concat_unique
Tengine's ngx_http_core_module||
    client_body_buffers client_body_postpone_size request_time_cache resolver_file retry_cached_connection
    server_admin server_info server_tag
Tengine's ngx_http_debug_conn_module||
    debug_conn
Tengine's ngx_http_debug_pool_module||
    debug_pool
Tengine's ngx_http_debug_timer_module||
    debug_timer
Tengine's ngx_http_dubbo_module||
    dubbo_bind dubbo_buffer_size dubbo_connect_timeout dubbo_heartbeat_interval dubbo_hide_header dubbo_ignore_headers
    dubbo_intercept_errors dubbo_next_upstream dubbo_next_upstream_timeout dubbo_next_upstream_tries dubbo_pass
    dubbo_pass_all_headers dubbo_pass_body dubbo_pass_header dubbo_pass_set dubbo_read_timeout dubbo_send_timeout
    dubbo_socket_keepalive dubbo_upstream_error_info
Tengine's ngx_http_dyups_module||
    dyups_interface dyups_read_msg_log dyups_read_msg_timeout dyups_shm_zone_size dyups_trylock dyups_upstream_conf
Tengine's ngx_http_fastcgi_module||
    fastcgi_rcvbuf_size fastcgi_sndbuf_size fastcgi_upstream_tries
Tengine's ngx_http_footer_filter_module||add_after_body
    footer footer_types
Tengine's ngx_http_geoip_module||
    geoip_region
Tengine's ngx_http_grpc_module||
    grpc_enable_ntls grpc_ssl_enc_certificate grpc_ssl_enc_certificate_key grpc_ssl_sign_certificate
    grpc_ssl_sign_certificate_key
Tengine's ngx_http_gzip_filter_module||
    gzip_clear_etag
Tengine's ngx_http_image_filter_module||
    image_filter_crop_offset
Tengine's ngx_http_limit_req_module||
    limit_req_whitelist
Tengine's ngx_http_memcached_module||
    memcached_upstream_tries
Tengine's ngx_http_multi_upstream_module||
    multi
Tengine's ngx_http_proxy_connect_module||
    proxy_connect proxy_connect_address proxy_connect_allow proxy_connect_bind proxy_connect_connect_timeout
    proxy_connect_data_timeout proxy_connect_read_timeout proxy_connect_response proxy_connect_send_lowat
    proxy_connect_send_timeout
Tengine's ngx_http_proxy_module||
    proxy_enable_ntls proxy_rcvbuf_size proxy_sndbuf_size proxy_ssl_enc_certificate proxy_ssl_enc_certificate_key
    proxy_ssl_sign_certificate proxy_ssl_sign_certificate_key proxy_upstream_tries
Tengine's ngx_http_reqstat_module||stub_status
    req_status req_status_bypass req_status_lazy req_status_show req_status_show_field req_status_zone
    req_status_zone_add_indicator req_status_zone_key_length req_status_zone_recycle
Tengine's ngx_http_scgi_module||
    scgi_upstream_tries
Tengine's ngx_http_slab_stat_module||
    slab_stat
Tengine's ngx_http_slice_module||slice
    slice_arg_begin slice_arg_end slice_footer slice_footer_last slice_header slice_header_first
Tengine's ngx_http_ssl_module||
    enable_ntls ssl_async ssl_enc_certificate ssl_enc_certificate_key ssl_sign_certificate ssl_sign_certificate_key
    ssl_verify_client_exception
Tengine's ngx_http_sysguard_module||
    sysguard sysguard_cpu sysguard_interval sysguard_load sysguard_log_level sysguard_mem sysguard_mode sysguard_rt
Tengine's ngx_http_tfs_module||
    tair_timeout tfs_block_cache_zone tfs_body_buffer_size tfs_buffer_size tfs_connect_timeout
    tfs_enable_remote_block_cache tfs_keepalive tfs_log tfs_pass tfs_read_timeout tfs_send_lowat tfs_send_timeout
    tfs_upstream
Tengine's ngx_http_trim_filter_module||
    trim trim_css trim_js trim_types
Tengine's ngx_http_upstream||
    rr_discarded_range upstream_change_no_server_status
Tengine's ngx_http_upstream_check_module||max_fails and fail_timeout of server
    check check_fastcgi_param check_http_expect_alive check_http_send check_keepalive_requests check_shm_size
    check_status
Tengine's ngx_http_upstream_consistent_hash_module||hash with consistent
    consistent_hash
Tengine's ngx_http_upstream_dynamic_module||server with resolve
    dynamic_resolve
Tengine's ngx_http_upstream_iwrr_module||its usual round robin, which is smooth
    iwrr
Tengine's ngx_http_upstream_session_sticky_module||hash or ip_hash
    session_sticky session_sticky_header session_sticky_hide_cookie
Tengine's ngx_http_upstream_vnswrr_module||its usual round robin, which is smooth
    vnswrr
Tengine's ngx_http_user_agent_module||map
    user_agent
Tengine's ngx_http_uwsgi_module||
    uwsgi_enable_ntls uwsgi_ssl_enc_certificate uwsgi_ssl_enc_certificate_key uwsgi_ssl_sign_certificate
    uwsgi_ssl_sign_certificate_key uwsgi_upstream_tries
Tengine's ngx_http_xquic_module||
    xquic_ack_frequency xquic_anti_amplification_limit xquic_cid_route xquic_congestion_control xquic_conn_hash_size
    xquic_enable_fec xquic_enable_keylog xquic_enable_marking_reinjection xquic_enable_mempool_protection
    xquic_enable_multipath xquic_enable_pmtud xquic_enable_qlog_event xquic_fec_blk_log_mod xquic_fec_code_rate
    xquic_fec_conn_queue_rpr_timeout xquic_fec_decoder_scheme xquic_fec_encoder_scheme xquic_fec_log_on
    xquic_fec_mp_mode xquic_fec_packet_mask_mode xquic_fec_stream_level xquic_hash_conflict_threshold
    xquic_health_check_file xquic_idle_time_out xquic_init_cwnd_pkt xquic_init_pkt_out_size xquic_init_pto_us
    xquic_init_rtt_us xquic_intercom_socket_rcvbuf xquic_intercom_socket_sndbuf xquic_keyupdate_pkt_threshold
    xquic_log_file xquic_log_level xquic_manually_send xquic_max_concurrent_connection_cnt xquic_max_cps xquic_max_qps
    xquic_max_streams_bidi xquic_max_streams_uni xquic_min_cwnd_pkt xquic_mp_enable_reinjection
    xquic_mp_sched_bw_Bps_thr xquic_mp_sched_loss_percent_high xquic_mp_sched_loss_percent_low xquic_mp_sched_pto_thr
    xquic_mp_sched_rtt_thr_high xquic_mp_sched_rtt_thr_low xquic_multipath_scheduler xquic_pacing
    xquic_path_unreachable_pto_count xquic_pmtud_probing_interval xquic_probing_pkt_out_size
    xquic_qlog_event_importance xquic_qpack_compat_duplicate xquic_qpack_decoder_dynamic_table_size
    xquic_qpack_encoder_dynamic_table_size xquic_reinj_deadline_lower_bound xquic_reinj_flexible_deadline_srtt_factor
    xquic_reinj_hard_deadline xquic_reinjection_control xquic_server_id_length xquic_server_id_offset
    xquic_sndq_packets_used_max xquic_socket_rcvbuf xquic_socket_sndbuf xquic_ssl_certificate
    xquic_ssl_certificate_key xquic_ssl_session_ticket_key xquic_standby_path_probe_timeout
    xquic_stateless_reset_token_key xquic_status xquic_streams_index_size xquic_symbol_number_per_block
    xquic_token_key xquic_token_key_file xquic_use_new_udp_hash xquic_use_smaller_pto xquic_worker_id_offset
Tengine's ngx_ingress_module||
    ingress_failover_named_location ingress_gateway ingress_gateway_hash_num ingress_gateway_metadata
    ingress_gateway_path_segment_bucket_num ingress_gateway_pool_size ingress_gateway_shm_config
    ingress_gateway_update_interval
Tengine's ngx_log||
    xquic_log
Tengine's ngx_proc||
    count delay_start priority process processes respawn
Tengine's ngx_rtsig_module||
    rtsig_overflow_events rtsig_overflow_test rtsig_overflow_threshold rtsig_signo
Tengine's ngx_stream_ssl_module||
    ssl_sni_force
Tengine's ngx_xudp_module||
    max_retries xudp_core_path xudp_no_tx xudp_off xudp_rcvnum xudp_retries_interval xudp_sndnum
testcookie-nginx-module|kyprizel/testcookie-nginx-module|
    testcookie testcookie_arg testcookie_deny_keepalive testcookie_domain testcookie_expires testcookie_fallback
    testcookie_get_only testcookie_max_attempts testcookie_name testcookie_p3p testcookie_pass testcookie_path
    testcookie_redirect_via_refresh testcookie_refresh_template testcookie_secret testcookie_session
    testcookie_whitelist
zstd-nginx-module|tokers/zstd-nginx-module|=
    zstd zstd_buffers zstd_comp_level zstd_min_length zstd_static zstd_types
zstd-nginx-module|tokers/zstd-nginx-module|zstd_comp_level
    zstd_dict_file
"""
