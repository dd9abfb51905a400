"""The difference of two tables: least, in order, right for any two (conformance W10, W11, W18)."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from keepbus_ipvs.diff import Verb, apply, difference
from keepbus_ipvs.table import (
    AF_INET,
    DIRECT,
    HASHED,
    LOCAL,
    MASQUERADE,
    TCP,
    Destination,
    DestinationKey,
    Entry,
    Service,
    ServiceKey,
)
from keepbus_ipvs.words import of_command

KEY = ServiceKey(AF_INET, TCP, "192.0.2.1", 80)
SERVICE = Service(KEY, "rr")


def entry(*destinations: Destination, service: Service = SERVICE) -> Entry:
    return Entry(service, {destination.key: destination for destination in destinations})


def to(last: int, weight: int = 1, forwarding: int = DIRECT) -> Destination:
    return Destination(DestinationKey(f"198.51.100.{last}", 80), forwarding, weight)


def words(wanted: Entry | None, found: Entry | None) -> list[str]:
    return [of_command(command) for command in difference(wanted, found)]


def test_nothing_to_do() -> None:
    assert words(entry(to(1)), entry(to(1))) == []
    assert words(None, None) == []


def test_new_service_comes_with_its_destinations() -> None:
    assert words(entry(to(1), to(2, 3)), None) == [
        "-A -t 192.0.2.1:80 -s rr",
        "-a -t 192.0.2.1:80 -r 198.51.100.1:80 -g -w 1",
        "-a -t 192.0.2.1:80 -r 198.51.100.2:80 -g -w 3",
    ]


def test_removed_service_takes_its_destinations_along() -> None:
    assert words(None, entry(to(1), to(2))) == ["-D -t 192.0.2.1:80"]


def test_new_destination_comes_before_the_old_one_leaves() -> None:
    assert words(entry(to(2)), entry(to(1))) == [
        "-a -t 192.0.2.1:80 -r 198.51.100.2:80 -g -w 1",
        "-d -t 192.0.2.1:80 -r 198.51.100.1:80",
    ]


def test_weight_is_given_before_it_is_taken() -> None:
    assert words(entry(to(1, 0), to(2, 5)), entry(to(1, 5), to(2, 0))) == [
        "-e -t 192.0.2.1:80 -r 198.51.100.2:80 -g -w 5",
        "-e -t 192.0.2.1:80 -r 198.51.100.1:80 -g -w 0",
    ]


def test_settings_are_edited_in_place() -> None:
    wanted = entry(to(1, forwarding=MASQUERADE), service=SERVICE._replace(scheduler="wlc"))
    assert words(wanted, entry(to(1))) == [
        "-E -t 192.0.2.1:80 -s wlc",
        "-e -t 192.0.2.1:80 -r 198.51.100.1:80 -m -w 1",
    ]


def test_v15_flag_of_the_kernel_itself_is_no_difference() -> None:
    assert words(entry(to(1)), entry(to(1), service=SERVICE._replace(flags=HASHED))) == []


def test_w5_local_node_of_the_kernel_is_no_difference() -> None:
    assert words(entry(to(1, forwarding=MASQUERADE)), entry(to(1, forwarding=LOCAL))) == []
    assert words(entry(to(1, 2)), entry(to(1, 1, LOCAL))) == ["-e -t 192.0.2.1:80 -r 198.51.100.1:80 -g -w 2"]


destinations = st.lists(
    st.builds(to, st.integers(1, 6), st.integers(0, 2), st.sampled_from([MASQUERADE, DIRECT])),
    unique_by=lambda destination: destination.key,
    max_size=6,
)
entries = st.none() | st.builds(
    lambda scheduler, targets: entry(*targets, service=SERVICE._replace(scheduler=scheduler)),
    st.sampled_from(["rr", "wlc"]),
    destinations,
)


@given(wanted=entries, found=entries)
def test_commands_lead_to_what_is_wanted_and_nothing_is_left_to_do(
    wanted: Entry | None, found: Entry | None
) -> None:
    table = found
    for command in difference(wanted, found):
        table = apply(table, command)
    assert table == wanted
    assert difference(wanted, table) == []


def serves(table: Entry | None) -> bool:
    return table is not None and any(target.weight > 0 for target in table.destinations.values())


@given(wanted=entries, found=entries)
def test_service_with_a_target_before_and_after_has_one_all_the_time(
    wanted: Entry | None, found: Entry | None
) -> None:
    if not (serves(wanted) and serves(found)):
        return
    table = found
    for command in difference(wanted, found):
        assert command.verb is not Verb.REMOVE_SERVICE
        table = apply(table, command)
        assert serves(table)
