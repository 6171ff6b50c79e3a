"""nginx, Debian's: the measure of all others."""
import shutil
import subprocess

from lab import nginx_paths

NAME = "nginx"
MISSING = "not installed (package nginx-light)"

CONF = """
worker_processes {cores}; pid {dir}/nginx.pid; error_log {dir}/nginx.log; daemon off;
events {{ worker_connections {connections}; }}
http {{
{paths}  access_log off; keepalive_requests 100000000; keepalive_timeout 300s;
  upstream target {{ server 127.0.0.1:{upstream}; keepalive 128; keepalive_requests 100000000; keepalive_timeout 4s; }}
{map}  server {{
    listen 127.0.0.1:{port} backlog=4096{listen};
{tls}    location / {{
      proxy_pass http://target; proxy_http_version 1.1;
      proxy_set_header Connection {connection};
{upgrade}      proxy_set_header Host $http_host;
      proxy_set_header X-Forwarded-For $remote_addr;
      proxy_set_header X-Real-IP $remote_addr;
      proxy_set_header Forwarded "for=$remote_addr;proto=$scheme";
      proxy_set_header X-Forwarded-Port $server_port;
      proxy_set_header X-Forwarded-Proto $scheme;
      proxy_set_header X-Forwarded-Host $http_host;
      proxy_set_header X-Request-ID $request_id;
      proxy_set_header traceparent "00-$request_id-0000000000000001-00";
      add_header Via "1.1 nginx";
      proxy_read_timeout 300s;
    }}
  }}
}}
"""

TLS = """    ssl_protocols TLSv1.2 TLSv1.3; ssl_certificate {chain}; ssl_certificate_key {key};
"""

MAP = """  map $http_upgrade $towards_target { default upgrade; '' ''; }
"""


def find(_tools):
    return shutil.which("nginx")


def version(program):
    said = subprocess.run([program, "-v"], capture_output=True, text=True).stderr
    return said.strip().rsplit("/", 1)[-1]


def prepare(lab, plan):
    sockets = plan.websockets
    file = lab.dir / "nginx.conf"
    file.write_text(CONF.format(
        dir=lab.dir, paths=nginx_paths(lab.dir / "nginx"), port=plan.port, upstream=plan.upstream, cores=plan.cores,
        # A proxied connection takes two places.
        connections=2 * plan.connections + 64,
        listen=" ssl" * plan.tls + " http2" * plan.h2,
        tls=TLS.format(chain=lab.chain, key=lab.key) if plan.tls else "",
        map=MAP if sockets else "",
        connection="$towards_target" if sockets else '""',
        upgrade="      proxy_set_header Upgrade $http_upgrade;\n" if sockets else "",
    ))
    return ["-c", str(file), "-p", str(lab.dir)], [file]
