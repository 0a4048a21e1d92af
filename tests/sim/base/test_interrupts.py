"""Ctrl-C waits where it would lose what is done, and children can be kept from hearing it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

from sim.base.interrupts import children_ignore_sigint, deferred_sigint


def test_ctrl_c_waits_where_it_is_deferred_and_ends_what_it_may() -> None:
    seen = []
    with deferred_sigint() as outer:
        os.kill(os.getpid(), signal.SIGINT)
        assert outer.came
        with deferred_sigint() as inner:
            try:
                with inner.let_through():
                    os.kill(os.getpid(), signal.SIGINT)
                    time.sleep(1)
            except KeyboardInterrupt:
                seen.append("let through")
            os.kill(os.getpid(), signal.SIGINT)
        assert inner.came
    assert seen == ["let through"]


def test_children_go_on_ignoring_ctrl_c() -> None:
    wait = [sys.executable, "-c", "input(); print('still here')"]
    with children_ignore_sigint():
        child = subprocess.Popen(
            wait, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True
        )
    os.killpg(child.pid, signal.SIGINT)
    assert child.communicate("\n", timeout=60)[0] == "still here\n"
