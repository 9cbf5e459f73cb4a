"""The functions of OpenSSL 3 that geng calls, through ctypes; docs/tls.md says why this way.

The library is the one that the interpreter's own `ssl` module is linked with, so nothing is installed or built for it;
where that one is hidden inside the interpreter, the system's libssl.so.3. No call releases the GIL: none of them waits,
for the sockets do not block. What a connection does for each record is in geng.hot.tls.
"""

from __future__ import annotations

import ctypes
import importlib
from collections.abc import Callable, Iterator
from ctypes import CFUNCTYPE, PyDLL, c_char_p, c_int, c_long, c_size_t, c_uint64, c_ulong, c_void_p
from typing import Any

from geng.errors import GengError

#: `name result arguments`: p pointer, s bytes, i int, l long, L unsigned long, z size_t, q uint64, v nothing; a name
#: with `?` may be missing, and is None then.
SIGNATURES = """
OpenSSL_version s i                       OpenSSL_version_num L
ERR_clear_error v                         ERR_peek_error L
ERR_peek_last_error L                     ERR_get_error_all L ppppp
ERR_error_string_n v Lpz                  CRYPTO_free v psi
CRYPTO_malloc p zsi                       SSL_get_SSL_CTX p p
RAND_bytes i pi

TLS_method p                              SSL_CTX_new p p
SSL_CTX_free v p                          SSL_CTX_set_options q pq
SSL_CTX_get_options q p                   SSL_CTX_clear_options q pq
SSL_CTX_ctrl l pilp                       SSL_CTX_set_cipher_list i ps
SSL_CTX_use_certificate i pp              SSL_CTX_use_PrivateKey i pp
SSL_CTX_get_cert_store p p                SSL_CTX_set_verify v pip
SSL_CTX_get_verify_mode i p               SSL_CTX_get_verify_callback p p
SSL_CTX_set_verify_depth v pi             SSL_CTX_get_verify_depth i p
SSL_CTX_set_client_CA_list v pp           SSL_CTX_get_client_CA_list p p
SSL_CTX_set_max_early_data i pi           SSL_CTX_set_timeout l pl
SSL_CTX_get_timeout l p                   SSL_CTX_set_session_id_context i psi
SSL_CTX_sess_set_new_cb v pp              SSL_CTX_sess_set_get_cb v pp
SSL_CTX_sess_set_remove_cb v pp           SSL_CTX_remove_session i pp
SSL_CTX_set_session_ticket_cb i pppp      SSL_CTX_set_tlsext_ticket_key_evp_cb i pp
SSL_CTX_set_client_hello_cb v ppp         SSL_CTX_set_alpn_select_cb v ppp
SSL_CTX_set_cert_cb v ppp                 SSL_CTX_callback_ctrl l pip
SSL_CTX_set_alpn_protos i psi             SSL_CTX_compress_certs? i pi
SSL_set_alpn_protos i psi

SSL_CONF_CTX_new p                        SSL_CONF_CTX_free v p
SSL_CONF_CTX_set_flags i pi               SSL_CONF_CTX_set_ssl_ctx v pp
SSL_CONF_cmd_value_type i ps              SSL_CONF_cmd i pss
SSL_CONF_CTX_finish i p

SSL_new p p                               SSL_free v p
SSL_set_fd i pi                           SSL_set_accept_state v p
SSL_set_connect_state v p                 SSL_do_handshake i p
SSL_get_error i pi                        SSL_shutdown i p
SSL_get_shutdown i p                      SSL_set_shutdown v pi
SSL_set_quiet_shutdown v pi               SSL_in_init i p
SSL_is_init_finished i p                  SSL_set_options q pq
SSL_get_options q p                       SSL_clear_options q pq
SSL_ctrl l pilp                           SSL_set_SSL_CTX p pp
SSL_set_verify v pip                      SSL_set_verify_depth v pi
SSL_get_verify_result l p                 SSL_get1_peer_certificate p p
SSL_get_peer_cert_chain p p               SSL_get0_verified_chain p p
SSL_get_certificate p p                   SSL_use_certificate i pp
SSL_use_PrivateKey i pp                   SSL_get_rbio p p
SSL_get_wbio p p                          SSL_has_pending i p
SSL_read i ppi                            SSL_write i ppi
SSL_read_early_data i ppzp                SSL_write_early_data i ppzp
SSL_sendfile l pilzi                      SSL_version i p
SSL_get_version s p                       SSL_get_current_cipher p p
SSL_CIPHER_get_name s p                   SSL_CIPHER_find p ps
SSL_get_servername s pi                   SSL_get0_alpn_selected v ppp
SSL_get_sigalgs i pippppp                 SSL_session_reused i p
SSL_get_session p p                       SSL_get1_session p p
SSL_set_session i pp                      SSL_client_hello_get0_ext i pipp
SSL_group_to_name? s pi                   OBJ_nid2sn s i

SSL_SESSION_get_id p pp                   SSL_SESSION_free v p
SSL_SESSION_up_ref i p                    SSL_SESSION_get_time l p
SSL_SESSION_set_time l pl                 SSL_SESSION_get_timeout l p
SSL_SESSION_set_timeout l pl              i2d_SSL_SESSION i pp
d2i_SSL_SESSION p ppl

BIO_new_file p ss                         BIO_new_mem_buf p pi
BIO_new p p                               BIO_s_mem p
BIO_read i ppi                            BIO_ctrl l pilp
BIO_int_ctrl l pili                       BIO_free i p

PEM_read_bio_X509_AUX p pppp              PEM_read_bio_X509 p pppp
PEM_read_bio_PrivateKey p pppp            PEM_read_bio_X509_CRL p pppp
PEM_read_bio_DHparams p pppp              DH_free v p
PEM_write_bio_X509 i pp

EVP_PKEY_free v p                         EVP_PKEY_up_ref i p
EVP_sha1 p                                EVP_aes_128_cbc p
EVP_aes_256_cbc p                         EVP_EncryptInit_ex i pppsp
EVP_DecryptInit_ex i pppsp                EVP_MAC_CTX_set_params i pp

EVP_CIPHER_CTX_new p                      EVP_CIPHER_CTX_free v p
EVP_CIPHER_CTX_ctrl i piip                EVP_CipherInit_ex i pppssi
EVP_CIPHER_CTX_set_padding i pi           EVP_CipherUpdate i pppsi
EVP_CipherFinal_ex i ppp                  EVP_aes_128_gcm p
EVP_aes_256_gcm p                         EVP_chacha20_poly1305 p
EVP_aes_128_ccm p                         EVP_aes_128_ecb p
EVP_aes_256_ecb p                         EVP_chacha20 p

SSL_CTX_set_keylog_callback v pp          SSL_CTX_has_client_custom_ext i pi
SSL_CTX_add_custom_ext i piippppp         SSL_set_msg_callback v pp
SSL_set_bio v ppp                         SSL_set_max_early_data i pi
SSL_CIPHER_get_id L p                     BIO_s_null p
BIO_write i psi

X509_free v p                             X509_up_ref i p
X509_digest i pppp                        X509_NAME_digest i pppp
X509_get_subject_name p p                 X509_get_issuer_name p p
X509_get_serialNumber p p                 X509_get0_notBefore p p
X509_get0_notAfter p p                    X509_NAME_print_ex i ppiL
X509_NAME_oneline p ppi                   X509_NAME_dup p p
X509_NAME_free v p                        X509_NAME_cmp i pp
X509_CRL_free v p                         X509_CRL_up_ref i p
X509_check_host i pszip                   X509_check_issued i pp
X509_verify_cert_error_string s l         X509_get1_ocsp p p
X509_email_free v p                       X509_STORE_add_cert i pp
X509_STORE_add_crl i pp                   X509_STORE_set_flags i pL
X509_STORE_CTX_new p                      X509_STORE_CTX_init i pppp
X509_STORE_CTX_free v p                   X509_STORE_CTX_get1_issuer i ppp
X509_verify_cert i p                      X509_STORE_CTX_get1_chain p p
X509_chain_up_ref p p                     OPENSSL_sk_pop_free v pp
i2a_ASN1_INTEGER i pp                     ASN1_TIME_print i pp

OPENSSL_sk_new_null p                     OPENSSL_sk_num i p
OPENSSL_sk_value p pi                     OPENSSL_sk_push i pp
OPENSSL_sk_free v p

OSSL_STORE_open p spppp                   OSSL_STORE_load p p
OSSL_STORE_eof i p                        OSSL_STORE_close i p
OSSL_STORE_INFO_get_type i p              OSSL_STORE_INFO_get1_PKEY p p
OSSL_STORE_INFO_free v p                  UI_UTIL_wrap_read_pem_callback p pi
UI_destroy_method v p                     UI_set_default_method v p
UI_null p                                 ENGINE_by_id? p s
ENGINE_load_private_key? p pspp           ENGINE_free? i p
ENGINE_set_default? i pi

OCSP_REQUEST_new p                        OCSP_REQUEST_free v p
OCSP_cert_to_id p ppp                     OCSP_CERTID_free v p
OCSP_request_add0_id p pp                 i2d_OCSP_REQUEST i pp
d2i_OCSP_RESPONSE p ppl                   OCSP_RESPONSE_free v p
ASN1_item_d2i_bio p ppp                   OCSP_RESPONSE_it p
OCSP_response_status i p                  OCSP_response_status_str s l
OCSP_response_get1_basic p p              OCSP_BASICRESP_free v p
OCSP_basic_verify i pppL                  OCSP_resp_find_status i ppppppp
OCSP_check_validity i ppll                OCSP_cert_status_str s l
i2d_OCSP_CERTID i pp                      i2d_OCSP_RESPONSE i pp
"""

TYPES: dict[str, Any] = {
    "p": c_void_p,
    "s": c_char_p,
    "i": c_int,
    "l": c_long,
    "L": c_ulong,
    "z": c_size_t,
    "q": c_uint64,
    "v": None,
}

LEAST_VERSION = 0x30000000


class NoOpenSsl(GengError):
    """There is no OpenSSL that geng could use."""


class Library:
    """The functions of SIGNATURES as attributes."""

    def __init__(self, dll: PyDLL) -> None:
        self.dll = dll
        for name, result, arguments in signatures():
            setattr(self, name.rstrip("?"), self._function(name, result, arguments))
        self.version_number: int = self.OpenSSL_version_num()
        self.version: str = self.OpenSSL_version(0).decode("ascii", "replace")

    def __repr__(self) -> str:
        return f"<Library {self.version}>"

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(name)  # what is there __init__ has set; this only tells mypy that there is more

    def _function(self, name: str, result: str, arguments: str) -> Any:
        try:
            function = self.dll[name.rstrip("?")]
        except AttributeError:
            if name.endswith("?"):
                return None
            raise
        function.restype = TYPES[result]
        function.argtypes = [TYPES[code] for code in arguments]
        return function

    def address(self, name: str) -> int:
        """Where a function is, for who calls it without ctypes."""
        return ctypes.cast(self.dll[name], c_void_p).value or 0


def signatures() -> Iterator[tuple[str, str, str]]:
    """(name, result, arguments) of each function; only names have an underscore."""
    words = SIGNATURES.split()
    starts = [i for i, word in enumerate(words) if "_" in word]
    for start, end in zip(starts, [*starts[1:], len(words)], strict=True):
        name, result, *arguments = words[start:end]
        yield name, result, "".join(arguments)


_library: Library | None = None


def library() -> Library:
    """OpenSSL, looked for when first asked for; raises NoOpenSsl."""
    global _library
    if _library is None:
        _library = _find()
    return _library


def _find() -> Library:
    reason = ""
    for name in _candidates():
        try:
            dll = PyDLL(name, use_errno=True)
            dll.OpenSSL_version_num.restype = c_ulong
            if dll.OpenSSL_version_num() < LEAST_VERSION:
                reason = "it is older"
                continue
            return Library(dll)
        except (OSError, AttributeError) as error:
            reason = str(error)
    raise NoOpenSsl(f"TLS needs the library of OpenSSL 3.0 or newer, libssl.so.3 ({reason})")


def _candidates() -> Iterator[str]:
    try:
        path = getattr(importlib.import_module("_ssl"), "__file__", None)
    except ImportError:
        path = None
    if path:
        yield path  # what it is linked with is found through it
    yield "libssl.so.3"
    yield "libssl.so"


def callback(result: str, arguments: str, failed: Any = 0) -> Callable[[Callable[..., Any]], Any]:
    """Make a function one that OpenSSL can call; *failed* is what it gets when the function raises.

    A pointer arrives as an int, or None. Whoever sets the callback must keep it.
    """
    kinds = [TYPES[code] for code in arguments]

    def decorate(function: Callable[..., Any]) -> Any:
        def guarded(*values: Any) -> Any:
            try:
                return function(*values)
            except Exception as error:  # nothing may escape into C; who made the call hears of it
                raised.append(error)
                return failed

        return CFUNCTYPE(TYPES[result], *kinds)(guarded)

    return decorate


#: What callbacks have raised since the last look; who made the call reports it.
raised: list[Exception] = []

#: The geng.net.tls.Tls of each SSL that lives: callbacks only get the SSL.
states: dict[int, Any] = {}


def address(function: Any) -> int | None:
    """A callback as a pointer."""
    return None if function is None else ctypes.cast(function, c_void_p).value
