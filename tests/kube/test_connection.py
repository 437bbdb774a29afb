"""Kubeconfigs and service accounts as people have them, and what is said of broken ones."""

from __future__ import annotations

import base64
import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from kubernetes.config import incluster_config

from scheduler.errors import ApiUnavailableError, BadInputError, MusterError
from scheduler.kube import connection

Config = dict[str, object]
Write = Callable[..., Path]

PLUGIN = """
import json, os, pathlib, sys
folder = pathlib.Path(sys.argv[1])
runs = folder / "runs"
runs.write_text(runs.read_text() + "x" if runs.exists() else "x")
answer = folder / "answer"
if not answer.exists():
    sys.exit("please log in again")
print(answer.read_text())
"""


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No kubeconfig of this machine, no pod, no proxy."""
    for name in ("KUBECONFIG", "KUBERNETES_SERVICE_HOST", "HTTPS_PROXY", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Writes a kubeconfig with one context."""

    def make(user: Config | None = None, cluster: Config | None = None, *, name: str = "config",
             context: str = "dev") -> Path:  # fmt: skip
        path = tmp_path / name
        document = {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": context,
            "contexts": [{"name": context, "context": {"cluster": "c", "user": "u"}}],
            "clusters": [
                {"name": "c", "cluster": {"server": "https://api:6443/", **(cluster or {})}}
            ],
            "users": [{"name": "u", "user": user or {}}],
        }
        path.write_text(yaml.safe_dump(document))
        return path

    return make


def plugin(tmp_path: Path) -> Config:
    """A user whose credentials come from a program; it is told by files what to answer."""
    script = tmp_path / "plugin.py"
    script.write_text(PLUGIN)
    return {
        "exec": {
            "apiVersion": "client.authentication.k8s.io/v1",
            "command": sys.executable,
            "args": [str(script), str(tmp_path)],
            "interactiveMode": "Never",
        }
    }


def answer(tmp_path: Path, token: str, *, expired: bool = False) -> None:
    """What the plugin says from now on."""
    year = 2000 if expired else 2100
    status = {"token": token, "expirationTimestamp": f"{year}-01-01T00:00:00Z"}
    body = {"apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential",
            "status": status}  # fmt: skip
    (tmp_path / "answer").write_text(json.dumps(body))


def test_token(write: Write) -> None:
    """A bearer token; it does not rotate."""
    found = connection.load(write({"token": "secret"}))
    assert found.server == "https://api:6443"
    assert found.headers() == ["Authorization: Bearer secret"]
    assert not found.access.rotates


def test_password(write: Write) -> None:
    """Basic authentication."""
    text = base64.b64encode(b"me:pass").decode()
    found = connection.load(write({"username": "me", "password": "pass"}))
    assert found.headers() == [f"Authorization: Basic {text}"]


def test_token_file_is_read_again(write: Write, tmp_path: Path) -> None:
    """Relative to the kubeconfig, without its line break; a refresh sees the new one."""
    (tmp_path / "token").write_text("one\n")
    found = connection.load(write({"tokenFile": "token"}))
    assert found.headers() == ["Authorization: Bearer one"]
    assert found.access.rotates
    (tmp_path / "token").write_text("two\n")
    found.refresh()
    assert found.headers() == ["Authorization: Bearer two"]


def test_certificates_in_files_and_inline(write: Write, tmp_path: Path) -> None:
    """Their content is what counts; files are read again, as somebody may replace them."""
    for name in ("ca", "crt", "key"):
        (tmp_path / name).write_text(f"pem {name}")
    user: Config = {"client-certificate": "crt", "client-key": "key"}
    found = connection.load(write(user, {"certificate-authority": "ca"}))
    access = found.access
    assert (access.ca, access.certificate, access.key) == (b"pem ca", b"pem crt", b"pem key")
    found.refresh()
    assert found.access is access, "nothing has changed"
    (tmp_path / "crt").write_text("new")
    found.refresh()
    assert found.access.certificate == b"new"
    data = {
        name: base64.b64encode(f"inline {name}".encode()).decode() for name in ("ca", "crt", "key")
    }
    user = {"client-certificate-data": data["crt"], "client-key-data": data["key"]}
    access = connection.load(write(user, {"certificate-authority-data": data["ca"]})).access
    assert (access.ca, access.certificate) == (b"inline ca", b"inline crt")
    assert access.key == b"inline key"
    assert not access.rotates
    assert "inline" not in repr(access), "secrets do not belong into logs"


def test_way_to_the_server(write: Write) -> None:
    """Proxy, name in the certificate, and whether it is checked at all."""
    cluster: Config = {
        "proxy-url": "http://proxy:3128",
        "tls-server-name": "kubernetes.test",
        "insecure-skip-tls-verify": True,
    }
    access = connection.load(write({"token": "t"}, cluster)).access
    assert (access.proxy, access.tls_server_name) == ("http://proxy:3128", "kubernetes.test")
    assert not access.verify
    plain = connection.load(write({"token": "t"})).access
    assert (plain.proxy, plain.tls_server_name, plain.verify) == ("", "", True)


def test_impersonation(write: Write) -> None:
    """Whom to act as goes along with every request."""
    user: Config = {
        "token": "t", "as": "jane", "as-uid": "7", "as-groups": ["a", "b"],
        "as-user-extra": {"acme.com/scope": ["x"]},
    }  # fmt: skip
    assert connection.load(write(user)).headers()[1:] == [
        "Impersonate-User: jane",
        "Impersonate-Uid: 7",
        "Impersonate-Group: a",
        "Impersonate-Group: b",
        "Impersonate-Extra-acme.com%2Fscope: x",
    ]


def test_context_may_be_named(write: Write) -> None:
    """--context goes before current-context."""
    path = write({"token": "t"})
    document = yaml.safe_load(path.read_text())
    document["contexts"].append({"name": "prod", "context": {"cluster": "c2", "user": "u"}})
    document["clusters"].append({"name": "c2", "cluster": {"server": "https://prod"}})
    path.write_text(yaml.safe_dump(document))
    assert connection.load(path, "prod").server == "https://prod"


def test_several_files_are_merged(
    write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """$KUBECONFIG joins them; the first that says something wins; missing ones are skipped."""
    first = write({"token": "one"}, {"server": "https://one"}, name="first", context="a")
    second = write({"token": "two"}, {"server": "https://two"}, name="second", context="b")
    missing = tmp_path / "missing"
    monkeypatch.setenv("KUBECONFIG", f"{missing}:{first}:{second}")
    assert connection.load().server == "https://one"
    assert connection.load(None, "b").headers() == ["Authorization: Bearer one"]
    assert connection.load(second).server == "https://two"


def test_default_file(write: Write, tmp_path: Path) -> None:
    """~/.kube/config, if nothing is named."""
    home = tmp_path / "home" / ".kube"
    home.mkdir(parents=True)
    write({"token": "t"}).rename(home / "config")
    assert connection.load().server == "https://api:6443"


def test_credential_plugin(write: Write, tmp_path: Path) -> None:
    """Run when loading and after a 401; not by a refresh, unless what it gave has expired."""
    answer(tmp_path, "one")
    found = connection.load(write(plugin(tmp_path)))
    assert found.headers() == ["Authorization: Bearer one"]
    assert found.access.rotates
    answer(tmp_path, "two", expired=True)
    found.refresh()
    assert found.headers() == ["Authorization: Bearer one"]
    found.renew()
    assert found.headers() == ["Authorization: Bearer two"]
    answer(tmp_path, "three")
    found.refresh()
    assert found.headers() == ["Authorization: Bearer three"]
    assert (tmp_path / "runs").read_text() == "xxx"


def test_credential_plugin_that_gives_a_certificate(write: Write, tmp_path: Path) -> None:
    """Its certificate and key become files."""
    status = {"clientCertificateData": "cert pem", "clientKeyData": "key pem"}
    body = {"apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential",
            "status": status}  # fmt: skip
    (tmp_path / "answer").write_text(json.dumps(body))
    access = connection.load(write(plugin(tmp_path))).access
    assert (access.certificate, access.key) == (b"cert pem", b"key pem")
    assert access.headers == ()


def test_credential_plugin_that_fails(write: Write, tmp_path: Path) -> None:
    """Its own words are repeated, now or when it is needed again; old credentials stay."""
    path = write(plugin(tmp_path))
    with pytest.raises(
        ApiUnavailableError, match=r"plugin .*python.* failed: .*please log in again"
    ):
        connection.load(path)
    answer(tmp_path, "one", expired=True)
    found = connection.load(path)
    (tmp_path / "answer").unlink()
    for again in (found.refresh, found.renew):
        with pytest.raises(ApiUnavailableError, match="please log in again"):
            again()
        assert found.headers() == ["Authorization: Bearer one"]


def test_pod(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The service account; its bound token is read again, as the kubelet replaces it."""
    token, ca = tmp_path / "token", tmp_path / "ca.crt"
    token.write_text("one\n")
    ca.write_text("pem")
    monkeypatch.setattr(incluster_config, "SERVICE_TOKEN_FILENAME", str(token))
    monkeypatch.setattr(incluster_config, "SERVICE_CERT_FILENAME", str(ca))
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "fd00::1")
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", "443")
    found = connection.load()
    assert found.server == "https://[fd00::1]:443"
    assert found.headers() == ["Authorization: bearer one"]
    assert (found.access.ca, found.access.rotates) == (b"pem", True)
    token.write_text("two")
    found.refresh()
    assert found.headers() == ["Authorization: bearer two"]
    token.unlink()
    with pytest.raises(ApiUnavailableError, match="service account"):
        found.refresh()
    assert found.headers() == ["Authorization: bearer two"]


def test_nothing_to_connect_to() -> None:
    """No kubeconfig, no pod: exit code 4, and what to do."""
    with pytest.raises(ApiUnavailableError, match=r"this is no pod; name a kubeconfig") as caught:
        connection.load()
    assert caught.value.exit_code == 4


BROKEN = {
    "no YAML": ("a: [1\nb: 2\n", None, r"config:2: no valid YAML: .*"),
    "no mapping": ("- 1\n", None, "this is no kubeconfig"),
    "empty": ("", None, "this is no kubeconfig"),
    "no context": ("apiVersion: v1\n", None, "no current-context; name one with --context"),
    "unknown context": (None, "prod", "no context named 'prod'; it has dev"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_broken_kubeconfig(write: Write, case: str) -> None:
    """One sentence with the file, the line where there is one, and what to do."""
    text, context, said = BROKEN[case]
    path = write({"token": "t"})
    if text is not None:
        path.write_text(text)
    with pytest.raises(BadInputError, match=said) as caught:
        connection.load(path, context)
    assert str(caught.value).startswith(str(path))
    assert "\n" not in str(caught.value)


def test_missing_parts(write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Files that are named and not there, a cluster without a server, a token with a break."""
    with pytest.raises(BadInputError, match="no such file"):
        connection.load(tmp_path / "absent")
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "absent"))
    with pytest.raises(BadInputError, match="absent: no such file"):
        connection.load()
    with pytest.raises(BadInputError, match="'c', which has no server"):
        connection.load(write({}, {"server": ""}))
    with pytest.raises(BadInputError, match=r"nowhere\.crt"):
        connection.load(write({"token": "t"}, {"certificate-authority": "nowhere.crt"}))
    with pytest.raises(BadInputError, match="nowhere"):
        connection.load(write({"tokenFile": "nowhere"}))
    with pytest.raises(MusterError, match="line break in Authorization"):
        connection.load(write({"token": "a\nHost: evil"}))
