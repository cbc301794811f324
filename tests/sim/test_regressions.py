"""Scenarios in which the simulator once found a mistake in the gateway, shrunk. Each says what it was."""

from __future__ import annotations

import pytest

from gateway.sim.outcome import run_scenario
from gateway.sim.replay import from_text

FOUND = {
    "a ResendRequest that got no answer was never sent again: the session stayed in recovery for ever": (
        '{"seed":513,"options":{"sessions":1,"clients":2,"durability":0,"refuses_second":false,"watch":true,'
        '"order_every_ns":30000000,"flush_every_ns":200000000,"faults_end_ns":428958120,'
        '"resend_max_age_ns":30000000},"faults":[[9958120,"broker_deaf",0,46000000,0,""],[40586212,"kill",0,'
        '9170151,0,""]]}'
    ),
    "a log that lost everything to a power failure did not skip ahead, because it stood at MsgSeqNum 1": (
        '{"seed":1272,"options":{"sessions":2,"clients":1,"durability":1,"refuses_second":true,"watch":true,'
        '"order_every_ns":10000000,"flush_every_ns":5000000,"faults_end_ns":338344410,'
        '"resend_max_age_ns":60000000000},"faults":[[4344410,"power",0,8000000,0,""]]}'
    ),
    "after a clock was set back, resends had a SendingTime before their OrigSendingTime and were rejected": (
        '{"seed":3133,"options":{"sessions":1,"clients":1,"durability":0,"refuses_second":true,"watch":false,'
        '"order_every_ns":30000000,"flush_every_ns":200000000,"faults_end_ns":405327918,'
        '"resend_max_age_ns":60000000000},"faults":[[120964973,"wall_jump",0,6323021,909774,""],[289467469,'
        '"broker_asks_all",1,8000000,0,""]]}'
    ),
    "a switchover to an epoch claimed in vain before was taken for the claim; two takeovers skipped to one number": (
        '{"seed":626,"options":{"sessions":1,"clients":2,"durability":1,"refuses_second":true,"watch":true,'
        '"order_every_ns":30000000,"flush_every_ns":5000000,"faults_end_ns":700000000,'
        '"resend_max_age_ns":60000000000,"sync":false},"faults":[[200481480,"tripwire",1,5000000,0,""],[352480155,'
        '"cut_path",2,132000000,2,""],[370883410,"switchover",0,5143721,0,""]]}'
    ),
    "a standby's new life that showed first on the tripwire went on as the old one, whose acknowledgements counted": (
        '{"seed":263,"options":{"sessions":1,"clients":3,"durability":2,"refuses_second":false,"watch":true,'
        '"order_every_ns":30000000,"flush_every_ns":1000000,"faults_end_ns":700000000,'
        '"resend_max_age_ns":60000000000},"faults":[[359537000,"bad_paths",0,271558000,0,""],[454551000,"solo",0,'
        '108391000,0,""]]}'
    ),
    "a superseded primary of an async session sends on until it hears of it, as designed; no order is lost": (
        '{"seed":51805,"options":{"sessions":1,"clients":1,"durability":1,"refuses_second":true,"watch":true,'
        '"order_every_ns":10000000,"flush_every_ns":5000000,"faults_end_ns":371900260,"resend_max_age_ns":30000000,'
        '"sync":false},"faults":[[7900260,"cut_clients",1,314000000,2,""],[179103432,"isolate",0,57305315,0,""]]}'
    ),
    "while an async session was handed over, what had no acknowledgement yet still left: its number was used again": (
        '{"seed":1015729,"options":{"sessions":1,"clients":2,"durability":1,"refuses_second":true,"watch":true,'
        '"order_every_ns":5000000,"flush_every_ns":1000000,"faults_end_ns":495792891,"resend_max_age_ns":30000000,'
        '"sync":false},"faults":[[218762125,"switchover",0,7000000,0,"session logon sent"],[378792891,'
        '"broker_drop",0,8000000,0,""]]}'
    ),
    "an async session whose first Logon was lost with the power did not skip ahead of it": (
        '{"seed":1015802,"options":{"sessions":1,"clients":2,"durability":2,"refuses_second":false,"watch":true,'
        '"order_every_ns":60000000,"flush_every_ns":1000000,"faults_end_ns":54940543,'
        '"resend_max_age_ns":60000000000,"sync":false},"faults":[[3500463,"power",0,1440080,0,""]]}'
    ),
    "a JOIN that was delayed on the way undid a later one: the standby followed, and its primary did not know": (
        '{"seed":21075,"options":{"sessions":1,"clients":1,"durability":1,"refuses_second":false,"watch":true,'
        '"order_every_ns":2000000,"flush_every_ns":5000000,"faults_end_ns":502751433,"resend_max_age_ns":30000000},'
        '"faults":[[14404783,"pause",1,44685659,0,""],[21751433,"switchover",0,6000000,0,""],[52545311,"kill",1,'
        '8000000,0,"session disconnected"],[44938585,"slow_paths",0,174000000,0,"session recovering"]]}'
    ),
    "durability every: a standby was declared in sync by what it had received, not by what was on its disk": (
        '{"seed":25654,"options":{"sessions":1,"clients":2,"durability":2,"refuses_second":false,"watch":false,'
        '"order_every_ns":5000000,"flush_every_ns":5000000,"faults_end_ns":700000000,'
        '"resend_max_age_ns":60000000000,"sync":false},"faults":[[11967000,"power",1,1159989000,0,""]]}'
    ),
    "a standby that lost power came back before its peer, itself held up, had taken over: the tail is forgotten": (
        '{"seed":3785,"options":{"sessions":1,"clients":2,"durability":1,"refuses_second":false,"watch":true,'
        '"order_every_ns":1000000,"flush_every_ns":5000000,"faults_end_ns":1000000000,'
        '"resend_max_age_ns":60000000000},"faults":[[26179000,"power",0,5984000,0,""],[67313000,"pause",1,'
        '355529000,0,""]]}'
    ),
    "what a resend had gap-filled was not in the log: after another takeover a client was not told of its order": (
        '{"seed":10024978,"options":{"sessions":1,"clients":2,"durability":1,"refuses_second":false,"watch":false,'
        '"order_every_ns":10000000,"flush_every_ns":1000000,"faults_end_ns":700000000,'
        '"resend_max_age_ns":60000000000},"faults":[[1512746,"bad_paths",1,301237062,0,""],[4613660,"wall_jump",0,'
        '250208653,947651,""],[170165087,"pause",0,61291529,0,""],[76887737,"client_crash",1,365591527,0,'
        '"session logon sent"],[313698266,"kill",1,40877278,0,"joining"],[483697235,"cut_path",3,773469288,2,""]]}'
    ),
    "a standby that lost its log was declared in sync again before it had caught up, while the register was away": (
        '{"seed":20005626,"options":{"sessions":1,"clients":3,"durability":0,"refuses_second":true,"watch":true,'
        '"order_every_ns":2000000,"flush_every_ns":200000000,"faults_end_ns":700000000,'
        '"resend_max_age_ns":1000000},"faults":[[270443892,"cut_register",0,25000000,3,""],[275443892,"bit_flip",1,'
        '15000000,0,""],[305463112,"isolate",0,179000000,0,""]]}'
    ),
    "a new primary of an async session had no space to log that it skips ahead, and went on without": (
        '{"seed":20001881,"options":{"sessions":1,"clients":2,"durability":0,"refuses_second":false,"watch":true,'
        '"order_every_ns":5000000,"flush_every_ns":200000000,"faults_end_ns":513483194,"resend_max_age_ns":1000000,'
        '"sync":false},"faults":[[129856398,"disk_full",1,320000000,0,""],[428483194,"kill",0,8000000,18,""]]}'
    ),
    "durability every: a damaged record at the end of what was on disk was cut off, and its number given again": (
        '{"seed":2578,"options":{"sessions":1,"clients":2,"durability":2,"refuses_second":false,"watch":true,'
        '"order_every_ns":60000000,"flush_every_ns":5000000,"faults_end_ns":358916588,'
        '"resend_max_age_ns":60000000000},"faults":[[11917000,"bit_flip",0,9000000,0,""]]}'
    ),
    "a standby that was in sync was not known to be, and did not take over from a primary that had lost its log": (
        '{"seed":30502748,"options":{"sessions":1,"clients":1,"durability":2,"refuses_second":false,"watch":true,'
        '"order_every_ns":60000000,"flush_every_ns":1000000,"faults_end_ns":424785255,'
        '"resend_max_age_ns":30000000},"faults":[[22669,"cut_register",1,5000000,2,""],[23702120,"bit_flip",0,'
        '1989666,0,""]]}'
    ),
    "a standby that came back without its log was declared in sync by what its former life had to catch up with": (
        '{"seed":2,"options":{"sessions":1,"clients":2,"durability":1,"refuses_second":true,"watch":true,"ord'
        'er_every_ns":2000000,"flush_every_ns":5000000,"faults_end_ns":700000000,"resend_max_age_ns":1000000}'
        ',"faults":[[21082190,"register_down",1,726000000,0,""],[510222634,"bit_flip",1,263896636,0,""]]}'
    ),
    "an async order that was under way to a while b was primary, and b sent it, was sent by a once more": (
        '{"seed":0,"options":{"sessions":1,"clients":1,"durability":1,"refuses_second":true,"watch":false,"or'
        'der_every_ns":30000000,"flush_every_ns":1000000,"faults_end_ns":700000000,"resend_max_age_ns":600000'
        '00000,"sync":false},"faults":[[345421195,"cut_clients",0,196000000,3,""],[424495575,"cut_path",2,689'
        '56554,2,"joining"],[441191870,"switchover",0,1695364,0,""]]}'
    ),
    "a pair whose hosts both lost power before its first start waited for ever to become one": (
        '{"seed":60361384,"options":{"sessions":1,"clients":1,"durability":1,"refuses_second":true,"watch":tr'
        'ue,"order_every_ns":60000000,"flush_every_ns":1000000,"faults_end_ns":64705734,"resend_max_age_ns":6'
        '0000000000},"faults":[[246583,"power",1,7000000,0,""],[386887,"power",0,4877113,0,"session no primar'
        'y"]]}'
    ),
    "a node that an operator made primary and that died before its log knew came back without skipping ahead": (
        '{"seed":0,"options":{"sessions":1,"clients":1,"durability":1,"refuses_second":false,"watch":true,"or'
        'der_every_ns":10000000,"flush_every_ns":5000000,"faults_end_ns":700000000,"resend_max_age_ns":600000'
        '00000},"faults":[[14454335,"kill",0,264000000,22,""],[35477210,"disk_full",1,862668276,0,"session no'
        ' primary"],[197181957,"act_alone",1,5000000,0,""],[491104629,"kill",1,1065274,0,""]]}'
    ),
    "a question about an order in doubt became gap fill and was never asked again": (
        '{"seed":0,"options":{"sessions":1,"clients":1,"durability":1,"refuses_second":true,"watch":true,"ord'
        'er_every_ns":60000000,"flush_every_ns":5000000,"faults_end_ns":700000000,"resend_max_age_ns":1000000'
        '},"faults":[[14909269,"power",0,32000000,0,""],[191760064,"broker_deaf",1,2257741,0,""],[436450079,"'
        'drift",0,0,1313385,""]]}'
    ),
    "a log that lost a start-over with the power started over again without skipping ahead": (
        '{"seed":90379731,"options":{"sessions":1,"clients":3,"durability":0,"refuses_second":true,"watch":tr'
        'ue,"order_every_ns":2000000,"flush_every_ns":200000000,"faults_end_ns":396535773,"resend_max_age_ns"'
        ':30000000},"faults":[[27087546,"day_change",0,7000000,0,""],[52265920,"power",0,8000000,0,""],[21535'
        '773,"kill",1,20000000,57,"session logon sent"]]}'
    ),
    "a standby with a new log was declared in sync and lost its primary before it knew that its log was whole": (
        '{"seed":95496443,"options":{"sessions":1,"clients":3,"durability":1,"refuses_second":true,"watch":fa'
        'lse,"order_every_ns":2000000,"flush_every_ns":1000000,"faults_end_ns":494746527,"resend_max_age_ns":'
        '60000000000},"faults":[[1173162,"power",0,380457810,0,""],[413402553,"bit_flip",1,7000000,0,""]]}'
    ),
}


@pytest.mark.parametrize("replay", FOUND.values(), ids=FOUND.keys())
def test_it_does_not_come_back(replay: str) -> None:
    outcome = run_scenario(from_text(replay))
    assert not outcome.broken, outcome.verdict
