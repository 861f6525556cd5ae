# SPDX-License-Identifier: Apache-2.0
"""docs/wharfgate.schema.json is valid JSON Schema 2020-12 and says what the
tables say: the good files and the samples fit it, mistakes do not."""
import json
import pathlib
import re

import jsonschema
import pytest
import yaml

ROOT = pathlib.Path(__file__).resolve().parents[2]
SCHEMA = json.loads((ROOT / "docs/wharfgate.schema.json").read_text())
GOOD = sorted((ROOT / "tests/conf/good").rglob("*.yaml")) \
    + sorted((ROOT / "tests/conf/good").rglob("*.conf")) \
    + sorted((ROOT / "conf").rglob("*.yaml"))


class Yaml12(yaml.SafeLoader):
    """YAML 1.2: only true and false are booleans, no numbers in base 60."""


Yaml12.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers
            if tag in ("tag:yaml.org,2002:null", "tag:yaml.org,2002:merge")]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
Yaml12.add_implicit_resolver("tag:yaml.org,2002:bool", re.compile("^(true|false)$"), list("tf"))
Yaml12.add_implicit_resolver("tag:yaml.org,2002:int", re.compile("^-?[0-9]+$"), list("-0123456789"))


def read(text):
    # Through JSON: its keys are texts, as an editor's schema engine sees them.
    return json.loads(json.dumps(yaml.load(text, Yaml12)))


def faults(text):
    return list(jsonschema.Draft202012Validator(SCHEMA).iter_errors(read(text)))


def test_is_valid_schema():
    jsonschema.Draft202012Validator.check_schema(SCHEMA)


def test_there_are_good_files():
    assert len(GOOD) >= 8


@pytest.mark.parametrize("path", GOOD, ids=lambda p: p.name)
def test_good_files_fit(path):
    assert faults(path.read_text()) == []


def test_examples_of_the_reference_fit():
    examples = re.findall("```yaml\n(.*?)```", (ROOT / "docs/reference.md").read_text(), re.S)
    assert len(examples) >= 17
    for example in examples:
        assert faults(example) == [], example


@pytest.mark.parametrize("text", [
    "lisseners: {}",
    "listeners: {}",
    "listeners: { http: { adress: ':80' } }",
    "listeners: { http: {} }",
    "listeners: { 'a b': { address: ':80' } }",
    "listeners: { http: { address: ':80', redirect: htps } }",
    "listeners: { http: { address: ':80', tls: true } }",
    "upstreams: { a: { servers: [] } }",
    "upstreams: { a: { servers: [{ weight: 1 }] } }",
    "upstreams: { a: { servers: ['a:1'], retries: 99 } }",
    "upstreams: { a: { servers: ['a:1'], tls: { verfy: true } } }",
    "routes: [{ upstream: a, redirect: /x }]",
    "routes: [{ match: { path: /x } }]",
    "routes: [{ upstream: a, max_body: 5M }]",
    "routes: [{ upstream: a, timeouts: { header: 5s } }]",
    "routes: [{ upstream: a, timeouts: { connect: 5 sec } }]",
    "routes: [{ upstream: a, compress: [gzpi] }]",
    "routes: [{ upstream: a, compress: { levels: { gzip: 10 } } }]",
    "routes: [{ upstream: a, compress: { types: [json] } }]",
    "routes: [{ redirect: { to: /x, status: 200 } }]",
    "rate_limits: { a: { rate: 10 } }",
    "defaults: { error_pages: { nope: /x } }",
    "metrics: { enabled: yes }",
    "timeouts: { header: 10 }",
])
def test_mistakes_do_not_fit(text):
    assert faults(text)
