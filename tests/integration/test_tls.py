"""Upstreams over TLS: only with a trusted certificate."""

import asyncio
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_address
from pathlib import Path
from threading import Thread

import aiohttp
import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from edge.clients import NETWORK_ERRORS, Clients
from roleplay_chat.settings import Settings
from tests.support import patient
from tests.support.stack import Stack


class _Answering(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"{}")

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def signed_by_itself(folder: Path) -> Iterator[str]:
    """The URL of an https server with an untrusted certificate."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    alternative = x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(alternative, critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = folder / "server.pem"
    pem.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        + certificate.public_bytes(serialization.Encoding.PEM)
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem)
    with ThreadingHTTPServer(("127.0.0.1", 0), _Answering) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"https://127.0.0.1:{server.server_port}/"
        finally:
            server.shutdown()
            thread.join()


@pytest.mark.parametrize("which", ["http", "supabase_http"])
def test_certificate_that_nobody_vouches_for_is_refused(
    stack: Stack, tmp_path: Path, which: str
) -> None:
    clients = Clients(Settings.model_validate({k.lower(): v for k, v in stack.env().items()}))

    async def ask(url: str) -> httpx.Response:
        try:
            client: httpx.AsyncClient = getattr(clients, which)()
            return await client.get(url)
        finally:
            await clients.aclose()

    with signed_by_itself(tmp_path) as url:
        # The server responds to clients that do not verify it.
        assert patient.get(url, verify=False).status_code == 200
        with pytest.raises(NETWORK_ERRORS) as refused:
            asyncio.run(ask(url))

    causes = [refused.value, refused.value.__cause__]
    assert any(isinstance(cause, aiohttp.ClientConnectorCertificateError) for cause in causes)
