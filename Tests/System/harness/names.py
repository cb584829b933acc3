"""Signed stream names, made independently of the Swift code: what Rails' MessageVerifier makes."""

import base64
import hashlib
import hmac
import json
import urllib.parse

SECRET = "s3cret"


def turbo_key(secret_key_base):
    """The 64 bytes that Rails derives for `Turbo.signed_stream_verifier_key`."""
    salt = b"turbo/signed_stream_verifier_key"
    return hashlib.pbkdf2_hmac("sha256", _bytes(secret_key_base), salt, 1000, 64)


def sign(name, secret=SECRET):
    """base64(JSON(name)) + "--" + hex HMAC-SHA256, as `ActiveSupport::MessageVerifier` does."""
    return sign_bytes(_json(name), secret)


def sign_bytes(payload, secret=SECRET):
    """Signs bytes that need not be JSON, nor even text."""
    return sign_text(base64.b64encode(payload).decode(), secret)


def sign_text(text, secret=SECRET):
    """Puts a correct signature behind `text`, whether it is base64 or not."""
    digest = hmac.new(_bytes(secret), text.encode(), hashlib.sha256).hexdigest()
    return f"{text}--{digest}"


def sign_in_old_envelope(name, secret=SECRET, expires=None, purpose=None):
    """The metadata envelope of Rails 7.0 and older: the value is base64 inside."""
    message = base64.b64encode(_json(name)).decode()
    return _sign_envelope({"message": message}, secret, expires, purpose)


def sign_in_new_envelope(name, secret=SECRET, expires=None, purpose=None):
    """The metadata envelope of Rails 7.1 and newer: the value is there as it is."""
    return _sign_envelope({"data": name}, secret, expires, purpose)


def percent_coded(name):
    """`+`, `/` and `=` as `%2B`, `%2F` and `%3D`, which is how Rails helpers put it in a URL."""
    return urllib.parse.quote(name, safe="")


def _sign_envelope(value, secret, expires, purpose):
    envelope = {"_rails": value | {"exp": expires, "pur": purpose}}
    return sign_bytes(_json(envelope), secret)


def _json(value):
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()


def _bytes(secret):
    return secret if isinstance(secret, bytes) else secret.encode()
