"""A certificate authority of the tests' own."""

import datetime
import ipaddress
import ssl
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID


class Authority:
    """Makes a server's certificate for 127.0.0.1, in files of a folder: `ca` is what a client must trust."""

    def __init__(self, folder: Path) -> None:
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "tests")])
        day = datetime.timedelta(days=1)
        now = datetime.datetime.now(datetime.UTC)

        def certificate(
            subject: x509.Name, public: ec.EllipticCurvePublicKey, *, is_authority: bool
        ) -> x509.Certificate:
            builder = (
                x509.CertificateBuilder()
                .subject_name(subject)
                .issuer_name(name)
                .public_key(public)
                .serial_number(x509.random_serial_number())
                .not_valid_before(now - day)
                .not_valid_after(now + day)
                .add_extension(x509.BasicConstraints(ca=is_authority, path_length=None), critical=True)
            )
            if not is_authority:
                names = [x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
                builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
            return builder.sign(key, hashes.SHA256())

        own = certificate(name, key.public_key(), is_authority=True)
        server_key = ec.generate_private_key(ec.SECP256R1())
        server = certificate(
            x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "server")]), server_key.public_key(), is_authority=False
        )
        self.ca = folder / "ca.pem"
        self.ca.write_bytes(own.public_bytes(serialization.Encoding.PEM))
        self._chain = folder / "server.pem"
        self._chain.write_bytes(
            server_key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
            + server.public_bytes(serialization.Encoding.PEM)
        )

    def server_context(self) -> ssl.SSLContext:
        """Return what a server with that certificate needs."""
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(self._chain)
        return context
