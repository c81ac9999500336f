"""The cloud of the functional tests (moto), on a port, so that other processes can use it."""

import re
import threading
from http.server import BaseHTTPRequestHandler
from typing import Any, cast

from botocore.awsrequest import AWSPreparedRequest
from moto.core.models import botocore_stubber

# Of a signed request: "Credential=AKIA…/20261124/eu-central-1/sqs/aws4_request".
_SCOPE = re.compile(r"/(?P<region>[\w-]+)/(?P<service>[\w-]+)/aws4_request")

# Moto undoes a cancelled transaction along with what others wrote meanwhile.
_one_at_a_time = threading.Lock()


class AwsOverHttp(BaseHTTPRequestHandler):
    """Hands each request to moto, as if it had been sent to AWS's own host."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        scope = _SCOPE.search(self.headers["Authorization"])
        assert scope
        host = f"{scope['service']}.{scope['region']}.amazonaws.com"
        body = self.rfile.read(int(self.headers["Content-Length"]))
        url, headers = f"https://{host}{self.path}", cast("Any", dict(self.headers))
        request = AWSPreparedRequest(self.command, url, headers, body, stream_output=False)
        with _one_at_a_time:
            response: Any = botocore_stubber.process_request(request)
        status, answered, content = response
        data = content.encode() if isinstance(content, str) else content
        self.send_response(status)
        for name, value in answered.items():
            if name.lower() != "content-length":
                self.send_header(name, value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  the base class's name
        """Log nothing."""
