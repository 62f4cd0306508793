# SPDX-License-Identifier: GPL-3.0-or-later
"""The checker must catch what it is there for: each planted fault is found, and a clean history passes."""
from types import SimpleNamespace

import pytest

from checker import Checker, Copy, Damage, Journal, check_counters, check_damage
from world import RecordingSink

GOOD = ["T a sa bob@x\n", "O a\n", "T b sb bob@x,carol@x\n", "O b\n", "T c sc bob@x\n", "F c 550\n",
        "T d sd bob@x\n", "U d\n", "T e se perm@x\n", "O e\n", "T f sf bob@x\n"]


def clean():
    return [Copy("a", "bob@x", "sa", 1.0, True), Copy("b", "bob@x", "sb", 1.1, True),
            Copy("b", "carol@x", "sb", 1.1, True), Copy("e", "perm@x", "", 1.2, True, True)]


def violations(lines=GOOD, copies=None, crashes=(), window=1.0, damaged=()):
    return Checker(Journal.read(lines), clean() if copies is None else copies, crashes, window, damaged).run()


def test_a_clean_history_passes():
    assert violations() == []


def test_an_unknown_outcome_may_arrive_or_not():
    assert violations(copies=clean() + [Copy("d", "bob@x", "sd", 2.0, True)]) == []
    assert violations(copies=clean() + [Copy("f", "bob@x", "sf", 2.0, True)]) == []


@pytest.mark.parametrize("lost", range(4))
def test_a_loss_is_caught(lost):
    copies = clean()
    gone = copies.pop(lost)
    found = violations(copies=copies)
    assert len(found) == 1 and f"{gone.id}: lost for {gone.rcpt}" in found[0]


def test_a_copy_after_a_refusal_is_caught():
    found = violations(copies=clean() + [Copy("c", "bob@x", "sc", 2.0, True)])
    assert len(found) == 1 and "c: refused with 550" in found[0]


def test_a_report_after_a_refusal_is_caught():
    assert violations(copies=clean() + [Copy("c", "bob@x", "", 2.0, True, True)])


@pytest.mark.parametrize("first,crashes,caught", [
    (Copy("a", "bob@x", "sa", 1.0, True), [], True),
    (Copy("a", "bob@x", "sa", 1.0, True), [0.9], True),     # the crash came before it
    (Copy("a", "bob@x", "sa", 1.0, True), [2.5], True),     # long after it
    (Copy("a", "bob@x", "sa", 1.0, True), [1.3], False),    # its result may not have been durable
    (Copy("a", "bob@x", "sa", 1.0, False), [], False),      # the peer never got our 250
])
def test_duplicates_only_where_the_outcome_was_unknown(first, crashes, caught):
    copies = clean()[1:] + [first, Copy("a", "bob@x", "sa", 3.0, True)]
    found = violations(copies=copies, crashes=crashes)
    assert bool(found) == caught, found


def test_three_copies_need_two_reasons():
    copies = clean() + [Copy("a", "bob@x", "sa", 1.9, True), Copy("a", "bob@x", "sa", 5.0, True)]
    assert len(violations(copies=copies, crashes=[1.2])) == 1
    assert violations(copies=copies, crashes=[1.2, 2.0]) == []


def test_duplicate_reports_are_caught():
    found = violations(copies=clean() + [Copy("e", "perm@x", "", 9.0, True, True)])
    assert len(found) == 1 and "two reports" in found[0]


def test_a_mix_up_of_bodies_is_caught():
    copies = clean()
    copies[0] = copies[0]._replace(sha="sb")
    found = violations(copies=copies)
    assert len(found) == 1 and "content" in found[0]


def test_a_stranger_is_caught():
    assert "nobody sent it" in violations(copies=clean() + [Copy("z", "bob@x", "sz", 1.0, True)])[0]
    assert "never named" in violations(copies=clean() + [Copy("a", "eve@x", "sa", 1.0, True)])[0]


def test_a_copy_for_a_refused_recipient_and_a_false_report_are_caught():
    assert any("refused by the far end" in v for v in violations(copies=clean() + [Copy("e", "perm@x", "se", 1.0, True)]))
    assert any("nobody refused" in v for v in violations(copies=clean() + [Copy("a", "bob@x", "", 1.0, True, True)]))


FAILED_REPORT = Copy("a", "bob@x", "", 1.0, True, True)
AGAIN = Copy("a", "bob@x", "sa", 9.0, True)


@pytest.mark.parametrize("copies", [clean()[1:], clean()[1:] + [FAILED_REPORT], clean() + [AGAIN]],
                         ids=["missing", "reported", "again"])
def test_what_was_damaged_may_be_missing_or_come_again(copies):
    assert violations(copies=copies, damaged=["a"]) == []
    assert violations(copies=copies, damaged=["b"]), "it was another one that was damaged"


def test_damage_excuses_nothing_else():
    wrong = clean()[0]._replace(sha="sb")
    assert "content" in violations(copies=clean()[1:] + [wrong], damaged=["a"])[0]
    assert "never named" in violations(copies=clean() + [AGAIN._replace(rcpt="eve@x")], damaged=["a"])[0]
    assert "refused with 550" in violations(copies=clean() + [Copy("c", "bob@x", "sc", 2.0, True)], damaged=["c"])[0]
    assert "refused by the far end" in violations(copies=clean() + [Copy("e", "perm@x", "se", 1.0, True)],
                                                  damaged=["e"])[0]


def test_damage_in_silence_is_caught_and_so_is_a_false_alarm():
    done = [Damage("seg-1", 4096, 4200), Damage("seg-1", 8192, 8300), Damage("seg-2", 4096, 4100)]
    assert check_damage(done, done) == []
    assert check_damage(done, [Damage("seg-1", 4096, 8300), done[2]]) == [], "neighbours are one report"
    assert ["seg-1" in v and "silence" in v for v in check_damage(done, done[1:])] == [True]
    assert ["nobody" in v for v in check_damage(done[:2], done)] == [True]


def test_a_journal_with_two_outcomes_is_an_error():
    with pytest.raises(ValueError):
        Journal.read(["T a s bob@x\n", "O a\n", "F a 550\n"])
    with pytest.raises(ValueError):
        Journal.read(["T a s bob@x\n", "T a s bob@x\n"])


def test_a_torn_last_line_says_nothing():
    journal = Journal.read(["T a s bob@x\n", "O a"])
    assert journal.count("U") == 1


def test_the_sum_of_the_counters():
    good = {"accepted": 10, "delivered": 5, "bounced": 1, "expired": 1, "cancelled": 0, "queued": 3}
    assert check_counters(good) == []
    for key in good:
        assert check_counters({**good, key: good[key] + 1})


def test_what_was_answered_to_a_dead_client_was_not_answered():
    """A busy sink reads and answers after the kill -9 what had come before it."""
    sink = RecordingSink(1)
    alive, dead = object(), object()
    sink.died[dead] = 10.0
    for session, done_at in [(alive, 11.0), (dead, 9.9), (dead, 10.1)]:
        tx = SimpleNamespace(session=session, reply=b"250 ok", accepted=True, done_at=done_at, rcpts=["bob@x"])
        sink.records.append((tx, "sha", done_at, None, "id"))
    assert [c.answered for c in sink.copies()] == [True, True, False]
