"""Data dictionaries: what is read, what is refused with its line, and what a message is told."""

import re
import sys
from pathlib import Path

import pytest

from gateway.errors import ConfigError
from gateway.fix.dictionary import APPLICATION_VERSIONS, VERSIONS, appl_dictionaries_in, dictionary_in, load_dictionary
from gateway.native.dictionary import CHECKS

PUBLIC = Path(sys.prefix) / "share" / "quickfix"
ALL = sum(CHECKS.values())
SMALL = """<fix type='FIX' major='4' minor='4'>
 <header>
  <field name='BeginString' required='Y'/>
  <field name='BodyLength' required='Y'/>
  <field name='MsgType' required='Y'/>
  <field name='SenderCompID' required='Y'/>
  <field name='MsgSeqNum' required='Y'/>
  <field name='PossDupFlag' required='N'/>
  <group name='NoHops' required='N'>
   <field name='HopCompID' required='N'/>
   <field name='HopSendingTime' required='N'/>
  </group>
 </header>
 <messages>
  <message name='NewOrderSingle' msgtype='D' msgcat='app'>
   <field name='ClOrdID' required='Y'/>
   <component name='Parties' required='N'/>
   <component name='Instrument' required='Y'/>
   <field name='Side' required='Y'/>
   <field name='OrderQty' required='N'/>
   <field name='ExecInst' required='N'/>
   <field name='TransactTime' required='N'/>
   <field name='RawDataLength' required='N'/>
   <field name='RawData' required='N'/>
  </message>
 </messages>
 <trailer>
  <field name='SignatureLength' required='N'/>
  <field name='Signature' required='N'/>
  <field name='CheckSum' required='Y'/>
 </trailer>
 <components>
  <component name='Instrument'>
   <field name='Symbol' required='Y'/>
   <field name='SecurityType' required='N'/>
  </component>
  <component name='Parties'>
   <group name='NoPartyIDs' required='N'>
    <field name='PartyID' required='Y'/>
    <field name='PartyRole' required='Y'/>
    <group name='NoPartySubIDs' required='N'>
     <field name='PartySubID' required='N'/>
    </group>
   </group>
  </component>
 </components>
 <fields>
  <field number='8' name='BeginString' type='STRING'/>
  <field number='9' name='BodyLength' type='LENGTH'/>
  <field number='10' name='CheckSum' type='STRING'/>
  <field number='11' name='ClOrdID' type='STRING'/>
  <field number='18' name='ExecInst' type='MULTIPLEVALUESTRING'>
   <value enum='1' description='NOT_HELD'/>
   <value enum='G' description='ALL_OR_NONE'/>
   <value enum='GTX' description='LONG'/>
  </field>
  <field number='34' name='MsgSeqNum' type='SEQNUM'/>
  <field number='35' name='MsgType' type='STRING'/>
  <field number='38' name='OrderQty' type='QTY'/>
  <field number='43' name='PossDupFlag' type='BOOLEAN'/>
  <field number='49' name='SenderCompID' type='STRING'/>
  <field number='54' name='Side' type='CHAR'>
   <value enum='1' description='BUY'/>
   <value enum='2' description='SELL'/>
  </field>
  <field number='55' name='Symbol' type='STRING'/>
  <field number='60' name='TransactTime' type='UTCTIMESTAMP'/>
  <field number='89' name='Signature' type='DATA'/>
  <field number='93' name='SignatureLength' type='LENGTH'/>
  <field number='95' name='RawDataLength' type='LENGTH'/>
  <field number='96' name='RawData' type='DATA'/>
  <field number='167' name='SecurityType' type='STRING'>
   <value enum='CS' description='COMMON_STOCK'/>
   <value enum='FUT' description='FUTURE'/>
  </field>
  <field number='448' name='PartyID' type='STRING'/>
  <field number='452' name='PartyRole' type='INT'/>
  <field number='453' name='NoPartyIDs' type='NUMINGROUP'/>
  <field number='523' name='PartySubID' type='STRING'/>
  <field number='627' name='NoHops' type='NUMINGROUP'/>
  <field number='628' name='HopCompID' type='STRING'/>
  <field number='629' name='HopSendingTime' type='UTCTIMESTAMP'/>
  <field number='802' name='NoPartySubIDs' type='NUMINGROUP'/>
  <field number='9000' name='Ours' type='INT'/>
 </fields>
</fix>
"""


def framed(fields: str, begin_string: str = "FIX.4.4") -> bytes:
    """`fields` with | for SOH, behind a frame."""
    body = fields.replace("|", "\x01").encode() + b"\x01"
    head = b"8=%s\x019=%d\x01" % (begin_string.encode(), len(body))
    return head + body + b"10=%03d\x01" % (sum(head + body) % 256)


@pytest.fixture
def small(tmp_path):
    (tmp_path / "small.xml").write_text(SMALL)
    return load_dictionary(tmp_path / "small.xml")


ORDER = "35=D|49=A|34=2|11=id|55=MSFT|54=1"


@pytest.mark.parametrize(
    "fields",
    [
        ORDER,
        "35=D|34=2|49=A|54=1|11=id|55=MSFT",  # any order within header and body
        ORDER + "|38=0100.50|60=20261121-08:00:00.123456",
        ORDER + "|18=1 G GTX|167=FUT",
        ORDER + "|453=2|448=a|452=1|448=b|452=2",
        ORDER + "|453=2|448=a|452=1|802=2|523=x|523=y|448=b|452=2|38=1",
        ORDER + "|453=0|38=1",
        ORDER + "|453=1|448=a|452=1|802=0",
        ORDER + "|95=5|96=a=b|c|93=1|89=x",
        "35=D|49=A|34=2|627=2|628=x|629=20261121-08:00:00|628=y|11=id|55=MSFT|54=1",
        ORDER + "|93=1|89=x",
    ],
)
def test_what_is_right_is_taken(small, fields):
    assert small.validate(framed(fields)) is None


@pytest.mark.parametrize(
    ("fields", "reason", "tag"),
    [
        ("35=*|49=A|34=2", 11, 0),
        ("35=AAAAA|49=A|34=2", 11, 0),
        (ORDER + "|999=x", 0, 999),
        (ORDER + "|5000=x", 0, 5000),
        (ORDER + "|9000=1", 2, 9000),
        (ORDER + "|628=x", 2, 628),
        (ORDER + "|448=x", 2, 448),
        ("35=D|49=A|34=2|55=MSFT|54=1", 1, 11),
        ("35=D|49=A|34=2|11=id|54=1", 1, 55),
        ("35=D|34=2|11=id|55=MSFT|54=1", 1, 49),
        (ORDER + "|167=", 4, 167),
        ("35=D|49=|34=2|11=id|55=MSFT|54=1", 4, 49),
        ("35=D|49=A|34=2|11=id|55=MSFT|54=3", 5, 54),
        (ORDER + "|18=1 X", 5, 18),
        (ORDER + "|18=1  G", 5, 18),
        (ORDER + "|18=GT", 5, 18),
        (ORDER + "|167=BOO", 5, 167),
        ("35=D|49=A|34=2|11=id|55=MSFT|54=12", 6, 54),
        (ORDER + "|38=+200.00", 6, 38),
        (ORDER + "|38=1e5", 6, 38),
        (ORDER + "|38=1.2.3", 6, 38),
        (ORDER + "|38=-", 6, 38),
        (ORDER + "|60=20261121", 6, 60),
        ("35=D|49=A|34=2|43=y|11=id|55=MSFT|54=1", 6, 43),
        ("35=D|11=id|55=MSFT|54=1|34=2|49=A", 14, 34),
        ("35=D|49=A|11=id|34=2|55=MSFT|54=1", 14, 34),
        ("35=D|49=A|34=2|11=id|93=1|89=x|55=MSFT|54=1", 14, 89),
        (ORDER + "|11=other", 13, 11),
        ("35=D|49=A|34=2|34=2|11=id|55=MSFT|54=1", 13, 34),
        (ORDER + "|453=1|452=1|448=a", 15, 452),
        (ORDER + "|453=1|448=a|802=1|523=x|452=1", 15, 452),
        (ORDER + "|453=1|448=a|802=1|452=1", 16, 802),
        (ORDER + "|453=3|448=a|452=1|448=b|452=2", 16, 453),
        (ORDER + "|453=1|448=a|452=1|448=b|452=2", 16, 453),
        (ORDER + "|453=1|38=5", 16, 453),
        (ORDER + "|453=2|448=a|448=b|452=1", 1, 452),
        (ORDER + "|453=1|448=a", 1, 452),
        (ORDER + "|453=x", 6, 453),
        (ORDER + "|453=1|448=a|452=1|452=2", 13, 452),
    ],
)
def test_what_is_wrong_is_named_with_its_tag(small, fields, reason, tag):
    assert small.validate(framed(fields)) == (reason, tag)


@pytest.mark.parametrize(
    ("check", "fields"),
    [
        ("formats", ORDER + "|38=x|167=BOO"),
        ("values", ORDER + "|167="),
        ("order", "35=D|49=A|11=id|34=2|55=MSFT|54=1"),
        ("user_fields", ORDER + "|5000=x|453=1|448=a|5001=y|452=1"),
        ("unknown_fields", ORDER + "|999=x|448=x"),
        ("unknown_messages", "35=ZZ|49=A|34=2"),
        ("required", "35=D|49=A|34=2"),
        ("group_order", ORDER + "|453=1|448=a|802=1|523=x|452=1"),
    ],
)
def test_each_check_may_be_left_out(small, check, fields):
    assert small.validate(framed(fields)) is not None
    assert small.validate(framed(fields), ALL & ~CHECKS[check]) is None


@pytest.mark.parametrize(
    ("old", "new", "text"),
    [
        ("<field name='Side' required='Y'/>", "<field name='Sight' required='Y'/>", "'Sight' is not defined"),
        ("<component name='Parties' required='N'/>", "<component name='Party'/>", "'Party' is not defined"),
        ("type='QTY'", "type='QUANT'", "unknown type 'QUANT'"),
        ("number='38'", "number='x'", "number 'x' is no tag"),
        ("number='38'", "number='0'", "number '0' is no tag"),
        ("number='38' ", "", "<field> without 'number'"),
        ("msgtype='D'", "msgtype='DDDDD'", "1 to 4 characters"),
        ("<field name='PartyRole' required='Y'/>", "<component name='Parties'/>", "contains itself"),
        ("<field name='PartyID' required='Y'/>", "<fild name='PartyID'/>", "<fild> has no place in <group>"),
        ("</header>", "</head>", "no XML"),
        ("<trailer>", "<tail>", "no XML"),
    ],
)
def test_what_is_wrong_in_a_file_is_named_with_file_and_line(tmp_path, old, new, text):
    path = tmp_path / "wrong.xml"
    path.write_text(SMALL.replace(old, new, 1))
    with pytest.raises(ConfigError) as error:
        load_dictionary(path)
    assert text in str(error.value)
    assert re.match(rf"{re.escape(str(path))}:\d+: ", str(error.value))


def test_the_line_of_an_error_is_the_line_of_the_element(tmp_path):
    path = tmp_path / "wrong.xml"
    path.write_text(SMALL.replace("<field name='Side' required='Y'/>", "<field name='Sight' required='Y'/>"))
    line = path.read_text().splitlines().index("   <field name='Sight' required='Y'/>") + 1
    with pytest.raises(ConfigError, match=f"wrong.xml:{line}: field 'Sight'"):
        load_dictionary(path)


def test_a_file_that_is_not_there_and_a_version_that_is_none_are_named(tmp_path):
    with pytest.raises(ConfigError, match=r"FIX44\.xml: No such file"):
        dictionary_in(tmp_path, "FIX.4.4")
    with pytest.raises(ConfigError, match=r"no dictionary for FIX\.5\.0"):
        dictionary_in(tmp_path, "FIX.5.0")


def test_entities_are_refused(tmp_path):
    (tmp_path / "bomb.xml").write_text("<!DOCTYPE x [<!ENTITY a 'aaaa'>]><fix>&a;</fix>")
    with pytest.raises(ConfigError, match="entities"):
        load_dictionary(tmp_path / "bomb.xml")


needs_public = pytest.mark.skipif(not PUBLIC.is_dir(), reason="the quickfix package's dictionaries are not installed")


@needs_public
@pytest.mark.parametrize("version", VERSIONS)
def test_the_public_dictionaries_of_fix_4_are_read(version):
    heartbeat = "35=0|49=A|56=B|34=2|52=20261121-08:00:00"
    dictionary = dictionary_in(PUBLIC, version)
    assert dictionary.validate(framed(heartbeat, version)) is None
    assert dictionary.validate(framed(heartbeat + "|55=MSFT", version)) == (2, 55)


@needs_public
@pytest.mark.parametrize("appl_ver_id", APPLICATION_VERSIONS)
def test_the_public_dictionaries_of_fix_5_have_the_transports_session_messages(appl_ver_id):
    dictionary = dictionary_in(PUBLIC, "FIXT.1.1", appl_ver_id)
    head = "|49=A|56=B|34=2|52=20261121-08:00:00"
    logon = "35=A" + head + "|98=0|108=30"
    assert dictionary.validate(framed(logon + "|1137=9", "FIXT.1.1")) is None
    assert dictionary.validate(framed(logon, "FIXT.1.1")) == (1, 1137)
    order = "35=D" + head + "|11=id|40=1|60=20261121-08:00:00|55=MSFT|38=5"
    assert dictionary.validate(framed(order + "|54=1", "FIXT.1.1")) is None
    assert dictionary.validate(framed(order, "FIXT.1.1")) == (1, 54)


@needs_public
def test_every_application_version_that_is_there_has_its_dictionary(tmp_path):
    assert appl_dictionaries_in(tmp_path) == {}
    there = appl_dictionaries_in(PUBLIC)
    assert sorted(there) == ["2", "3", "4", "5", "6", "7", "8", "9"]
