package nginx;

# What Perl code sees of a request: `use nginx;` and the methods of $r.   nginx: nginx.pm, nginx.xs
#
# A request object holds the number of its request. What the method has to ask of the server goes through nginx::host
# (host.pl), which runs this process.

use 5.010;
use strict;
use warnings;

require Exporter;

our $VERSION = '1.31.5';
our @ISA     = ('Exporter');
our (@EXPORT, $active);    # $active: the call that runs now

BEGIN {
    my %values = (
        OK => 0, DECLINED => -5,
        HTTP_OK => 200, HTTP_CREATED => 201, HTTP_ACCEPTED => 202, HTTP_NO_CONTENT => 204,
        HTTP_PARTIAL_CONTENT => 206,
        HTTP_MOVED_PERMANENTLY => 301, HTTP_MOVED_TEMPORARILY => 302, HTTP_REDIRECT => 302, HTTP_SEE_OTHER => 303,
        HTTP_NOT_MODIFIED => 304, HTTP_TEMPORARY_REDIRECT => 307, HTTP_PERMANENT_REDIRECT => 308,
        HTTP_BAD_REQUEST => 400, HTTP_UNAUTHORIZED => 401, HTTP_PAYMENT_REQUIRED => 402, HTTP_FORBIDDEN => 403,
        HTTP_NOT_FOUND => 404, HTTP_NOT_ALLOWED => 405, HTTP_NOT_ACCEPTABLE => 406, HTTP_REQUEST_TIME_OUT => 408,
        HTTP_CONFLICT => 409, HTTP_GONE => 410, HTTP_LENGTH_REQUIRED => 411,
        HTTP_REQUEST_ENTITY_TOO_LARGE => 413, HTTP_REQUEST_URI_TOO_LARGE => 414,
        HTTP_UNSUPPORTED_MEDIA_TYPE => 415, HTTP_RANGE_NOT_SATISFIABLE => 416,
        HTTP_INTERNAL_SERVER_ERROR => 500, HTTP_SERVER_ERROR => 500, HTTP_NOT_IMPLEMENTED => 501,
        HTTP_BAD_GATEWAY => 502, HTTP_SERVICE_UNAVAILABLE => 503, HTTP_GATEWAY_TIME_OUT => 504,
        HTTP_INSUFFICIENT_STORAGE => 507,
    );
    @EXPORT = sort keys %values;
    require constant;
    constant->import(\%values);
}

# ---- helpers

# Die where the caller's code stands, as XS code does.
sub _croak {
    my $message = shift;
    my ($depth, @at) = (0);
    do { @at = caller($depth++) } while @at && $at[0] =~ /^nginx(?:::host)?$/;
    die @at ? "$message at $at[1] line $at[2].\n" : "$message.\n";
}

# The bytes of a value, or of what it refers to.
sub _bytes {
    my $value = shift;
    $value = $$value if ref $value eq 'SCALAR';
    return '' unless defined $value;
    $value = "$value";
    utf8::encode($value) if utf8::is_utf8($value);
    return $value;
}

sub _number {
    no warnings;
    my $value = shift;
    $value = $$value if ref $value eq 'SCALAR';
    return int($value || 0);
}

# The call that is under way, once the arguments are seen to be right.
sub _arguments {
    my ($given, $usage, $least, $most) = @_;
    _croak("Usage: nginx::$usage") if @$given < $least || ($most && @$given > $most);
    my $self = $given->[0];
    _croak('invalid request object') unless ref $self && $active && $$self == $active->{ctx};
    return $active;
}

sub _not_in_variable {
    my ($call, $name) = @_;
    _croak("$name(): cannot be used in variable handler") if $call->{variable};
}

# For what belongs to a body: after the head, and not after an error.
sub _may_send {
    my ($call, $name) = @_;
    _croak("$name(): called after error") if $call->{error};
    _not_in_variable($call, $name);
    _croak("$name(): header not sent") unless $call->{header_sent};
}

# ---- what came in

sub uri            { return _arguments(\@_, 'uri(r)',            1, 1)->{uri} }
sub args           { return _arguments(\@_, 'args(r)',           1, 1)->{args} }
sub request_method { return _arguments(\@_, 'request_method(r)', 1, 1)->{method} }
sub remote_addr    { return _arguments(\@_, 'remote_addr(r)',    1, 1)->{address} }
sub header_only    { return _arguments(\@_, 'header_only(r)',    1, 1)->{header_only} }

sub header_in {
    my $call = _arguments(\@_, 'header_in(r, key)', 2, 2);
    return nginx::host::ask($call, 'header_in', _bytes($_[1]));
}

sub filename {
    my $call = _arguments(\@_, 'filename(r)', 1, 1);
    $call->{filename} = nginx::host::ask($call, 'filename') unless defined $call->{filename};
    return $call->{filename};
}

sub variable {
    my $call = _arguments(\@_, 'variable(r, name, value= NULL)', 2, 3);
    return nginx::host::ask($call, 'variable', _bytes($_[1])) if @_ == 2;
    nginx::host::ask($call, 'set_variable', _bytes($_[1]), _bytes($_[2]));
    return undef;
}

sub unescape {
    my $call = _arguments(\@_, 'unescape(r, text, type= 0)', 2, 3);
    return nginx::host::ask($call, 'unescape', _bytes($_[1]), @_ < 3 ? 0 : _number($_[2]));
}

sub _handler {
    my ($call, $name, $next) = @_;
    _croak("$name(): no handler provided") unless ref $next && ref $next eq 'CODE';
    $call->{next} = $next;
}

sub has_request_body {
    my $call = _arguments(\@_, 'has_request_body(r, next)', 2, 2);
    _not_in_variable($call, 'has_request_body');
    _croak('has_request_body(): another handler active') if $call->{next};
    return undef unless $call->{has_body};
    _handler($call, 'has_request_body', $_[1]);
    $call->{after} = 'body';
    return 1;
}

sub request_body {
    return nginx::host::ask(_arguments(\@_, 'request_body(r)', 1, 1), 'request_body');
}

sub request_body_file {
    return nginx::host::ask(_arguments(\@_, 'request_body_file(r)', 1, 1), 'request_body_file');
}

sub discard_request_body {
    my $call = _arguments(\@_, 'discard_request_body(r)', 1, 1);
    _not_in_variable($call, 'discard_request_body');
    nginx::host::ask($call, 'discard_request_body');
    return;
}

# ---- what goes out

sub status {
    my $call = _arguments(\@_, 'status(r, code)', 2, 2);
    _not_in_variable($call, 'status');
    nginx::host::tell('status', _number($_[1]));
    return undef;
}

sub header_out {
    my $call = _arguments(\@_, 'header_out(r, key, value)', 3, 3);
    _croak('header_out(): called after error') if $call->{error};
    _not_in_variable($call, 'header_out');
    nginx::host::tell('header_out', _bytes($_[1]), _bytes($_[2]), _number($_[2]));
    return;
}

sub allow_ranges {
    my $call = _arguments(\@_, 'allow_ranges(r)', 1, 1);
    _not_in_variable($call, 'allow_ranges');
    nginx::host::tell('allow_ranges');
    return;
}

sub send_http_header {
    my $call = _arguments(\@_, 'send_http_header(r, ...)', 1);
    _croak('send_http_header(): called after error') if $call->{error};
    _not_in_variable($call, 'send_http_header');
    _croak('send_http_header(): header already sent') if $call->{header_sent};
    _croak('send_http_header(): cannot be used with internal_redirect()') if length $call->{redirect};
    $call->{header_sent} = 1;
    $call->{header_only} = nginx::host::ask($call, 'send_http_header', @_ > 1 ? _bytes($_[1]) : ());
    return;
}

sub print {
    my $call = _arguments(\@_, 'print(r, ...)', 1);
    _may_send($call, 'print');
    shift;
    my $data = join '', map { _bytes($_) } @_;
    nginx::host::output($call, 'o', $data) if length $data;
    return;
}

sub flush {
    my $call = _arguments(\@_, 'flush(r)', 1, 1);
    _may_send($call, 'flush');
    nginx::host::output($call, 'l');
    return;
}

sub rflush {
    my $r = shift;
    $r->flush;
}

sub sendfile {
    my $call = _arguments(\@_, 'sendfile(r, filename, offset= -1, bytes= 0)', 2, 4);
    _may_send($call, 'sendfile');
    my $offset = @_ < 3 ? -1 : _number($_[2]);
    nginx::host::ask($call, 'sendfile', _bytes($_[1]), $offset, @_ < 4 ? 0 : _number($_[3]));
    return;
}

# ---- other ways to go on

sub internal_redirect {
    my $call = _arguments(\@_, 'internal_redirect(r, uri)', 2, 2);
    _not_in_variable($call, 'internal_redirect');
    _croak('internal_redirect(): header already sent') if $call->{header_sent};
    $call->{redirect} = _bytes($_[1]);
    return;
}

sub sleep {
    my $call = _arguments(\@_, 'sleep(r, sleep, next)', 3, 3);
    _not_in_variable($call, 'sleep');
    _croak('sleep(): another handler active') if $call->{next};
    _handler($call, 'sleep', $_[2]);
    $call->{after} = _number($_[1]);
    return;
}

sub log_error {
    _arguments(\@_, 'log_error(r, err, msg)', 3, 3);
    nginx::host::tell('log_error', _number($_[1]), _bytes($_[2]));
    return;
}

1;
