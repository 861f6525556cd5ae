# SPDX-License-Identifier: Apache-2.0
"""Replicas that docker-compose starts and stops: service `web` of project `shop`."""
import os
import subprocess

from engine import IMAGE, PATIENCE, Container

FILE = """
version: "2.4"
services:
  web:
    image: {image}
    volumes: [ "{records}:/records" ]
    networks: [ app ]
networks:
  app: {{ external: true }}
"""


class Compose:
    """Its network is one of the engine's, so that its bridge is swept away with the others."""

    def __init__(self, engine):
        engine.network("app")
        self.engine = engine
        self.path = engine.dir / "compose.yaml"
        self.path.write_text(FILE.format(image=IMAGE, records=engine.records_dir))

    def up(self, count):
        """`up --scale web=COUNT`; those that run then."""
        done = subprocess.run(
            ["docker-compose", "--ansi", "never", "-p", "shop", "-f", self.path, "up", "-d", "--scale", f"web={count}"],
            env={**os.environ, "DOCKER_HOST": self.engine.endpoint}, stdin=subprocess.DEVNULL,
            capture_output=True, text=True, timeout=PATIENCE * 3, check=False)
        assert done.returncode == 0, done.stderr
        return self.running()

    def running(self):
        """Their names here are those of their records: what they take for their host's name."""
        found = self.engine.api("GET", "/containers/json", filters={
            "label": ["com.docker.compose.project=shop", "com.docker.compose.service=web"]})
        return [Container(self.engine, one["Id"][:12], one["Id"]) for one in found or []]
