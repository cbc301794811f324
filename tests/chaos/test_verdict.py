from gateway.audit.audit import AuditResult, Finding, audit
from gateway.audit.evidence import BrokerEvidence, BrokerOrder, ClientEvidence, ClientOrder, Evidence, merge_clients
from gateway.chaos.campaign import forgive_window
from gateway.chaos.plan import Kind, plan_round
from gateway.chaos.verdict import RoundResult, Summary, percentiles

PLAN = plan_round(1, 0, frozenset({Kind.KILL}))


def audited(**counts: int) -> RoundResult:
    findings = [Finding(name.replace("_", " "), "", ["x"] * count, count) for name, count in counts.items()]
    result = RoundResult(PLAN, "native file sync", healed_s=0.5)
    result.count(AuditResult(1, 1, 0, 1, 1, 1, findings))
    return result


def test_findings_are_counted_as_what_they_mean() -> None:
    result = audited(processed_twice=2, executions_doubled=1, lost=3, unanswered=1, journals_differ=4)
    assert (result.duplicates, result.losses, result.other) == (3, 4, 4)
    assert not result.passed


def test_a_round_without_findings_passes() -> None:
    assert audited(processed_twice=0, lost=0).passed


def test_any_finding_fails_a_round() -> None:
    assert not audited(executions_out_of_order=1).passed


def test_a_summary_adds_up() -> None:
    summary = Summary()
    summary.add(audited(lost=1))
    summary.add(audited())
    unhealed = RoundResult(PLAN, "", orders=7, takeovers=2, takeover_ms=[5.0], problem="waited in vain")
    summary.add(unhealed)
    values = summary.as_dict()
    assert (values["rounds"], values["failed"], values["unhealed"], values["losses"]) == (3, 2, 1, 1)
    assert (values["orders"], values["takeovers"], values["takeover_ms"]["p50"]) == (7, 2, 5.0)
    assert values["faults"] == {Kind.KILL: 3 * len(PLAN.faults)}


def test_percentiles_of_nothing_are_none() -> None:
    assert percentiles([]) == {}
    assert percentiles([1.0, 2.0, 3.0]) == {"p50": 2.0, "p90": 2.8, "p99": 2.98, "max": 3.0}


def test_only_what_the_successor_never_had_may_be_lost() -> None:
    orders = {name: ClientOrder(name, 0, "accepted") for name in ("window", "elsewhere", "processed")}
    evidence = Evidence(ClientEvidence(orders), BrokerEvidence([BrokerOrder("processed", 2, 0)]), {})
    assert forgive_window(evidence, {"window", "processed"}) == 1
    lost = next(finding for finding in audit(evidence).findings if finding.name == "lost")
    assert lost.examples == ["elsewhere"]


def test_each_client_has_an_order_of_its_own() -> None:
    clients = [ClientEvidence(exec_ids=["E1", "E4"]), ClientEvidence(exec_ids=["E2", "E3"])]
    evidence = Evidence(merge_clients(clients), BrokerEvidence(exec_ids=["E1", "E2", "E3", "E4"]), {})
    findings = {finding.name: finding.count for finding in audit(evidence).findings}
    assert findings["executions out of order"] == findings["executions missed"] == 0
    clients[1].exec_ids.reverse()
    findings = {finding.name: finding.count for finding in audit(evidence).findings}
    assert findings["executions out of order"] == 1
