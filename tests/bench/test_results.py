"""A result survives its file; what is none gets a clear error."""

import orjson
import pytest

from gateway.bench import report
from gateway.bench.report import write_report
from gateway.bench.results import read_result, write_result
from gateway.bench.tables import unit_of
from gateway.errors import GatewayError
from tests.bench.synthetic import run_of, subject


def test_a_result_comes_back_from_its_file_as_it_was(tmp_path):
    run = run_of(subject(figures={"orders_per_s": 1.5}, stages={"dequeue": [1.0, 2.0]}), subject("floor", "floor"))
    write_result(run, tmp_path / "run.json")
    assert read_result(tmp_path / "run.json") == run


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "not JSON"),
        (b"{", "not JSON"),
        (b"[]", "not a result"),
        (b'{"benchmarks": []}', "not a result"),
        (b'{"format": "fix-gateway-bench", "version": 9}', "version 9"),
        (b'{"format": "fix-gateway-bench", "version": 1}', "missing"),
    ],
)
def test_a_file_that_is_no_result_is_named_with_what_is_wrong(tmp_path, content, says):
    path = tmp_path / "other.json"
    path.write_bytes(content)
    with pytest.raises(GatewayError, match=says) as error:
        read_result(path)
    assert str(path) in str(error.value)


def test_a_damaged_histogram_is_an_error_with_its_place(tmp_path):
    data = run_of(subject(rounds=1)).model_dump(mode="json")
    data["scenarios"][0]["subjects"][0]["rounds"][0]["series"]["order to broker"]["counts"][0] = -5
    (tmp_path / "run.json").write_bytes(orjson.dumps(data))
    with pytest.raises(GatewayError, match=r"scenarios\[0\]\.subjects\[0\]\.rounds\[0\]"):
        read_result(tmp_path / "run.json")


def test_a_file_that_is_not_there_and_one_that_cannot_be_written_are_errors(tmp_path):
    with pytest.raises(GatewayError, match="No such file"):
        read_result(tmp_path / "none.json")
    with pytest.raises(GatewayError, match="No such file"):
        write_result(run_of(), tmp_path / "none" / "run.json")


def test_the_report_has_a_plot_of_each_kind_and_the_host(tmp_path):
    pytest.importorskip("matplotlib")
    stages = {"dequeue": [100.0, 200.0, 300.0], "sent": [1000.0, 2000.0]}
    run = run_of(subject(stages=stages), subject("floor", "floor", median=5_000))
    write_report(run, tmp_path / "report", run_of(subject(median=20_000)))
    page = (tmp_path / "report" / "report.html").read_text()
    assert page.count("<svg") == 3
    for text in ("wire.tcp.sync.poll", "a processor", "performance", "percentile", "dequeue", "faster", "2.0"):
        assert text in page
    assert read_result(tmp_path / "report" / "report.json") == run


def test_what_takes_milliseconds_is_told_in_them_and_a_figure_with_its_unit(tmp_path):
    pytest.importorskip("matplotlib")
    run = run_of(subject(median=5e7, rounds=1, figures={"node_a_full_mib": 624.0}), scenario="memory.node")
    write_report(run, tmp_path)
    page = (tmp_path / "report.html").read_text()
    for text in ("<th>ms</th>", "<td>node a full</td>", "<td>624.0</td>", "<td>MiB</td>"):
        assert text in page


@pytest.mark.parametrize(("median", "unit"), [(300.0, "ns"), (60_000.0, "us"), (5e6, "ms")])
def test_latencies_are_told_in_the_unit_that_fits_the_quickest_subject(median, unit):
    run = run_of(subject(median=median), subject("floor", "floor", median=10 * median))
    assert unit_of(run.scenarios[0])[0] == unit


def test_without_matplotlib_the_report_says_how_to_get_it(tmp_path, monkeypatch):
    monkeypatch.setattr(report, "find_spec", lambda name: None)
    with pytest.raises(GatewayError, match="pip install matplotlib"):
        write_report(run_of(subject()), tmp_path)


def test_what_a_file_says_is_text_in_the_page_and_no_markup(tmp_path):
    pytest.importorskip("matplotlib")
    write_report(run_of(subject("<script>x</script>")), tmp_path)
    assert "<script>" not in (tmp_path / "report.html").read_text()
