# SPDX-License-Identifier: Apache-2.0
"""The configuration as the whole program takes it: variables, secrets, includes, bounds."""
import json
import os
import time

import pytest

from harness import PATIENCE, ROOT, Gate, run

HEAD = 'listeners: { http: { address: "127.0.0.1:0" } }\n'


def check(tmp_path, text, env=None, name="x.yaml"):
    path = tmp_path / name
    path.write_text(text)
    return run("check", "-c", path, env={**os.environ, **(env or {})})


# ---- variables ----

def test_variables_are_taken_from_the_environment():
    """At a reload as well as at the start, with defaults and as themselves."""
    with Gate(HEAD + 'routes: [ { respond: { body: "${WG_A}-${WG_B:-b}-${WG_EMPTY:-e}-$${WG_A}" } } ]\n',
              env={"WG_A": "a", "WG_EMPTY": ""}) as gate:
        assert gate.request().body == b"a-b-e-${WG_A}"
        assert gate.reload(HEAD + 'routes: [ { respond: { body: "again ${WG_A}" } } ]\n').returncode == 0
        assert gate.request().body == b"again a"


def test_unset_variable_is_an_error_with_its_place(tmp_path):
    done = check(tmp_path, HEAD + 'routes:\n  - respond: { body: "x ${WG_NOT_SET}" }\n')
    assert done.returncode == 3
    assert "x.yaml:3:" in done.stderr and "WG_NOT_SET" in done.stderr


def test_values_of_variables_are_no_yaml():
    """They cannot bring keys with them."""
    with Gate(HEAD + 'routes: [ { respond: { body: "${WG_A}" } } ]\n',
              env={"WG_A": 'x", status: 500, y: "\n- z'}) as gate:
        answer = gate.request()
        assert (answer.status, answer.body) == (200, b'x", status: 500, y: "\n- z')


# ---- secrets ----

def test_secret_files_are_read_anew_at_a_reload_and_never_printed(tmp_path):
    secret = tmp_path / "secret"
    secret.write_text("tiger-1\n")
    config = HEAD + """
routes:
  - { name: open, match: { headers: { X-Key: "file:{secret}" } }, respond: { body: open } }
  - { respond: { body: shut } }
"""
    with Gate(config, secret=secret) as gate:
        assert gate.request(headers={"X-Key": "tiger-1"}).body == b"open"
        secret.write_text("tiger-2\n")
        assert gate.request(headers={"X-Key": "tiger-2"}).body == b"shut"
        assert gate.reload().returncode == 0
        assert gate.request(headers={"X-Key": "tiger-2"}).body == b"open"
        # Neither by errors nor by the admin's state.
        done = gate.reload(config.replace("respond: { body: shut }", "repsond: 1"), secret=secret)
        assert done.returncode == 3
        status = gate.admin("/v1/status").body + gate.admin("/metrics").body
        for text in (done.stdout, done.stderr, gate.errors(), status.decode()):
            assert "tiger" not in text


def test_literal_secret_is_masked_in_the_quoted_line(tmp_path):
    done = check(tmp_path, HEAD + 'routes:\n'
                 '  - { match: { headers: { X-Key: tiger } }, respnod: { body: x } }\n')
    assert done.returncode == 3 and "respnod" in done.stderr and "tiger" not in done.stderr


def test_missing_secret_is_an_error(tmp_path):
    done = check(tmp_path, HEAD + 'routes: [ { respond: { body: "file:/no/such/secret" } } ]\n')
    assert done.returncode == 3 and "/no/such/secret" in done.stderr


# ---- includes ----

def test_included_files_are_part_of_a_reload(tmp_path):
    """A pattern: what is added to its folder is taken up, what went is gone."""
    folder = tmp_path / "conf.d"
    folder.mkdir()

    def put(name):
        (folder / f"{name}.yaml").write_text(
            f'routes: [ {{ match: {{ path: "= /{name}" }}, respond: {{ body: {name} }} }} ]\n')
    put("a")
    with Gate("include: '{folder}/*.yaml'\n" + HEAD, folder=folder) as gate:
        assert gate.request("/a").body == b"a"
        put("b")
        assert gate.reload().returncode == 0
        assert gate.request("/b").body == b"b"
        (folder / "a.yaml").unlink()
        assert gate.reload().returncode == 0
        assert gate.request("/a").status == 404
        # An error in one of them names that one.
        (folder / "c.yaml").write_text("routes:\n  - { respnod: 1 }\n")
        done = gate.reload()
        assert done.returncode == 3 and f"{folder}/c.yaml:2:" in done.stderr
        assert gate.request("/b").body == b"b"


def test_includes_in_a_circle(tmp_path):
    (tmp_path / "a.yaml").write_text("include: b.yaml\n" + HEAD)
    (tmp_path / "b.yaml").write_text("include: a.yaml\n")
    done = run("check", "-c", tmp_path / "a.yaml")
    assert done.returncode == 3 and "b.yaml:1:" in done.stderr and "a.yaml" in done.stderr


def test_duplicate_over_two_files_names_both(tmp_path):
    (tmp_path / "more.yaml").write_text('listeners: { http: { address: ":81" } }\n')
    done = check(tmp_path, "include: more.yaml\n" + HEAD)
    assert done.returncode == 3
    assert "more.yaml" in done.stderr and "x.yaml" in done.stderr and "http" in done.stderr


# ---- YAML ----

def test_duplicate_key(tmp_path):
    done = check(tmp_path, HEAD + HEAD)
    assert done.returncode == 3 and "x.yaml:2:1:" in done.stderr and "listeners" in done.stderr


def test_anchors_and_merge_keys():
    with Gate(HEAD + """
x-common: &common { status: 203, content_type: text/x }
routes:
  - { match: { path: /a }, respond: { <<: *common, body: merged } }
  - { respond: { body: plain } }
""") as gate:
        answer = gate.request("/a")
        assert (answer.status, answer.body, answer.headers["content-type"]) == \
            (203, b"merged", "text/x")
        assert gate.request().status == 200


def test_bomb_is_refused_at_once(tmp_path):
    """Ten levels of ten aliases: a billion values."""
    lines = ["x-0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"x-{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 10)]
    began = time.monotonic()
    done = check(tmp_path, "\n".join(lines) + "\n" + HEAD)
    assert done.returncode == 3 and "x.yaml:" in done.stderr
    assert time.monotonic() - began < PATIENCE / 2


def test_depth_is_bounded(tmp_path):
    done = check(tmp_path, HEAD + "x-deep: " + "[" * 100_000 + "]" * 100_000 + "\n")
    assert done.returncode == 3 and "x.yaml:2:" in done.stderr


def test_ten_megabytes_are_taken_and_seventeen_refused(tmp_path):
    """In seconds and without the memory of a bomb."""
    route = '  - {{ match: {{ host: h{}.example }}, respond: {{ body: "{}" }} }}\n'
    body = "y" * 1000
    text = HEAD + "routes:\n" + "".join(route.format(i, body) for i in range(9_600))
    assert 10_000_000 < len(text) < 16 * 1024 * 1024
    began = time.monotonic()
    done = check(tmp_path, text)
    assert done.returncode == 0, done.stderr[:500]
    assert time.monotonic() - began < PATIENCE
    done = check(tmp_path, HEAD + "#" * (17 * 1024 * 1024))
    assert done.returncode == 3 and "16" in done.stderr


def test_what_is_no_text_is_refused(tmp_path):
    path = tmp_path / "x.yaml"
    for data in (b"\x00\x01\x02", b"listeners: \xff\xfe", os.urandom(4096), b"", b"\n\n",
                 b"just a text\n", b"- a list\n", b"{" * 50):
        path.write_bytes(data)
        done = run("check", "-c", path)
        assert done.returncode == 3, (data[:20], done)
        assert "x.yaml" in done.stderr


def test_paths_are_relative_to_the_file_that_names_them(tmp_path):
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "page.html").write_text("<p>from sub")
    (tmp_path / "sub" / "more.yaml").write_text("defaults: { error_pages: { 404: page.html } }\n")
    with Gate("include: '{path}'\n" + HEAD, path=tmp_path / "sub" / "more.yaml") as gate:
        assert gate.request().body == b"<p>from sub"


# ---- the collection of mistakes ----

BROKEN = sorted((ROOT / "tests/conf/broken").rglob("*.yaml"))


def test_there_are_enough_broken_files():
    assert len(BROKEN) >= 60


@pytest.mark.parametrize("path", BROKEN, ids=lambda path: path.name)
def test_every_broken_file_is_refused_by_the_program(path):
    """With exit code 3 and a place in it; as JSON, too, well-formed."""
    done = run("check", "--json", "-c", path)
    assert done.returncode == 3, done
    assert any(p.get("line") for p in json.loads(done.stdout)["problems"])
