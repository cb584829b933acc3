"""Tokens, made by an independent implementation (PyJWT), and the files of keys that go with them."""

import json

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

SECRET = "a secret of at least 32 bytes, as it should be"


def token(claims, key=SECRET, algorithm="HS256", kid=None, **headers):
    """A signed token; `headers` are further members of its head."""
    if kid is not None:
        headers["kid"] = kid
    return jwt.encode(claims, key, algorithm=algorithm, headers=headers or None)


def bearer(claims, *arguments, **options):
    """The header field of such a token."""
    return f"Authorization: Bearer {token(claims, *arguments, **options)}"


def private_key(algorithm):
    """A new key for one of the algorithms."""
    if algorithm == "RS256":
        return rsa.generate_private_key(65537, 2048)
    if algorithm == "ES256":
        return ec.generate_private_key(ec.SECP256R1())
    return ed25519.Ed25519PrivateKey.generate()


def pem(key):
    """The public half of a private key."""
    return key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )


def jwks(**keys):
    """A JSON Web Key Set of the public halves, by their names."""
    algorithms = jwt.algorithms.get_default_algorithms()
    members = []
    for kid, key in keys.items():
        name = {rsa.RSAPrivateKey: "RS256", ed25519.Ed25519PrivateKey: "EdDSA"}
        kind = next((n for base, n in name.items() if isinstance(key, base)), "ES256")
        members.append(json.loads(algorithms[kind].to_jwk(key.public_key())) | {"kid": kid})
    return json.dumps({"keys": members})
