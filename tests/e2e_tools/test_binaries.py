"""Where the control plane's programs come from, without building any."""

from __future__ import annotations

from pathlib import Path

import pytest

from e2e import binaries


def program(directory: Path, name: str, says: str = "") -> Path:
    """An executable that prints `says`."""
    directory.mkdir(exist_ok=True)
    path = directory / name
    path.write_text(f"#!/bin/sh\necho '{says}'\n")
    path.chmod(0o755)
    return path


@pytest.fixture
def nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine with an empty cache, and with /bin but no control plane on PATH."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("KUBEBUILDER_ASSETS", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    (tmp_path / "bin").mkdir()
    return tmp_path


def given_set(directory: Path, version: str = "v1.36.9") -> dict[str, Path]:
    """What envtest ships."""
    return {name: program(directory, name, f"Kubernetes {version}") for name in binaries.BASE_SET}


def cached(names: list[str]) -> dict[str, Path]:
    """Puts programs into the cache."""
    paths = {}
    for module in binaries.MODULES:
        cache = binaries.cache_of(module)
        cache.mkdir(parents=True)
        for name in set(names) & set(module.packages):
            paths[name] = program(cache, module.file_name(name))
    return paths


def test_the_cache_serves_without_go(nothing: Path) -> None:
    """What is cached is not built again, and lies under the hash of its module's go.sum."""
    paths = cached(["etcd", "kwok", "hollow-kubelet"])
    assert binaries.find_or_build(paths) == paths
    assert {path.parents[1] for path in paths.values()} == {nothing / "cache" / "muster-e2e"}


def test_given_assets_come_first(nothing: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """KUBEBUILDER_ASSETS wins over the cache; what it lacks comes from there."""
    assets = given_set(nothing / "assets")
    monkeypatch.setenv("KUBEBUILDER_ASSETS", str(nothing / "assets"))
    kwok = cached(["etcd", "kwok"])["kwok"]
    assert binaries.find_or_build(["etcd", "kwok"]) == {"etcd": assets["etcd"], "kwok": kwok}


@pytest.mark.parametrize("wrong", ["version", "incomplete"])
def test_unusable_assets_are_an_error(
    nothing: Path, monkeypatch: pytest.MonkeyPatch, wrong: str
) -> None:
    """Whoever names a directory hears why it will not do."""
    assets = given_set(nothing / "assets", "v1.30.0" if wrong == "version" else "v1.36.0")
    if wrong == "incomplete":
        assets["kubectl"].unlink()
    monkeypatch.setenv("KUBEBUILDER_ASSETS", str(nothing / "assets"))
    with pytest.raises(binaries.BinariesError, match=r"need 1\.36|lacks kubectl"):
        binaries.find_or_build(["etcd"])


def test_a_set_on_path_serves(nothing: Path) -> None:
    """etcd, kube-apiserver and kubectl of the right version on PATH are used."""
    found = given_set(nothing / "bin")
    (nothing / "bin" / "sh").symlink_to("/bin/sh")
    assert binaries.find_or_build(["etcd", "kubectl"]) == {
        "etcd": found["etcd"],
        "kubectl": found["kubectl"],
    }


@pytest.mark.parametrize("version", ["v1.30.0", None])
def test_strays_on_path_do_not_count(nothing: Path, version: str | None) -> None:
    """An old set, or a kubectl alone, is passed over."""
    if version:
        given_set(nothing / "bin", version)
    else:
        program(nothing / "bin", "kubectl")
    paths = cached(["kubectl"])
    assert binaries.find_or_build(["kubectl"]) == paths


def test_unknown_programs_are_refused() -> None:
    """A misspelt name is no reason to build."""
    with pytest.raises(binaries.BinariesError, match="unknown programs"):
        binaries.find_or_build(["kube-apisever"])


def test_sources_of_our_own_name_the_file(tmp_path: Path) -> None:
    """A changed source gives a new file in the cache; go.sum alone would not."""
    source = tmp_path / "cmd" / "it" / "main.go"
    source.parent.mkdir(parents=True)
    module = binaries.Module(tmp_path, {"it": "./cmd/it", "other": "example.org/other"}, "")
    names = []
    for text in ("package main", "package main // changed"):
        source.write_text(text)
        names.append(module.file_name("it"))
    assert len(set(names)) == 2
    (source.parent / "main_test.go").write_text("package main")
    assert module.file_name("it") == names[-1], "tests are no part of the program"
    assert module.file_name("other") == "other"


def test_a_failed_build_shows_its_log(nothing: Path) -> None:
    """The end of go's own output is in the error, and nothing half-built is in the cache."""
    go = program(nothing / "bin", "go")
    (nothing / "bin" / "sh").symlink_to("/bin/sh")
    go.write_text('#!/bin/sh\nif [ "$1" = env ]; then echo go1.26.0; else echo boom; exit 1; fi\n')
    with pytest.raises(binaries.BinariesError, match="boom"):
        binaries.find_or_build(["kwok"])
    assert not list(binaries.cache_of(binaries.KWOK).glob("kwok*"))
