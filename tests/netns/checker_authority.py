"""Certificates made by openssl for the tests: good ones, and others."""

from __future__ import annotations

import datetime
import ssl
import subprocess
from pathlib import Path

_CONFIGURATION = """
[ca]
default_ca = here
[here]
dir = {folder}
database = {folder}/{name}.index
serial = {folder}/{name}.serial
new_certs_dir = {folder}
default_md = sha256
policy = any
unique_subject = no
copy_extensions = copy
[any]
commonName = supplied
"""


class Authority:
    """NAME.pem and NAME.key in a folder, and what it has issued."""

    def __init__(self, folder: Path, name: str = "authority") -> None:
        self._folder = folder
        self._name = name
        (folder / f"{name}.index").touch()
        (folder / f"{name}.serial").write_text("1000\n", encoding="ascii")
        configuration = _CONFIGURATION.format(folder=folder, name=name)
        (folder / f"{name}.conf").write_text(configuration, encoding="ascii")
        _openssl(f"req -x509 -newkey rsa:2048 -nodes -days 20 -subj /CN={name}", folder, name, "pem")

    def issue(self, name: str, *, days: int = 20, common_name: str = "", password: str = "") -> None:
        """NAME.pem and NAME.key, valid for so many days from now; below 0: it has ended."""
        folder, common_name = self._folder, common_name or name
        secret = f"-passout pass:{password}" if password else "-nodes"
        request = (
            f"req -newkey rsa:2048 {secret} -subj /CN={common_name} -addext subjectAltName=DNS:{common_name}"
        )
        _openssl(request, folder, name, "csr")
        now = datetime.datetime.now(datetime.UTC)
        begins, ends = now - datetime.timedelta(days=30), now + datetime.timedelta(days=days, hours=1)
        subprocess.run(
            f"openssl ca -batch -notext -config {folder}/{self._name}.conf "
            f"-cert {folder}/{self._name}.pem -keyfile {folder}/{self._name}.key "
            f"-startdate {begins:%Y%m%d%H%M%SZ} -enddate {ends:%Y%m%d%H%M%SZ} "
            f"-in {folder}/{name}.csr -out {folder}/{name}.pem".split(),
            check=True,
            capture_output=True,
        )

    def server(self, name: str, wants: str = "") -> ssl.SSLContext:
        """A server that shows NAME.pem; wants: asks its clients for one that WANTS.pem has issued."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self._folder / f"{name}.pem", self._folder / f"{name}.key")
        if wants:
            context.load_verify_locations(self._folder / f"{wants}.pem")
            context.verify_mode = ssl.CERT_REQUIRED
            # With TLS 1.3 a refusal comes after the handshake, which a GET that is quick may not see.
            context.maximum_version = ssl.TLSVersion.TLSv1_2
        return context


def _openssl(command: str, folder: Path, name: str, suffix: str) -> None:
    files = ["-keyout", folder / f"{name}.key", "-out", folder / f"{name}.{suffix}"]
    subprocess.run(["openssl", *command.split(), *files], check=True, capture_output=True)
