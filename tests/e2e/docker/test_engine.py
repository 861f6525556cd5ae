# SPDX-License-Identifier: Apache-2.0
"""What the tests of Docker stand on, tried without the gate: the engine does what it is told, the origin
keeps its promises, the load counts right. With `pytest -s` they tell in which order and how long after one
another things happen."""
import os
import pathlib
import signal
import socket
import subprocess
import sys
import threading
import time

import pytest

from engine import Container, Engine, EngineError, Events
from harness import until
from load import Load


def tell(what, start_us, **moments):
    """What happened when, in ms after a start; for who wants to know."""
    parts = (f"{name} {(us - start_us) / 1000:+.1f}" for name, us in
             sorted(moments.items(), key=lambda m: m[1]))
    print(f"\n  {what}: {', '.join(parts)} ms", end="")


def now_us():
    return time.time_ns() // 1000


def running(engine, count, **config):
    """That many replicas, which answer."""
    containers = [engine.run(f"web-{i + 1}", **config) for i in range(count)]
    until(lambda: all(c.answers() for c in containers), "answers")
    return containers


# ---- the origin and the load ----

def test_origin_writes_down_what_it_had(engine):
    """Twice the same number is twice in the records: so a test can see duplicates."""
    [web] = running(engine, 1)
    assert web.request("/a", number=7) == (200, "GET /a 7 0 web-1\n")
    assert web.request("/b", "POST", number=8)[0] == 200
    assert web.request("/b", "POST", number=8)[0] == 200
    assert web.requests() == [(7, "GET", "/a", 0), (8, "POST", "/b", 0), (8, "POST", "/b", 0)]
    with Load(engine, (web.address, 8000)) as load:
        pass
    assert load.doubles([web]) == {8: ["web-1", "web-1"]}


def test_load_counts_what_it_sent(engine):
    """Some thousand a second, GET and POST; each right answer has its record, once."""
    [web] = running(engine, 1)
    with Load(engine, (web.address, 8000), rate=3000) as load:
        load.progress(4000, by=[web])
    assert not load.failures() and not load.doubles([web]) and not load.lost([web])
    methods = {r[1] for r in web.requests()}
    assert methods == {"GET", "POST"} and len(web.requests()) == len(load.results)
    seconds = (load.results[-1].done_us - load.results[0].sent_us) / 1e6
    print(f"\n  {len(load.results) / seconds:.0f} requests a second", end="")


def test_load_sees_a_kill(engine):
    """Without a gate a SIGKILL costs requests, and they are told from right answers."""
    [web] = running(engine, 1)
    with Load(engine, (web.address, 8000), connections=4) as load:
        load.progress(500)
        web.kill()
        until(lambda: any(r.word == "refused" for r in load.look()), "refusals")
    assert load.counts()["web-1"] >= 500 and load.failures() and not load.lost([web])


def test_origin_stops_politely(engine):
    """After SIGTERM: no connection more; those that are open get an answer and an end."""
    [web] = running(engine, 1)
    with socket.create_connection((web.address, 8000)) as kept:
        kept.settimeout(10)
        web.kill("TERM")
        until(lambda: web.when("term"), "SIGTERM")
        with pytest.raises(OSError):
            socket.create_connection((web.address, 8000), 5)
        kept.sendall(b"GET /last HTTP/1.1\r\nX-Request-Number: 9\r\n\r\n")
        assert b"Connection: close" in kept.recv(4096)
        assert kept.recv(1) == b""
    until(lambda: web.state == "exited", "its end")
    assert web.requests() == [(9, "GET", "/last", 0)]


@pytest.mark.parametrize("option, status", [("stop=rude", b""), ("stop=quick", b"HTTP/1.1 200")])
def test_origin_stops_otherwise(engine, option, status):
    """Rude: what runs gets no answer. Quick: it gets one, but who is idle is cut off."""
    web = engine.run("web-1", option)
    until(web.answers, "it")
    with socket.create_connection((web.address, 8000)) as idle, \
            socket.create_connection((web.address, 8000)) as busy:
        for one in idle, busy:
            one.settimeout(10)
        busy.sendall(b"GET /?ms=300 HTTP/1.1\r\n\r\n")
        read_all(web)
        web.kill("TERM")
        assert idle.recv(1) == b""
        assert busy.recv(4096).startswith(status)


def read_all(web):
    """Waits until the origin has read what was sent to it before: it has one thread, and takes
    one after the other."""
    assert web.request("/")[0] == 200


def test_origin_starts_late(engine):
    """Running is not listening."""
    with Events(engine) as events:
        web = engine.run("web-1", "after=1500")
        start = events.wait(web, "container start")
    assert web.state == "running" and not web.answers()
    until(web.answers, "it")
    assert web.when("listen") > start.us


# ---- containers ----

def test_scale(engine):
    """Ten replicas, each with an address; eight go, and theirs are free again."""
    began = now_us()
    webs = running(engine, 10)
    ten_us = now_us()
    assert len({w.address for w in webs}) == 10
    for w in webs[2:]:
        w.stop()
        w.remove()
    tell("1 -> 10 -> 2", began, ten=ten_us, two=now_us())
    listed = engine.api("GET", "/containers/json", filters={"label": ["com.docker.compose.service=web"]})
    assert sorted(c["Names"][0] for c in listed) == ["/web-1", "/web-2"]
    assert all(c["NetworkSettings"]["Networks"]["app"]["IPAddress"] for c in listed)


def test_kill_is_told_before_the_end(engine):
    """The order on which draining rests: `kill` comes while the origin still finishes what runs."""
    [web] = running(engine, 1)
    with Events(engine) as events, socket.create_connection((web.address, 8000)) as busy:
        busy.sendall(b"GET /?ms=500 HTTP/1.1\r\n\r\n")
        read_all(web)
        web.stop()
        kill, die = events.wait(web, "container kill"), events.wait(web, "container die")
        gone, stop = events.wait(web, "network disconnect"), events.wait(web, "container stop")
    assert kill.us < die.us and kill.seen_us < web.when("exit")
    assert kill.raw["Actor"]["Attributes"]["signal"] == "15"
    tell("stop", web.when("term"), term=web.when("term"), kill=kill.us, kill_seen=kill.seen_us,
         exit=web.when("exit"), die=die.us, disconnect=gone.us, stop=stop.us)


def test_start_is_told(engine):
    """Network `connect` comes before `start`; when is the address in the list?"""
    web = engine.create("web-1")
    with Events(engine) as events:
        web.start()
        connect, start = events.wait(web, "network connect"), events.wait(web, "container start")
        until(lambda: web.when("listen"), "it")
    assert connect.us < start.us and web.listed()["State"] == "running"
    tell("start", start.us, connect=connect.us, start=start.us, start_seen=start.seen_us,
         listen=web.when("listen"))


def test_list_lags_behind_die(engine):
    """After `die` the list may still say `running`: it must be asked again."""
    [web] = running(engine, 1)
    asked = []

    def ask():
        while not asked or asked[-1][1]:
            asked.append((now_us(), web.listed()))
    thread = threading.Thread(target=ask)
    with Events(engine) as events:
        thread.start()
        web.kill()
        killed_us, die = now_us(), events.wait(web, "container die")
        thread.join()
    tell("the list after die", die.us, seen=die.seen_us, kill_answered=killed_us,
         last_running=max(us for us, listed in asked if listed), gone=asked[-1][0])


def test_pause(engine):
    """A paused one takes connections, by its kernel, and says nothing."""
    [web] = running(engine, 1)
    with Events(engine) as events:
        web.pause()
        pause = events.wait(web, "container pause")
        assert web.listed()["State"] == "paused"
        tell("pause", pause.us, seen=pause.seen_us)
        with socket.create_connection((web.address, 8000)) as c:
            c.sendall(b"GET /p HTTP/1.1\r\nX-Request-Number: 5\r\n\r\n")
            c.settimeout(0.2)
            with pytest.raises(TimeoutError):
                c.recv(1)
            web.unpause()
            events.wait(web, "container unpause")
            c.settimeout(10)
            assert c.recv(4096).startswith(b"HTTP/1.1 200")
    assert web.requests() == [(5, "GET", "/p", 0)]


def test_health_turns(engine):
    """starting -> healthy -> unhealthy -> healthy, each told once, by the HEALTHCHECK's own probes."""
    with Events(engine) as events:
        web = engine.run("web-1", health=0.3)
        assert web.health == "starting"
        well = events.wait(web, "health_status: healthy")
        web.request("/sick", "POST")
        sick_us = now_us()
        sick = events.wait(web, "health_status: unhealthy")
        assert web.health == "unhealthy" and "(unhealthy)" in web.listed()["Status"]
        web.request("/well", "POST")
        again = events.wait(web, "health_status: healthy", count=2)
    tell("health", sick_us, healthy=well.us, unhealthy=sick.us, again=again.us)
    told = [e.action for e in events.of(web) if e.action.startswith("health")]
    assert told == ["health_status: healthy", "health_status: unhealthy", "health_status: healthy"]


def test_network_disconnect_and_connect(engine):
    """It runs on without an address, and gets one again, in the same network or in another."""
    [web] = running(engine, 1)
    engine.network("other")
    with Events(engine) as events:
        began = now_us()
        web.disconnect("app")
        gone = events.wait(web, "network disconnect")
        assert web.state == "running" and web.address == ""
        web.connect("app")
        back = events.wait(web, "network connect")
        until(web.answers, "it")
        web.connect("other")
        networks = web.listed()["NetworkSettings"]["Networks"]
    assert set(networks) == {"app", "other"}
    assert networks["app"]["IPAddress"] != networks["other"]["IPAddress"]
    count = sum(e.action == "disconnect" for e in events.of(web))
    tell(f"{count} disconnect", began, disconnect=gone.us, connect=back.us, both=now_us())


def test_addresses_are_reused(engine):
    """What a stopped one had, the next one gets; the stopped one comes back with another."""
    one, two = running(engine, 2)
    was = one.address
    one.stop()
    three = engine.run("web-3")
    assert three.address == was
    one.start()
    assert one.address not in (was, two.address, "")
    until(one.answers, "it")
    assert one.request("/")[1].endswith("web-1\n") and three.request("/")[1].endswith("web-3\n")


def test_restart_policy(engine):
    """`always`: the engine starts again what exits by itself."""
    [web] = running(engine, 1, restart="always")
    first = web.when("listen")
    with Events(engine) as events:
        os.kill(host_pid(web), signal.SIGTERM)
        events.wait(web, "container die")
        events.wait(web, "container start")
        until(lambda: web.when("listen") != first, "it to listen again")
    assert not [e for e in events.of(web) if e.action == "kill"]
    until(web.answers, "it")


def host_pid(container):
    """The process of a container, as we see it: its own PID namespace is two below ours."""
    inner = str(container.inspect()["State"]["Pid"])
    for status in pathlib.Path("/proc").glob("[0-9]*/status"):
        try:
            lines = dict(line.split(":\t", 1) for line in status.read_text().splitlines() if ":\t" in line)
        except (FileNotFoundError, ProcessLookupError):
            continue
        ids = lines.get("NSpid", "").split()
        if lines["Name"] == "origin" and len(ids) > 2 and ids[-2] == inner:
            return int(ids[0])
    raise AssertionError(f"no process of {container.name}")


# ---- the image and the daemon ----

def test_import_with_changes(engine):
    """What an image may say by itself: EXPOSE and HEALTHCHECK."""
    exported = subprocess.run(["tar", "-C", engine.dir, "-c", "origin"], check=True, capture_output=True)
    engine.import_image("wharfgate-checked", exported.stdout, 'ENTRYPOINT ["/origin"]', 'CMD ["8001"]',
                        "EXPOSE 8001", 'HEALTHCHECK --interval=300ms CMD ["/origin", "check", "8001"]')
    with Events(engine) as events:
        web = engine.run("web-1", image="wharfgate-checked")
        events.wait(web, "health_status: healthy")
    assert [p["PrivatePort"] for p in web.listed()["Ports"]] == [8001]


@pytest.mark.parametrize("sig", [signal.SIGTERM, signal.SIGKILL])
def test_daemon_restarts_with_live_restore(engine, sig):
    """Nobody notices: not one request fails, the address and the process stay. The stream of events ends."""
    [web] = running(engine, 1)
    engine.live_restore(True)
    was, began = web.address, web.when("listen")
    with Load(engine, (web.address, 8000)) as load, Events(engine) as events:
        load.progress(200)
        engine.stop(sig)
        assert events.ended.wait(10) and not engine.answers()
        load.progress(500)
        down_us = now_us()
        engine.start()
        tell("the daemon", down_us, answers=now_us())
        load.progress(500)
    assert not load.failures() and not load.doubles([web])
    assert web.address == was and web.when("listen") == began and web.state == "running"


def test_daemon_restarts_without_live_restore(engine):
    """It stops the containers, in its own words and with their stop signal, and starts them again
    when their policy says so."""
    kept, gone = engine.run("web-1", restart="always"), engine.run("web-2")
    until(lambda: kept.answers() and gone.answers(), "answers")
    first = kept.when("listen")
    with Events(engine) as events:
        engine.stop()
        assert events.ended.wait(10)
    told = [e.action for e in events.of(kept)]
    print(f"\n  told at the daemon's end: {told}", end="")
    assert kept.when("term") and gone.when("exit") and not kept.answers()
    engine.start()
    until(lambda: kept.when("listen") > first and kept.answers(), "the first one again")
    assert gone.state == "exited"


def test_daemon_killed_without_live_restore(engine):
    """The containers run on unattended; the next daemon ends them, and starts those that it should."""
    [web] = running(engine, 1, restart="always")
    address = web.address
    engine.stop(signal.SIGKILL)
    assert web.request("/", address=address)[0] == 200
    engine.start()
    until(lambda: web.state == "running" and web.answers(), "it again")
    print(f"\n  records: {[r[0] for r in web.records()]}", end="")


def test_errors_are_plain(engine):
    with pytest.raises(EngineError) as e:
        Container(engine, "none", "none").start()
    assert e.value.status == 404 and "No such container" in str(e.value)


def test_leaves_nothing():
    """A second engine beside the first; after its end there is no process, mount, bridge or file."""
    with Engine() as second:
        web = second.run("web-1")
        until(web.answers, "it")
        folder = second.dir
    assert_nothing_of(str(folder))


def test_leaves_no_process_when_it_is_killed():
    """SIGKILL for who holds it: processes and mounts go with it."""
    program = ("import sys, time; sys.path[:0] = sys.argv[1:]\n"
               "from engine import Engine\n"
               "e = Engine(); e.run('web-1'); print(e.dir, flush=True); time.sleep(600)")
    here = pathlib.Path(__file__).parent
    holder = subprocess.Popen([sys.executable, "-c", program, here, here.parent],
                              stdout=subprocess.PIPE, text=True)
    folder = holder.stdout.readline().strip()
    assert folder
    holder.kill()
    holder.wait()
    holder.stdout.close()
    until(lambda: not processes_of(folder), "the end of its processes", 30)
    subprocess.run(["rm", "-rf", folder], check=True)
    assert_nothing_of(folder)


def processes_of(text):
    found = []
    for path in pathlib.Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if text in path.read_text():
                found.append(path.read_text().replace("\0", " "))
        except (FileNotFoundError, ProcessLookupError):
            pass
    return found


def assert_nothing_of(folder):
    assert not processes_of(folder)
    assert folder not in pathlib.Path("/proc/self/mountinfo").read_text()
    assert not pathlib.Path(folder).exists()
