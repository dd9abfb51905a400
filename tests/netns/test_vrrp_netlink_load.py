"""The netlink sockets under load: many requests, lost messages, strangers that write to them."""

from __future__ import annotations

import contextlib
import socket
import struct
import time
from collections.abc import Iterator

import pytest
from ipvs_wire import inside, ip
from keepbus_vrrp import route_news
from keepbus_vrrp.events import AddressChanged, KernelRead, LinkChanged, RouteChanged, RoutesRead
from keepbus_vrrp.kernel import Kernel
from keepbus_vrrp.netlink import FOREVER_S, Address
from keepbus_vrrp.route_news import RouteNews
from vrrp_nodes import wait_for

from keepbus.testing import namespaces
from keepbus.testing.namespaces import Namespaces

pytestmark = pytest.mark.skipif(bool(namespaces.missing()), reason=namespaces.missing())


@pytest.fixture
def name() -> Iterator[str]:
    with Namespaces("load") as spaces:
        name = spaces.add("a")
        ip(["link add eth0 type veth peer name eth1", "link set eth0 up", "link set eth1 up"], name)
        # The kernel tells of a carrier a while after it is there: no news of the test's own making.
        wait_for("carriers", lambda: spaces.run(name, "ip", "-o", "link").count("state UP") == 2)
        yield name


def of_eth0(read: KernelRead) -> int:
    """How many IPv4 addresses there are beside the loopback's."""
    return len([each for each in read.addresses if len(each.address) == 4 and each.prefix == 32])


def addresses(kernel: Kernel, count: int) -> list[Address]:
    index = next(link.interface_index for link in kernel.read().links if link.name == "eth0")
    return [Address(index, struct.pack("!I", 0x0A090000 + number), 32) for number in range(1, count + 1)]


def test_thousands_of_addresses_at_once(name: str) -> None:
    """R-F46: neither the requests nor thousands of errors are too many for a socket's buffers."""
    kernel = inside(name, Kernel)
    many = addresses(kernel, 4000)
    assert kernel.install(many, FOREVER_S) == []
    assert of_eth0(kernel.read()) == 4000
    assert kernel.remove(many) == []
    # Not one of them is there: 4000 errors come back.
    assert kernel.remove(many) == []
    absent = [each._replace(interface_index=9999) for each in many]
    assert len(kernel.install(absent, FOREVER_S)) == 4000
    kernel.close()


def test_news_that_were_lost_are_read_anew(name: str) -> None:
    """R-F45: a tiny buffer, thousands of changes; within a second everything is known again."""
    kernel = inside(name, Kernel)
    kernel._news.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
    lines = (f"link add v{number} type veth peer name w{number}" for number in range(300))
    ip(lines, name)
    ip((f"addr add 10.7.{number // 250}.{number % 250 + 1}/32 dev eth0" for number in range(3001)), name)
    # The first ones of these stand in the buffer still: they are older than the removal, which was lost.
    ip(["addr del 10.7.0.1/32 dev eth0"], name)
    began = time.monotonic()
    told = kernel.news(0)
    assert time.monotonic() - began < 1
    assert isinstance(told[-1], KernelRead)
    assert len(told[-1].links) == 603
    assert of_eth0(told[-1]) == 3000
    # Then as ever.
    ip(["addr add 10.6.0.1/32 dev eth0"], name)
    told = kernel.news(0)
    assert [type(each) for each in told] == [AddressChanged]
    kernel.close()


def test_lost_news_of_routes_are_read_anew(name: str) -> None:
    kernel = inside(name, Kernel)
    news = inside(name, lambda: RouteNews(kernel.port))
    news._news.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
    ip(["addr add 10.9.0.1/24 dev eth0", "rule add from 10.1.0.0/16 table 7 preference 77"], name)
    routes = [f"10.1.{number // 250}.{number % 250}/32 dev eth0 proto keepalived" for number in range(1500)]
    ip([f"route add {route}" for route in routes], name)
    # What is made, and what is not of this protocol, is not told at all.
    ip(["route add 10.2.0.0/16 dev eth0 proto static", "route del 10.2.0.0/16 dev eth0 proto static"], name)
    assert news.news(0) == []
    ip(["route del 10.1.0.9/32 dev eth0"], name)
    (gone,) = news.news(0)
    assert isinstance(gone, RouteChanged)
    assert gone.route.key.destination == bytes((10, 1, 0, 9))
    ip([f"route del {route}" for route in routes if "10.1.0." not in route], name)
    read = inside(name, lambda: news.news(0))[-1]
    assert isinstance(read, RoutesRead)
    assert len(read.routes) == 249
    assert any((6, struct.pack("=I", 77)) in rule for rule in read.rules)
    news.close()
    kernel.close()


def test_only_the_kernel_is_heard(name: str) -> None:
    """A process in the namespace can write to any netlink port; what it says is not believed."""
    kernel = inside(name, Kernel)
    news = inside(name, lambda: RouteNews(kernel.port))
    liar = inside(name, lambda: socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE))
    liar.bind((0, 0))
    body = struct.pack("=BxHiII", 0, 1, 2, 0, 0)
    lie = struct.pack("=IHHII", 16 + len(body), 17, 0, 0, 0) + body
    for port in (kernel._news.getsockname()[0], kernel.port, news._news.getsockname()[0]):
        with contextlib.suppress(OSError):  # a kernel may refuse it by itself
            liar.sendto(lie, (port, 0))
    assert [each for each in kernel.news(0) if isinstance(each, LinkChanged)] == []
    assert news.news(0) == []
    assert len(kernel.read().links) == 3
    for each in (kernel, news, liar):
        each.close()


def test_the_filter_is_of_this_size() -> None:
    """Every jump of the program lands within it: 12 instructions of 8 octets."""
    program = route_news._filter(1)
    assert len(program) == 12 * 8
    for at in range(12):
        _, yes, no, _ = struct.unpack_from("=HBBI", program, at * 8)
        assert at + 1 + max(yes, no) < 12 or at >= 10
