"""`[[receiver]]`: what is wrong with it is named."""

from pathlib import Path

import pytest

from gateway.config import load_config
from gateway.errors import ConfigError

LOCAL = Path(__file__).parents[2] / "configs" / "local.toml"
SECTION = """
[[receiver]]
name = "far"
kind = "drop-copy"
address = "127.0.0.1:7101"
nodes = { a = "127.0.0.1:7102", b = "127.0.0.1:7103" }
data_dir = "far"
key_env = "FAR_KEY"
"""


def load(tmp_path: Path, more: str):
    file = tmp_path / "pair.toml"
    file.write_text(LOCAL.read_text() + more)
    return load_config(file)


def test_a_receiver_has_defaults_and_its_directory_is_beside_the_file(tmp_path: Path):
    (receiver,) = load(tmp_path, SECTION).receiver
    assert (receiver.round_trip, receiver.window, receiver.datagram_bytes) == (200_000_000, 4 << 20, 1400)
    assert receiver.data_dir == tmp_path / "far"


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ('key_env = "FAR_KEY"\n', "", "exactly one of `key_file` and `key_env`"),
        (', b = "127.0.0.1:7103"', "", "`nodes` needs the addresses of both"),
        ("7103", "7102", "are the same address 127.0.0.1:7102"),
        ("7102", "7001", "are the same address 127.0.0.1:7001"),
        ("drop-copy", "backup", "'disaster-recovery' or 'drop-copy'"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, old: str, new: str, told: str):
    assert old in SECTION
    with pytest.raises(ConfigError, match=told):
        load(tmp_path, SECTION.replace(old, new))


def test_two_of_a_name_or_address_are_refused(tmp_path: Path):
    with pytest.raises(ConfigError, match="receiver name 'far' occurs twice"):
        load(tmp_path, SECTION * 2)


def test_there_are_six_at_most(tmp_path: Path):
    with pytest.raises(ConfigError, match="at most 6"):
        load(tmp_path, "".join(SECTION.replace("far", f"far{i}").replace(":71", f":{72 + i}") for i in range(7)))
