"""Who can tell of an instance: nodes on this machine, live and by their journals, and journals of others."""

from __future__ import annotations

from pathlib import Path

from keepbus.cli import journal
from keepbus.cli.bus import NoNode, collect
from keepbus.cli.journal import Entry, Findings
from keepbus.cli.story import Now
from keepbus.cli.together import Account
from keepbus.contracts import notify, vrrp
from keepbus.contracts.message import quote

_NAMED = (f"{vrrp.Instance.TOPIC}/", f"{vrrp.SyncGroup.TOPIC}/")


class Witnesses:
    """What each node knows of one instance or sync group."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._topics = _topics(name)
        self._run_dirs: list[tuple[Path, Account]] = []
        self._files: list[Path] = []
        self._found: list[Entry] = []
        self._known: set[str] = set()
        self.findings = Findings()
        self.complaints: list[str] = []
        """What could not be read, a sentence each."""
        self.silence = ""
        """Why the last node that was asked did not answer."""

    def ask(self, run_dir: Path) -> None:
        """A node of this machine, whether it runs or not."""
        node, live = self._live(run_dir)
        account = Account(node, [], live.get(self._name))
        self._known |= live.keys()
        self._run_dirs.append((run_dir, account))
        try:
            self._read(journal.files(run_dir), account.entries)
        except OSError as error:
            self.complaints.append(journal.complaint(error))
        if not node and account.entries:
            account.node = account.entries[-1].node

    def read(self, places: list[Path]) -> None:
        """Journals, or directories with them."""
        for place in places:
            try:
                paths = journals(place)
                if not paths:
                    self.complaints.append(
                        f"{place} has no journal.jsonl; name an audit journal or a directory with one"
                    )
                self._read(paths, self._found)
            except OSError as error:
                self.complaints.append(journal.complaint(error))

    def _read(self, paths: list[Path], found: list[Entry]) -> None:
        self._files += paths
        found += journal.entries(paths, self._topics.__contains__, self.findings)

    def accounts(self) -> list[Account]:
        """One for each node that knows something, in the order in which they were named."""
        told = [(run_dir, each) for run_dir, each in self._run_dirs if each.entries or each.now is not None]
        names = [each.node for _, each in told]
        for run_dir, each in told:
            if names.count(each.node) > 1:
                each.node = f"{each.node} ({run_dir})"
        accounts = {each.node: each for _, each in told}
        for entry in self._found:
            accounts.setdefault(entry.node, Account(entry.node, [])).entries.append(entry)
        for account in accounts.values():
            account.entries = _in_order(account.entries)
        return list(accounts.values())

    def names(self) -> set[str]:
        """Every instance and group that anybody knows."""
        found = journal.entries(self._files, lambda topic: topic.startswith(_NAMED), Findings())
        try:
            return self._known | {entry.body.name for entry in found if isinstance(entry.body, Now)}
        except OSError:
            return self._known

    def _live(self, run_dir: Path) -> tuple[str, dict[str, Now]]:
        """The node's name, and its groups and instances by name; nothing when it does not run."""
        try:
            states = collect(run_dir)
        except NoNode as reason:
            self.silence = str(reason)
            return "", {}
        bodies = [message.body for message in states.values()]
        # An instance comes before a group of the same name.
        groups = {body.name: body for body in bodies if isinstance(body, vrrp.SyncGroup)}
        found = groups | {body.name: body for body in bodies if isinstance(body, vrrp.Instance)}
        return next((message.header.node for message in states.values()), ""), found


def _in_order(entries: list[Entry]) -> list[Entry]:
    """By time, each once, whatever the order of the files."""
    return sorted({entry.id: entry for entry in entries}.values(), key=lambda entry: entry.at_ns)


def journals(place: Path) -> list[Path]:
    """The place itself, or the files of the journal in it when it is a directory. Raises OSError."""
    if not place.is_dir():
        return [place]
    return journal.files(place) or journal.files_in(place)


def _topics(name: str) -> frozenset[str]:
    key = quote(name)
    return frozenset(
        f"{topic}/{key}"
        for topic in (
            vrrp.Instance.TOPIC,
            vrrp.Transitioned.TOPIC,
            vrrp.SyncGroup.TOPIC,
            vrrp.GroupTransitioned.TOPIC,
            vrrp.AddressChanged.TOPIC,
            vrrp.HoldingChanged.TOPIC,
            vrrp.Resumed.TOPIC,
            vrrp.PriorityChanged.TOPIC,
            vrrp.Conflict.TOPIC,
            notify.ScriptRun.TOPIC,
        )
    ) | {f"{notify.ScriptRun.TOPIC}/{quote(f'GROUP {name}')}"}
