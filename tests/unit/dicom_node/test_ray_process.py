"""The pipe to the process that speaks Ray, with one at its end that speaks none."""

import os
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from dicom_node import ray_process
from dicom_node.domain.cluster import ClusterError, Offer
from dicom_node.ray_process import RayProcess

OFFER = Offer({("unet", "d"): 1})
PICTURES = np.ones((1, 1, 2, 2), np.float32)


def scripted(connection, address, _timeout_s):
    """In place of the process: answers in the reverse order of each two requests; a digest may ask for worse."""
    if address == "nobody":
        connection.send("no Ray cluster answers at nobody")
        return
    connection.send(OFFER)
    kept = []
    while True:
        number, digest, pictures = connection.recv()
        if digest == "die":
            os._exit(1)
        if digest == "refuse":
            connection.send((number, ClusterError("no answer within 1 s")))
        elif digest != "hang":
            kept.append((number, pictures * float(digest)))
        if len(kept) == 2:
            for answer in reversed(kept):
                connection.send(answer)
            kept.clear()


@pytest.fixture
def process(monkeypatch):
    """A function that starts one."""
    monkeypatch.setattr(ray_process, "_main", scripted)
    started = []

    def start(address="there", timeout_s=30.0):
        started.append(RayProcess(address, timeout_s))
        return started[-1]

    yield start
    for each in started:
        each.stop()


def test_an_offer_comes_and_each_request_gets_its_own_answer(process):
    """Whatever order the answers come in."""
    connection = process()
    assert connection.offer(30) == OFFER
    assert not connection.is_connecting
    with ThreadPoolExecutor(2) as threads:
        two, three = threads.map(lambda factor: connection.ask(factor, PICTURES), ["2", "3"])
    assert (two.max(), three.max()) == (2, 3)
    with pytest.raises(ClusterError, match="within 1 s"):
        connection.ask("refuse", PICTURES)


def test_where_there_is_no_cluster_its_reason_is_told(process):
    """And a request after that is no offer either."""
    connection = process("nobody")
    with pytest.raises(ClusterError, match="no Ray cluster answers at nobody"):
        connection.offer(30)
    with pytest.raises(ClusterError, match="no Ray cluster answers at nobody"):
        connection.ask("2", PICTURES)


def test_whoever_waits_is_told_when_the_process_dies(process):
    """At once, not when its time is over."""
    connection = process()
    connection.offer(30)
    with ThreadPoolExecutor(2) as threads:
        waiting = threads.submit(connection.ask, "2", PICTURES)
        with pytest.raises(ClusterError, match="its cluster is gone"):
            connection.ask("die", PICTURES)
        with pytest.raises(ClusterError, match="its cluster is gone"):
            waiting.result(10)
    with pytest.raises(ClusterError, match="its cluster is gone"):
        connection.ask("2", PICTURES)


def test_a_process_that_hangs_is_not_waited_for(process, monkeypatch):
    """Beyond the time that it has, and a little."""
    monkeypatch.setattr(ray_process, "_HUNG_AFTER_S", 0.1)
    connection = process(timeout_s=0.1)
    connection.offer(30)
    with pytest.raises(ClusterError, match="hangs"):
        connection.ask("hang", PICTURES)


def test_an_offer_that_is_not_in_yet_is_told(process):
    """Without waiting for it."""
    connection = process()
    if connection.is_connecting:
        with pytest.raises(ClusterError, match="in time"):
            connection.offer(0)
    assert connection.offer(30) == OFFER


def test_without_ray_the_remedy_is_told(monkeypatch):
    """And nothing is imported."""
    sent = []

    class Pipe:
        def send(self, message):
            sent.append(message)

    monkeypatch.setattr(ray_process.importlib.util, "find_spec", lambda _name: None)
    monkeypatch.setattr(ray_process.signal, "signal", lambda *_: None)
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)
    monkeypatch.setattr(threading, "excepthook", threading.excepthook)
    ray_process._main(Pipe(), "auto", 1.0)
    assert "pip install" in sent[0]
