"""HAProxy, Debian's."""
import shutil
import subprocess

NAME = "HAProxy"
MISSING = "not installed (package haproxy)"

CONF = """global
  nbthread {cores}
  maxconn {connections}

defaults
  mode http
  http-reuse always
  timeout connect 5s
  timeout client 300s
  timeout server 300s
  timeout http-keep-alive 300s
  timeout tunnel 1h

frontend front
  bind 127.0.0.1:{port} backlog 4096{bind}
  unique-id-format %[uuid()]
  unique-id-header X-Request-ID
  http-request set-header X-Forwarded-For %[src]
  http-request set-header X-Real-IP %[src]
  http-request set-header Forwarded for=%[src];proto={scheme}
  http-request set-header X-Forwarded-Port %[dst_port]
  http-request set-header X-Forwarded-Proto {scheme}
  http-request set-header X-Forwarded-Host %[req.hdr(host)]
  http-request set-header traceparent 00-00000000000000000000000000000000-0000000000000001-00
  http-response set-header Via "1.1 haproxy"
  default_backend targets

backend targets
  server one 127.0.0.1:{upstream}
"""


def find(_tools):
    return shutil.which("haproxy") or shutil.which("/usr/sbin/haproxy")


def version(program):
    said = subprocess.run([program, "-v"], capture_output=True, text=True).stdout
    return said.split()[2]


def prepare(lab, plan):
    file = lab.dir / "haproxy.cfg"
    tls = f" ssl crt {lab.dir}/both.pem ssl-min-ver TLSv1.2"
    file.write_text(CONF.format(
        cores=plan.cores, connections=plan.connections, port=plan.port, upstream=plan.upstream,
        bind=tls * plan.tls + " proto h2" * plan.h2, scheme="https" if plan.tls else "http",
    ))
    return ["-db", "-f", str(file)], [file]
