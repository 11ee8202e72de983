"""An S3 server on loopback, and what lies in it."""

import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Mapping
from types import TracebackType
from urllib.error import URLError

from botocore.session import Session

ACCESS = {
    "AWS_ACCESS_KEY_ID": "testing",
    "AWS_SECRET_ACCESS_KEY": "testing",
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_EC2_METADATA_DISABLED": "true",
}
"""What clients of S3 want to know; the server lets everybody in."""
_START_SECONDS = 240.0


class S3Server:
    """moto in a process of its own, as a context."""

    def __enter__(self) -> "S3Server":
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        self.server = f"127.0.0.1:{port}"
        """Its host and port."""
        self._process = subprocess.Popen(
            [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        end = time.monotonic() + _START_SECONDS
        while not self._answers():
            if time.monotonic() > end or self._process.poll() is not None:
                self._process.kill()
                self._process.wait()
                raise TimeoutError("moto does not start")
            time.sleep(0.05)
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _exc: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:  # fmt: skip
        self._process.kill()
        self._process.wait()

    def _answers(self) -> bool:
        try:
            with urllib.request.urlopen(f"http://{self.server}/moto-api/", timeout=5):
                return True
        except (URLError, OSError):
            return False


class Bucket:
    """A new bucket of a server, looked at without any proxy."""

    def __init__(self, server: S3Server, name: str) -> None:
        """Makes it."""
        self.name = name
        session = Session()
        self._client = session.create_client(
            "s3", region_name="us-east-1", endpoint_url=f"http://{server.server}",
            aws_access_key_id="testing", aws_secret_access_key="testing",
        )  # fmt: skip
        self._client.create_bucket(Bucket=name)

    def put(self, files: Mapping[str, bytes], prefix: str) -> str:
        """Puts files under a prefix; returns their URL."""
        for name, data in files.items():
            self._client.put_object(Bucket=self.name, Key=f"{prefix}/{name}", Body=data)
        return f"s3://{self.name}/{prefix}"

    def objects(self, prefix: str) -> dict[str, bytes]:
        """All objects under a prefix, by their names behind it."""
        pages = self._client.get_paginator("list_objects_v2").paginate(
            Bucket=self.name, Prefix=f"{prefix}/"
        )
        keys = [entry["Key"] for page in pages for entry in page.get("Contents", ())]
        return {key.removeprefix(f"{prefix}/"): self._get(key) for key in keys}

    def unfinished(self) -> list[str]:
        """Names of uploads in parts that nobody has ended."""
        found = self._client.list_multipart_uploads(Bucket=self.name)
        return [upload["Key"] for upload in found.get("Uploads", ())]

    def close(self) -> None:
        """Ends the connections."""
        self._client.close()

    def _get(self, key: str) -> bytes:
        with self._client.get_object(Bucket=self.name, Key=key)["Body"] as body:
            return bytes(body.read())
