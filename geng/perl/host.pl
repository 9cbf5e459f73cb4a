# The Perl side of a geng worker: runs the handlers of a configuration, one call at a time, over a socket.
#
#     perl [-I folder]... host.pl DESCRIPTOR
#
# A frame is its length (four bytes), one letter, and fields, each after its length. The worker sends
#     R file, E text         load this (answered by k, or by f and Perl's words)
#     C code, request, ...   call this; it ends with r
#     a [value], e status message    what was asked; it failed
#     g request              its client has gone
#     F request              the request is over
# and gets
#     q name ...   a question, answered by a or e; C may come in between, from what the answer needs
#     n name ...   a thing to do
#     o data, l    output; all of it shall go out
#     r how, value, after, redirect, status    a call is over
# geng/modules/http/perl_wire.py writes and reads the same.

package nginx::host;

# Before any lexical: what is compiled here sees none of them, and no pragma.
sub main_eval { package main; return eval $_[0] }

use strict;
use warnings;

use constant ENOUGH => 1460;    # bytes of output that are worth a system call, as postpone_output has it

my ($in, $out) = ('', '');
my (@compiled, %next, %gone, $socket);

BEGIN {
    my $folder = __FILE__ =~ m{^(.*)/} ? $1 : '.';
    require "$folder/nginx.pm";
    $INC{'nginx.pm'} = "$folder/nginx.pm";
}

{ package main; nginx->import }

# ---- frames

sub receive {
    while (1) {
        if (length $in >= 4) {
            my $size = unpack 'N', $in;
            if (length $in >= 4 + $size) {
                my $frame = substr $in, 4, $size;
                substr($in, 0, 4 + $size) = '';
                return (substr($frame, 0, 1), unpack '(N/a*)*', substr($frame, 1));
            }
        }
        my $got = sysread $socket, $in, 65536, length $in;
        next if !defined $got && $! == 4;    # EINTR
        exit 0 unless $got;                  # the worker is gone
    }
}

sub put {
    my $frame = shift() . pack '(N/a*)*', @_;
    $out .= pack('N', length $frame) . $frame;
}

sub deliver {
    my $at = 0;
    while ($at < length $out) {
        my $sent = syswrite $socket, $out, length($out) - $at, $at;
        next if !defined $sent && $! == 4;
        exit 0 unless defined $sent;
        $at += $sent;
    }
    $out = '';
}

# ---- what the methods of $r use

sub ask {
    my $call = shift;
    put('q', @_);
    deliver();
    while (1) {
        my ($kind, @fields) = receive();
        return $fields[0] if $kind eq 'a';
        if ($kind eq 'e') {
            @$call{'error', 'status'} = (1, $fields[0]);
            nginx::_croak($fields[1]);
        }
        meanwhile($kind, @fields);
    }
}

sub tell {
    put('n', @_);
}

sub output {
    my ($call, @fields) = @_;
    put(@fields);
    return if length $out < ENOUGH && $fields[0] eq 'o';
    deliver();
    my $readable = '';
    vec($readable, fileno($socket), 1) = 1;
    while (length $in || select(my $is = $readable, undef, undef, 0) > 0) {
        meanwhile(receive());
    }
    if ($gone{$call->{ctx}}) {
        @$call{'error', 'status'} = (1, 0);
        nginx::_croak('ngx_http_perl_output() failed');
    }
}

sub meanwhile {
    my ($kind, @fields) = @_;
    if    ($kind eq 'C') { call(@fields) }
    elsif ($kind eq 'g') { $gone{$fields[0]} = 1 if $nginx::active }
    elsif ($kind eq 'F') { delete $next{$fields[0]} }
    elsif ($kind eq 'R') { load(0, "require q\0$fields[0]\0") }
    elsif ($kind eq 'E') { load(1, $fields[0]) }
}

# ---- loading and calling

sub load {
    my ($keep, $text) = @_;
    my $code = main_eval($text);
    if ($@ ne '') {
        put('f', nginx::_bytes($@));
    }
    else {
        push @compiled, $code if $keep;
        put('k');
    }
    deliver();
}

# The function that a configuration names.
sub named {
    my $name = shift;
    $name = "main::$name" unless $name =~ /::|'/;
    no strict 'refs';
    return \&$name if defined &$name;
    my ($package) = $name =~ /^(.*)(?:::|')/s;
    return \&$name if $package && $package->can('AUTOLOAD');
    $name =~ s/^::/main::/;
    die "Undefined subroutine &$name called.\n";
}

sub code {
    my ($code, $ctx) = @_;
    my $kind = substr $code, 0, 1, '';
    return named($code) if $kind eq '=';
    my $found = $kind eq '#' ? $compiled[$code] : delete $next{$ctx};
    return $found if ref $found;
    die "Can't use an undefined value as a subroutine reference.\n" unless defined $found && length $found;
    return named($found);
}

sub call {
    my ($code, $ctx, $flags, @more) = @_;
    my %call = (ctx => $ctx, error => 0, status => 0, redirect => '', after => '');
    @call{'variable', 'header_sent', 'has_body', 'header_only'} = map { vec $flags, $_, 8 } 0 .. 3;
    @call{'uri', 'args', 'method', 'address'} = splice @more, 0, 4;
    my ($value, $died);
    {
        local $nginx::active = \%call;
        local $@;
        my $r = bless \(my $number = $ctx), 'nginx';
        eval { $value = code($code, $ctx)->($r, @more); 1 } or $died = $@;
        $died = 'Died' if defined $died && $died eq '';
    }
    delete $gone{$ctx};
    if ($call{error}) {
        put('r', 'error', '', '', '', $call{status});
    }
    elsif (defined $died) {
        put('r', 'died', nginx::_bytes($died), '', '', 0);
    }
    else {
        $next{$ctx} = $call{next} if $call{next};
        $value = $call{variable} ? nginx::_bytes($value) : nginx::_number($value);
        put('r', 'ok', $value, $call{after}, $call{redirect}, 0);
    }
    deliver();
}

# ---- the process

open $socket, '+<&=', shift @ARGV or die "socket: $!\n";
binmode $socket;
$0 = 'geng: perl process';
while (1) { meanwhile(receive()) }
