"""What a password becomes under SCRAM-SHA-256: what the pooler stores, and the keys a client proves it with."""
import base64
import hashlib
import hmac
import os

PASSWORD = "bench-password"
ITERATIONS = 4096


class Keys:
    def __init__(self):
        salt = os.urandom(16)
        salted = hashlib.pbkdf2_hmac("sha256", PASSWORD.encode(), salt, ITERATIONS)
        self.client_key = hmac.digest(salted, b"Client Key", "sha256")
        self.server_key = hmac.digest(salted, b"Server Key", "sha256")
        stored_key = hashlib.sha256(self.client_key).digest()
        salt, stored_key, server_key = (
            base64.b64encode(part).decode() for part in (salt, stored_key, self.server_key))
        self.verifier = f"SCRAM-SHA-256${ITERATIONS}:{salt}${stored_key}:{server_key}"
