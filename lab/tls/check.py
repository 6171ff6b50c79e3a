#!/usr/bin/env python3
"""TLS at the edge as a scanner sees it that is not ours: sslyze, and openssl for what it does not look at.

    lab/tls/check.py EDGE      EDGE is the example program `edge-bench`, which serves a snapshot file

The same verdicts are first asked of a server that is known to be bad: a check that finds nothing there is no check.
"""

import http.server
import json
import pathlib
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
import warnings

# Of the scanner's own store of authorities.
warnings.simplefilter("ignore")

from sslyze import (
    ScanCommand,
    Scanner,
    ServerNetworkConfiguration,
    ServerNetworkLocation,
    ServerScanRequest,
    ServerScanStatusEnum,
)

NAME = "lab.test"
HSTS = "max-age=31536000; includeSubDomains"
# RFC 9325, 4.2, and what TLS 1.3 has by itself: forward secrecy and authenticated encryption.
SUITES_12 = {
    "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256",
    "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384",
    "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256",
    "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256",
    "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384",
    "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256",
}
SUITES_13 = {"TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256"}
OLD = ["ssl_2_0", "ssl_3_0", "tls_1_0", "tls_1_1"]


class Verdicts:
    def __init__(self):
        self.failed = []
        self.passed = 0

    def expect(self, title, is_fine, found=""):
        if is_fine:
            self.passed += 1
        else:
            self.failed.append(f"{title}: {found}")

    def equal(self, title, found, wanted):
        self.expect(title, found == wanted, f"found {found!r}, wanted {wanted!r}")


def scan(port, ca, at_once=4):
    """Everything that sslyze looks at, of the server on this port."""
    location = ServerNetworkLocation(hostname=NAME, port=port, ip_address="127.0.0.1")
    network = ServerNetworkConfiguration(tls_server_name_indication=NAME, network_timeout=10)
    scanner = Scanner(per_server_concurrent_connections_limit=at_once)
    request = ServerScanRequest(
        server_location=location, network_configuration=network, scan_commands=set(ScanCommand),
        scan_commands_extra_arguments=trust(ca),
    )
    scanner.queue_scans([request])
    (result,) = scanner.get_results()
    if result.scan_status != ServerScanStatusEnum.COMPLETED:
        raise SystemExit(f"the scanner could not reach the server: {result.connectivity_error_trace}")
    return result.scan_result


def trust(ca):
    from sslyze import CertificateInfoExtraArgument, ScanCommandsExtraArguments

    return ScanCommandsExtraArguments(certificate_info=CertificateInfoExtraArgument(custom_ca_file=pathlib.Path(ca)))


def part(scanned, name):
    attempt = getattr(scanned, name)
    if attempt.result is None:
        raise SystemExit(f"sslyze could not do `{name}`: {attempt.error_reason} {attempt.error_trace}")
    return attempt.result


def accepted(scanned, version):
    suites = part(scanned, f"{version}_cipher_suites").accepted_cipher_suites
    return {suite.cipher_suite.name for suite in suites}


def judge(scanned, only_13):
    """The verdicts about one listener."""
    verdicts = Verdicts()
    for version in OLD + (["tls_1_2"] if only_13 else []):
        verdicts.equal(f"{version} is refused", accepted(scanned, version), set())
    ours = {"TLS_ECDHE_ECDSA" + name.removeprefix("TLS_ECDHE_ECDSA") for name in SUITES_12 if "ECDSA" in name}
    if not only_13:
        verdicts.equal("TLS 1.2 has the suites of its certificate and no other", accepted(scanned, "tls_1_2"), ours)
    verdicts.equal("TLS 1.3 has its three good suites", accepted(scanned, "tls_1_3"), SUITES_13)
    verdicts.expect("no compression", not part(scanned, "tls_compression").supports_compression)
    verdicts.expect("no early data", not part(scanned, "tls_1_3_early_data").supports_early_data)
    verdicts.expect("no Heartbleed", not part(scanned, "heartbleed").is_vulnerable_to_heartbleed)
    verdicts.expect("no CCS injection", not part(scanned, "openssl_ccs_injection").is_vulnerable_to_ccs_injection)
    robot = part(scanned, "robot").robot_result.name
    verdicts.expect("no ROBOT", robot.startswith("NOT_VULNERABLE"), robot)
    curves = part(scanned, "elliptic_curves")
    names = {curve.name for curve in curves.supported_curves or []}
    verdicts.expect("X25519 and P-256 are agreed on", {"X25519", "secp256r1"} <= names, names)
    weak = names - {"X25519", "secp256r1", "secp384r1", "secp521r1"}
    verdicts.equal("no weak curve is", weak, set())
    if not only_13:
        renegotiation = part(scanned, "session_renegotiation")
        verdicts.expect("secure renegotiation is signalled", renegotiation.supports_secure_renegotiation)
        verdicts.equal("no renegotiation by the client", renegotiation.client_renegotiations_success_count, 0)
        verdicts.expect("extended master secret", part(scanned, "tls_extended_master_secret").supports_ems_extension)
        resumption = part(scanned, "session_resumption")
        verdicts.equal("sessions are resumed by id", resumption.session_id_resumption_result.name, "FULLY_SUPPORTED")
    certificates(verdicts, part(scanned, "certificate_info"))
    hsts = part(scanned, "http_headers").strict_transport_security_header
    verdicts.expect("HSTS of the route", hsts is not None and hsts.max_age == 31536000 and hsts.include_subdomains, hsts)
    return verdicts


def certificates(verdicts, info):
    (deployment,) = info.certificate_deployments
    trusted = any(result.was_validation_successful for result in deployment.path_validation_results)
    verdicts.expect("the chain leads to the authority", trusted)
    verdicts.expect("the chain is in order", deployment.received_chain_has_valid_order)
    # The authorities have given OCSP up; what is not asked for is not stapled, and must not be promised.
    verdicts.expect("no OCSP answer is stapled and none is promised",
                    deployment.ocsp_response is None and not deployment.leaf_certificate_has_must_staple_extension)


def s_client(port, ca, *more):
    words = ["openssl", "s_client", "-connect", f"127.0.0.1:{port}", "-servername", NAME, "-CAfile", ca, *more]
    ran = subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, timeout=20)
    return (ran.stdout + ran.stderr).decode(errors="replace")


def by_openssl(verdicts, port, ca):
    """What sslyze does not look at."""
    for version in ["-tls1_2", "-tls1_3"]:
        for asked, agreed in [("h2,http/1.1", "ALPN protocol: h2"), ("http/1.1", "ALPN protocol: http/1.1")]:
            said = s_client(port, ca, version, "-alpn", asked)
            verdicts.expect(f"ALPN {asked} with {version}", agreed in said, said)
        said = s_client(port, ca, version)
        verdicts.expect(f"no ALPN asked for, none agreed on, with {version}", "No ALPN negotiated" in said, said)
        said = s_client(port, ca, version, "-alpn", "spdy/3")
        verdicts.expect(f"an unknown protocol is refused with {version}", "no application protocol" in said, said)
        said = s_client(port, ca, version, "-status")
        verdicts.expect(f"no OCSP answer with {version}", "OCSP response: no response sent" in said, said)
    for version in ["1.2", "1.3"]:
        resumed_by_ticket(verdicts, port, ca, version)


def resumed_by_ticket(verdicts, port, ca, version):
    """sslyze does not look at TLS 1.3, and takes a server that renews its tickets for one that has none."""
    with tempfile.TemporaryDirectory() as folder:
        kept = f"{folder}/session"
        flag = f"-tls{version.replace('.', '_')}"
        # The tickets of TLS 1.3 come after the handshake, so something has to be read.
        request = f"GET / HTTP/1.1\r\nHost: {NAME}\r\nConnection: close\r\n\r\n".encode()
        words = ["openssl", "s_client", "-connect", f"127.0.0.1:{port}", "-servername", NAME, "-CAfile", ca, flag]
        first = subprocess.run([*words, "-ign_eof", "-sess_out", kept], input=request, capture_output=True, timeout=20)
        has_ticket = b"TLS session ticket:" in first.stdout
        again = s_client(port, ca, flag, "-sess_in", kept)
        verdicts.expect(f"TLS {version} sessions are resumed by ticket",
                        has_ticket and f"Reused, TLSv{version}" in again, first.stdout.decode(errors="replace") + again)


class Quiet(http.server.ThreadingHTTPServer):
    def handle_error(self, *_):
        """A scanner leaves as it likes."""


class Service(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"ok")

    def log_message(self, *_):
        pass


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def listens(port, process):
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise SystemExit(f"the server ended with {process.returncode}")
        with socket.socket() as one:
            if one.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise SystemExit("the server does not listen")


def openssl(*words):
    subprocess.run(["openssl", *words], check=True, capture_output=True)


def made(folder):
    """An authority, and a certificate of its for NAME; as PEM files."""
    curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    openssl("req", "-x509", *curve, "-subj", "/CN=lab authority", "-days", "2",
            "-addext", "keyUsage=critical,keyCertSign", "-keyout", f"{folder}/ca.key", "-out", f"{folder}/ca.pem")
    openssl("req", *curve, "-subj", f"/CN={NAME}", "-keyout", f"{folder}/leaf.key", "-out", f"{folder}/leaf.csr")
    extensions = pathlib.Path(folder, "extensions")
    extensions.write_text(f"subjectAltName=DNS:{NAME}\nkeyUsage=critical,digitalSignature\nextendedKeyUsage=serverAuth\n")
    openssl("x509", "-req", "-in", f"{folder}/leaf.csr", "-CA", f"{folder}/ca.pem", "-CAkey", f"{folder}/ca.key",
            "-CAcreateserial", "-days", "2", "-extfile", str(extensions), "-out", f"{folder}/leaf.pem")
    chain = pathlib.Path(folder, "chain.pem")
    chain.write_text(pathlib.Path(folder, "leaf.pem").read_text() + pathlib.Path(folder, "ca.pem").read_text())
    return {"names": [], "chain": str(chain), "key": f"{folder}/leaf.key", "is_default": True}


def edge(program, folder, certificate, service):
    """A running edge with two listeners, one for TLS 1.3 only."""
    ports = {"both": free_port(), "only 1.3": free_port()}
    listeners = [
        {"name": name, "bind": f"127.0.0.1:{port}", "tls": {"only_13": name == "only 1.3"}}
        for name, port in ports.items()
    ]
    route = {"pool": "lab", "hsts": {"max_age_s": 31536000, "include_subdomains": True}}
    plain = {"pool": "lab", "path": "/plain"}
    pool = {"name": "lab", "release": "r1", "targets": [f"127.0.0.1:{service}"]}
    snapshot = pathlib.Path(folder, "snapshot.json")
    snapshot.write_text(json.dumps({"epoch": 1, "listeners": listeners, "pools": [pool], "routes": [route, plain],
                                    "certificates": [certificate]}))
    process = subprocess.Popen([program, str(snapshot), f"{folder}/state"])
    for port in ports.values():
        listens(port, process)
    return process, ports


def bad_server(folder, port):
    """TLS 1.0, suites without forward secrecy, renegotiation, no HSTS: everything an edge must not be."""
    certificate = ["-cert", f"{folder}/leaf.pem", "-key", f"{folder}/leaf.key"]
    words = ["openssl", "s_server", "-accept", f"127.0.0.1:{port}", *certificate, "-cipher", "ALL@SECLEVEL=0",
             "-client_renegotiation", "-legacy_renegotiation", "-www", "-quiet"]
    return subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def the_check_can_fail(folder, ca):
    port = free_port()
    process = bad_server(folder, port)
    try:
        listens(port, process)
        # It serves one after the other.
        found = judge(scan(port, ca, at_once=1), only_13=False).failed
    finally:
        process.kill()
        process.wait()
    for wanted in ["TLS 1.2 has the suites", "no renegotiation by the client", "HSTS of the route"]:
        if not any(title.startswith(wanted) for title in found):
            raise SystemExit(f"the check is blind: a bad server passes `{wanted}`; found: {found}")
    print(f"PASS  a server that is known to be bad is found bad in {len(found)} ways")


def hsts_only_where_asked(verdicts, port, ca):
    words = ["curl", "-sS", "--http1.1", "--cacert", ca, "--resolve", f"{NAME}:{port}:127.0.0.1", "-D", "-"]
    for path, wanted in [("/", True), ("/plain", False)]:
        said = subprocess.run([*words, f"https://{NAME}:{port}{path}"], capture_output=True, timeout=20).stdout.decode()
        has = f"strict-transport-security: {HSTS}" in said.lower().replace(HSTS.lower(), HSTS)
        verdicts.expect(f"HSTS on {path} is {wanted}", has == wanted and "200 OK" in said, said)


def main(program):
    service = Quiet(("127.0.0.1", 0), Service)
    threading.Thread(target=service.serve_forever, daemon=True).start()
    folder = tempfile.mkdtemp(prefix="mainstay-tls-")
    process, passed, failed = None, 1, []
    try:
        certificate = made(folder)
        ca = f"{folder}/ca.pem"
        the_check_can_fail(folder, ca)
        process, ports = edge(program, folder, certificate, service.server_address[1])
        for name, port in ports.items():
            verdicts = judge(scan(port, ca), only_13=name == "only 1.3")
            if name == "both":
                by_openssl(verdicts, port, ca)
                hsts_only_where_asked(verdicts, port, ca)
            print(f"{'FAIL' if verdicts.failed else 'PASS'}  listener `{name}`: {verdicts.passed} verdicts hold")
            passed += verdicts.passed
            failed += [f"listener `{name}`: {text}" for text in verdicts.failed]
    finally:
        if process:
            process.terminate()
            process.wait()
        shutil.rmtree(folder)
    for text in failed:
        print(f"FAIL  {text}")
    print(f"tls: {passed} passed, {len(failed)} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    sys.exit(main(sys.argv[1]))
