"""The configuration: what it reads, what it refuses and where, and that its documents are true."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scheduler import cli
from scheduler.commands.options import DEFAULT_ADDRESS
from scheduler.config import (
    DEFAULT_LISTEN,
    Config,
    SearchConfig,
    parse_listen,
    read_config,
)
from scheduler.config_table import documented_keys, effective, remarks
from scheduler.errors import BadInputError, UsageError
from scheduler.model.policy import Pack, Policy
from scheduler.settings_file import Duration

ROOT = Path(__file__).resolve().parents[1]

HEAD = """apiVersion: muster.dev/v1alpha1
kind: MusterConfiguration
profiles:
  - schedulerName: muster
    levels:
      - {name: spine, label: net/spine}
      - name: leaf
        label: net/leaf
"""


def read(tmp_path: Path, text: str = HEAD) -> Config:
    """A configuration from this text."""
    (tmp_path / "c.yaml").write_text(text, encoding="utf-8")
    return read_config(tmp_path / "c.yaml")[0]


def refusal(tmp_path: Path, text: str) -> str:
    """What reading this text is refused with, without the directory."""
    with pytest.raises(BadInputError) as caught:
        read(tmp_path, text)
    return str(caught.value).removeprefix(f"{tmp_path}/")


def test_what_is_left_out_has_its_default(tmp_path: Path) -> None:
    """The shortest file is a whole configuration, in the planner's own numbers."""
    config = read(tmp_path)
    (profile,) = config.profiles
    assert profile.scheduler_name == "muster"
    assert [(level.name, level.label) for level in profile.levels] == [
        ("spine", "net/spine"), ("leaf", "net/leaf"),
    ]  # fmt: skip
    search = profile.search
    policy = Policy(Policy().order, Policy().scan, pack=Pack(profile.pack))
    assert (policy.pack, search.per_gang, search.per_cycle) == (
        Policy().pack, Policy().budget, Policy().cycle_budget,
    )  # fmt: skip
    assert (config.node_settle_us, config.claim_after_us) == (5_000_000, 600_000_000)
    assert config.listen == DEFAULT_LISTEN == DEFAULT_ADDRESS


def test_every_key_is_read(tmp_path: Path) -> None:
    """Values of the file replace the defaults."""
    config = read(
        tmp_path,
        HEAD + "    pack: spine\n    search: {perGang: 5, perCycle: 6}\n"
        "gather: {quiet: 1ms, max: 1m30s}\nclaimAfter: 0\nnodeSettle: 0s\n"
        "binding: {timeout: 3s, window: {initial: 4, max: 5}}\n"
        "events: {perPod: false, rate: 7}\nautoscaler: {domains: true}\n"
        "log: {level: debug, format: json}\nlisten: '[::1]:0'\n"
        "leaderElection: {leaseDuration: 20s, renewDeadline: 9s, retryPeriod: 1s}\n",
    )
    assert config.profiles[0].pack == "spine"
    assert config.profiles[0].search == SearchConfig(per_gang=5, per_cycle=6)
    assert (config.gather.quiet_us, config.gather.max_us) == (1_000, 90_000_000)
    assert (config.claim_after_us, config.node_settle_us) == (0, 0)
    window = config.binding.window
    assert (config.binding.timeout_us, window.initial, window.max) == (3_000_000, 4, 5)
    assert (config.events.per_pod, config.events.rate) == (False, 7)
    assert config.autoscaler.domains
    assert (config.log.level, config.log.format) == ("debug", "json")
    assert parse_listen(config.listen) == ("::1", 0)
    assert config.leader_election.lease_duration_us == 20_000_000


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ("gater: {quiet: 1s}\n", "c.yaml:9: has no key gater; did you mean gather?"),
        ("gather: {quite: 1s}\n", "c.yaml:9: has no key quite; did you mean quiet?"),
        ("binding:\n  window:\n    most: 3\n", "c.yaml:11: has no key most; known: initial, max"),
        ("gather:\n  quiet: 5\n",
         "c.yaml:10: gather.quiet: 5 is no duration such as 500ms, 5s, 10m or 1h30m"),
        ("nodeSettle: 5 s\n",
         "c.yaml:9: nodeSettle: '5 s' is no duration such as 500ms, 5s, 10m or 1h30m"),
        ("nodeSettle: 999999h\n", "c.yaml:9: nodeSettle: 999999h is more than a year"),
        ("events: {rate: many}\n", "c.yaml:9: events.rate: Expected `int`, got `str`"),
        ("events: {rate: 0}\n", "c.yaml:9: events.rate: Expected `int` >= 1"),
        ("log: {level: loud}\n", "c.yaml:9: log.level: Invalid enum value 'loud'"),
        ("kind: Other\n", "c.yaml:9: gives kind twice; leave one out"),
        ("gather: {quiet: 2s, max: 1s}\n",
         "c.yaml:9: gather.quiet (2s) is more than gather.max (1s); make it less"),
        ("leaderElection:\n  enabled: true\n",
         "c.yaml:10: leader election comes later; run one replica and leave the key out"),
        ("leaderElection: {leaseDuration: 1s}\n",
         ("c.yaml:9: leaseDuration > renewDeadline > retryPeriod > 0 does not hold;"
         " as with 15s, 10s, 2s")),
        ("binding: {timeout: 9s}\n",
         ("c.yaml:9: is not less than leaderElection.leaseDuration - renewDeadline; a bind sent by"
         " the last leader must be settled before the next one begins")),
        ("binding: {timeout: 10ms}\n", "c.yaml:9: is less than a second; give at least 1s"),
        ("binding: {window: {initial: 300}}\n",
         "c.yaml:9: is more than binding.window.max; make it less"),
        ("listen: 0.0.0.0:10290\n",
         ("c.yaml:9: 0.0.0.0:10290 is not a loopback address, and access from outside is not"
         " checked yet; listen on 127.0.0.1:10290 and use kubectl port-forward")),
        ("  - schedulerName: muster\n",
         ("c.yaml:9: profiles 0 and 1 are both called muster; give every profile a name of its"
          " own")),
        ("  - schedulerName: default-scheduler\n",
         ("c.yaml:9: Muster does not stand in for default-scheduler; give a name of its own, such"
          " as muster")),
        ("  - schedulerName: other\n    levels: [{name: rack, label: r}, {name: rack, label: s}]\n",
         "c.yaml:10: levels 0 and 1 both use rack; give every level a name and a label of its own"),
        ("".join(f"  - schedulerName: m{at}\n" for at in range(16)),
         "c.yaml:24: more than 16 profiles; leave some out"),
        ("      - {name: rack, lable: net/rack}\n",
         "c.yaml:9: has no key lable; did you mean label?"),
        ("      - {name: cluster, label: net/rack}\n",
         ("c.yaml:9: 'cluster' is no name for a level; letters, digits, `-`, `_`, `.`;"
         " not cluster or node")),
        ("      - {name: rack, label: net rack}\n",
         "c.yaml:9: 'net rack' is no key of a label; such as topology.example.com/spine"),
        ("      - {name: rack, label: spine}\n",
         "c.yaml:9: levels 0 and 2 both use spine; give every level a name and a label of its own"),
        ("gather: [\n", ("c.yaml:10: is not YAML: expected the node content, but found"
         " '<stream end>'")),
    ],
)  # fmt: skip
def test_what_cannot_be_meant_is_refused_with_its_line(
    tmp_path: Path, more: str, said: str
) -> None:
    """Unknown keys with the nearest one, wrong kinds, contradictions, what is not there yet."""
    assert refusal(tmp_path, HEAD + more) == said


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("Name: muster", "Name: default-scheduler",
         ("c.yaml:4: Muster does not stand in for default-scheduler; give a name of its own, such"
         " as muster")),
        ("Name: muster", "Name: ''", "c.yaml:4: '' is no name; give one word, such as muster"),
        ("v1alpha1", "v2", "c.yaml:1: apiVersion: Invalid enum value 'muster.dev/v2'"),
        ("kind: MusterConfiguration\n", "",
         "c.yaml:1: $: Object missing required field `kind`"),
    ],
)  # fmt: skip
def test_the_head_must_be_right(tmp_path: Path, old: str, new: str, said: str) -> None:
    """Another version, another scheduler's name."""
    assert refusal(tmp_path, HEAD.replace(old, new)) == said


def test_an_empty_list_of_profiles_is_refused(tmp_path: Path) -> None:
    """Nobody would be scheduled."""
    text = "".join(HEAD.splitlines(keepends=True)[:2]) + "profiles: []\n"
    assert refusal(tmp_path, text) == "c.yaml:3: there is no profile; give at least one"


@given(st.integers(0, 365 * 24 * 3_600 * 1_000_000))
def test_a_duration_is_written_as_it_is_read(us: int) -> None:
    """The table that `config check` prints could be pasted into the file."""
    assert Duration.read(str(Duration(us))) == us


@pytest.mark.parametrize(
    "text", ["", "5", "1.5s", "-1s", "1s ", "s", "1d", "\u0661s", True, None, 1]
)
def test_what_is_no_duration_is_refused(text: object) -> None:
    """A number without a unit is ambiguous, and nobody guesses."""
    with pytest.raises(ValueError):
        Duration.read(text)


@pytest.mark.parametrize(
    "text", ["", "10290", ":10290", "127.0.0.1", "127.0.0.1:x", "127.0.0.1:70000", "10.0.0.1:1",
             "[::]:1", "example.com:1", "*:1"],
)  # fmt: skip
def test_only_a_loopback_address_is_listened_on(text: str) -> None:
    """What is served shows every tenant's workloads."""
    with pytest.raises(UsageError):
        parse_listen(text)
    assert parse_listen("localhost:7") == ("localhost", 7)


def test_keys_without_effect_are_told_of(tmp_path: Path) -> None:
    """A key of a part that does not exist yet is not passed over in silence."""
    (tmp_path / "c.yaml").write_text(HEAD + "claimAfter: 1m\n", encoding="utf-8")
    _, where = read_config(tmp_path / "c.yaml")
    told = f"{tmp_path}/c.yaml:9: claimAfter is read, but does nothing in this version"
    assert remarks(where) == [told]


def test_effective_values_say_which_are_defaults(tmp_path: Path) -> None:
    """One row per value, list items by their number."""
    (tmp_path / "c.yaml").write_text(HEAD + "gather: {max: 2s}\n", encoding="utf-8")
    rows = {row["key"]: row for row in effective(*read_config(tmp_path / "c.yaml"))}
    assert rows["gather.max"] == {
        "key": "gather.max", "value": "2s", "unit": "duration", "default": False,
    }  # fmt: skip
    assert (rows["gather.quiet"]["value"], rows["gather.quiet"]["default"]) == ("50ms", True)
    assert rows["profiles[0].levels[1].label"]["value"] == "net/leaf"


def test_profiles_are_kept_in_the_order_of_the_file(tmp_path: Path) -> None:
    """Each with levels and budgets of its own; `config check` numbers them."""
    more = "  - schedulerName: racks\n    pack: spine\n    levels: [{name: spine, label: rack}]\n"
    config = read(tmp_path, HEAD + more)
    assert [profile.scheduler_name for profile in config.profiles] == ["muster", "racks"]
    assert [level.label for level in config.profiles[1].levels] == ["rack"]
    rows = {row["key"]: row["value"] for row in effective(*read_config(tmp_path / "c.yaml"))}
    assert (rows["profiles[0].pack"], rows["profiles[1].pack"]) == ("leaf", "spine")
    assert rows["profiles[1].schedulerName"] == "racks"


def test_the_command_prints_a_table_or_json(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """`muster config check` shows every value; bad input is exit code 3."""
    (tmp_path / "c.yaml").write_text(HEAD, encoding="utf-8")
    assert cli.main(["config", "check", str(tmp_path / "c.yaml")]) == 0
    assert "profiles[0].levels[0].name" in capsys.readouterr().out
    assert cli.main(["config", "check", str(tmp_path / "c.yaml"), "-o", "json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert {"key": "listen", "value": DEFAULT_LISTEN, "unit": "host:port", "default": True} in rows
    (tmp_path / "c.yaml").write_text(HEAD + "what: 1\n", encoding="utf-8")
    assert cli.main(["config", "check", str(tmp_path / "c.yaml")]) == 3
    assert capsys.readouterr().err.startswith(f"{tmp_path}/c.yaml:9: has no key what")


def test_the_example_is_accepted() -> None:
    """examples/config.yaml is a configuration of this version."""
    config, where = read_config(ROOT / "examples/config.yaml")
    assert [level.name for level in config.profiles[0].levels] == ["spine", "leaf"]
    assert remarks(where) == []


def test_the_document_has_every_key_as_it_is() -> None:
    """docs/configuration.md: key, type, default, unit and meaning are those of the code."""
    text = (ROOT / "docs/configuration.md").read_text(encoding="utf-8")
    rows = [
        tuple(cell.strip() for cell in line.strip("|").split("|"))
        for line in text.splitlines()
        if re.match(r"\| `[a-z]", line)
    ]
    want = []
    for key in documented_keys():
        default = f"`{key.default}`" if key.default else "required"
        unit = f", {key.unit}" if key.unit else ""
        want.append((f"`{key.key}`", f"{key.type}{unit}", default, key.text))
    assert rows == want
