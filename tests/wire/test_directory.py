"""Whose session a Logon is: who says most wins, a tie is refused, templates make sessions up to their limit."""

from __future__ import annotations

from gateway.wire.directory import Directory, Identity, Refusal, Template

OURS = Identity("FIX.4.4", "BROKER", "CLIENT")


def directory(**entries):
    found = Directory()
    for key, identity in entries.items():
        found.add(identity, key)
    return found


def test_sender_and_target_of_a_logon_change_places():
    values = {8: b"FIX.4.4", 49: b"CLIENT", 50: b"desk", 142: b"LDN", 56: b"BROKER", 57: b"route", 143: b"NY"}
    assert Identity.of_logon(values) == Identity("FIX.4.4", "BROKER", "CLIENT", "route", "NY", "desk", "LDN")


def test_ids_that_a_session_does_not_have_may_be_anything():
    found = directory(x=OURS)
    assert found.find(OURS) == "x"
    assert found.find(OURS._replace(target_sub_id="desk")) == "x"


def test_ids_that_a_session_has_must_be_the_same():
    found = directory(x=OURS._replace(target_sub_id="desk"))
    assert found.find(OURS._replace(target_sub_id="desk")) == "x"
    assert found.find(OURS) is Refusal.UNKNOWN
    assert found.find(OURS._replace(target_sub_id="other")) is Refusal.UNKNOWN


def test_of_several_sessions_the_one_that_says_most_wins():
    found = directory(all=OURS, desk=OURS._replace(target_sub_id="desk"))
    assert found.find(OURS._replace(target_sub_id="desk")) == "desk"
    assert found.find(OURS._replace(target_sub_id="other")) == "all"


def test_two_sessions_that_say_as_much_are_ambiguous():
    found = directory(desk=OURS._replace(target_sub_id="desk"), place=OURS._replace(target_location_id="LDN"))
    assert found.find(OURS._replace(target_sub_id="desk", target_location_id="LDN")) is Refusal.AMBIGUOUS
    assert found.find(OURS._replace(target_sub_id="desk")) == "desk"


def test_another_version_or_name_is_unknown():
    found = directory(x=OURS)
    for other in ({"begin_string": "FIX.4.2"}, {"sender_comp_id": "BROKE"}, {"target_comp_id": "client"}):
        assert found.find(OURS._replace(**other)) is Refusal.UNKNOWN


def test_a_session_with_a_certificate_is_for_its_owner_alone():
    found = Directory()
    found.add(OURS, "x", certificate="client.example")
    assert found.find(OURS, frozenset({"client.example", "other"})) == "x"
    assert found.find(OURS, frozenset({"mallory.example"})) is Refusal.CERTIFICATE
    assert found.find(OURS) is Refusal.CERTIFICATE


def test_a_template_makes_each_session_once_up_to_its_limit():
    made = []

    def make(identity):
        made.append(identity)
        return identity.target_comp_id

    found = directory(x=OURS)
    found.add_template(Template("FIX.4.4", "BROKER", "FUND*", 2, make))
    for name in ("FUND1", "FUND1", "FUND2", "FUND1"):
        assert found.find(OURS._replace(target_comp_id=name, target_sub_id="desk")) == name
    assert made == [OURS._replace(target_comp_id="FUND1"), OURS._replace(target_comp_id="FUND2")]
    assert found.find(OURS._replace(target_comp_id="FUND3")) is Refusal.TEMPLATE_FULL
    assert found.find(OURS._replace(target_comp_id="HEDGE")) is Refusal.UNKNOWN
    assert found.find(OURS) == "x"


def test_a_logon_without_name_fits_no_template():
    found = Directory()
    found.add_template(Template("FIX.4.4", "BROKER", "*", 2, lambda identity: identity))
    assert found.find(OURS._replace(target_comp_id="")) is Refusal.UNKNOWN
