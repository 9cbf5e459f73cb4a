"""A handler, a filter and a balancer. The configuration loads them by `load_module hello.py;`."""

from geng.conf.convert import complex_value, octets
from geng.conf.directive import Conf, Level, command, directive
from geng.conf.tables import HSL, LOC, UPS
from geng.http.conf import CoreLoc
from geng.http.filters import Writer
from geng.http.module import Module
from geng.modules.http.upstream import UpstreamServers
from geng.upstream.round_robin import RoundRobin
from geng.upstream.upstream import ALL, Method, balancing

# -- a handler: `hello "text with $variables";` answers every request of its location


class HelloConf(Conf, level=Level.LOCATION):
    text = directive("hello", LOC, complex_value)

    def check(self, cf):
        if self.text:  # set here or around here: this location's requests are ours
            cf[CoreLoc].content = lambda loc: lambda r: r.respond(200, self.text(r) + b"\n", b"text/plain")


hello = Module(name="hello", confs=(HelloConf,))

# -- a filter: `shout on;` turns the body into capitals, whoever made it


class ShoutConf(Conf, level=Level.LOCATION):
    suffix = directive("shout", HSL, octets, default=None)


class Shout(Writer):
    def __init__(self, inner, suffix):
        self.inner, self.suffix = inner, suffix

    def write(self, parts, flush=False):
        self.inner.write([bytes(part).upper() for part in parts], flush)

    def end(self):
        self.inner.write([self.suffix])
        self.inner.end()


def link_shout(loc):
    suffix = loc[ShoutConf].suffix
    if suffix is None:
        return None  # a location without the directive pays nothing

    def shout(r, next):
        r.out.clear_validators()  # another body than the one that was announced
        return Shout(next(r), suffix)

    return shout


shout = Module(name="shout", confs=(ShoutConf,), header_filter=link_shout)

# -- a balancer: `by_argument name;` sends equal values of a query argument to the same server


class ByArgument(RoundRobin):
    def choose(self):
        name = self.upstream.method.name
        value = next((a[len(name) :] for a in self.r.args.split(b"&") if a.startswith(name)), b"")
        candidates = self.peers.candidates(self.tried, int(self.peers.clock()))
        if not candidates:
            return self.choose_in_turn()
        return self.mark(candidates[sum(value) % len(candidates)], int(self.peers.clock()))


class ByArgumentMethod(Method):
    flags, picker = ALL, ByArgument

    def __init__(self, name):
        self.name = name.encode() + b"="


class ByArgumentConf(Conf, level=Level.SERVER):
    @command("by_argument", UPS)
    def by_argument(self, cf):
        balancing(cf, cf[UpstreamServers].upstream, ByArgumentMethod(cf.args[0]))


by_argument = Module(name="by_argument", confs=(ByArgumentConf,))

modules = [hello, shout, by_argument]
