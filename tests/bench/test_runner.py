"""Rounds are interleaved, and whoever cannot be measured is named."""

import contextlib
from dataclasses import replace

import numpy as np

from gateway.bench import runner
from gateway.bench.scenario import Calls, Round, Scenario, Subject


class Recorder:
    """Instruments that write down what happened to them."""

    def __init__(self):
        self.events = []

    def subject(self, name, *, fails=None, needs=None):
        @contextlib.contextmanager
        def opened(setting):
            setting.directory.rmdir()  # it is there, and empty
            yield self.instrument(name, fails)
            self.events.append(("closed", name))

        return Subject(name, "gateway", opened, needs=needs)

    def instrument(self, name, fails):
        recorder = self

        class Instrument(Calls):
            def sleep(self):
                recorder.events.append(("sleep", name))

            def wake(self):
                recorder.events.append(("wake", name))

        def measure():
            recorder.events.append(("measure", name))
            if fails is not None:
                raise fails
            return Round({"x": np.array([1.0, 2.0])})

        return Instrument(measure)


def run(tmp_path, *subjects, rounds=3):
    scenario = Scenario("some.thing", "a thing", tuple(subjects), 10, 1)
    options = runner.Options(tmp_path, rounds=rounds, quick=True)
    return runner.run([scenario], options, lambda text: None).scenarios[0]


def test_every_round_measures_all_in_an_order_that_rotates(tmp_path):
    recorder = Recorder()
    run(tmp_path, *(recorder.subject(name) for name in "abc"))
    measured = "".join(name for event, name in recorder.events if event == "measure")
    assert measured == "abc" + "bca" + "cab" + "abc"  # the first is the warm-up


def test_the_warm_up_is_not_in_the_result(tmp_path):
    result = run(tmp_path, Recorder().subject("a"), rounds=4)
    assert len(result.subjects[0].rounds) == 4
    assert result.subjects[0].pooled("x").count == 8


def test_whoever_is_not_measured_sleeps(tmp_path):
    recorder = Recorder()
    run(tmp_path, *(recorder.subject(name) for name in "ab"))
    awake = set()
    for event, name in recorder.events:
        if event == "wake":
            awake.add(name)
        elif event == "sleep":
            awake.discard(name)
        elif event == "measure":
            assert awake == {name}
    assert recorder.events[-2:] == [("closed", "b"), ("closed", "a")]


def test_a_package_that_is_not_there_is_named_with_the_remedy(tmp_path):
    result = run(tmp_path, Recorder().subject("a"), Recorder().subject("peer", needs="no_such_package_anywhere"))
    assert [subject.subject for subject in result.subjects] == ["a"]
    assert result.missing[0].subject == "peer"
    assert "pip install no_such_package_anywhere" in result.missing[0].why


def test_an_obstacle_of_the_host_is_named_and_nothing_is_opened(tmp_path):
    recorder = Recorder()
    hindered = replace(recorder.subject("b"), obstacle=lambda: "only root can")
    free = replace(recorder.subject("a"), obstacle=lambda: "")
    result = run(tmp_path, free, hindered)
    assert [subject.subject for subject in result.subjects] == ["a"]
    assert [(one.subject, one.why) for one in result.missing] == [("b", "only root can")]
    assert not any(name == "b" for _, name in recorder.events)


def test_one_that_fails_is_named_and_the_others_go_on(tmp_path):
    recorder = Recorder()
    result = run(tmp_path, recorder.subject("a", fails=RuntimeError("lost")), recorder.subject("b"))
    assert [subject.subject for subject in result.subjects] == ["b"]
    assert [(one.subject, one.why) for one in result.missing] == [("a", "failed: lost")]
    assert len(result.subjects[0].rounds) == 3
