"""A server for webhooks, for tests: http_server.py DIR [--tls CERT KEY]

DIR/http.port has its port as soon as it answers. One line of JSON in DIR/http.log tells of each request. Its path decides
about the answer:

    /ok             204
    /status/N       N, with a Location where that is a redirect
    /once/WORD      503 to the first request, 200 to the next
    /busy/N/WHEN    N, with a Retry-After of WHEN, where "date+60" is a date in a minute
    /slow           200 as soon as there is DIR/release
    /hang           none
    /big            200 and a gigabyte
    /head           a header without an end
    /hints          103 again and again
    /drip           a header, byte by byte
    /dripbody       200 and a body, byte by byte
    /cut            the connection breaks
    /rubbish        no HTTP
"""

import argparse
import base64
import email.utils
import http.server
import json
import os
import ssl
import threading
import time
import urllib.parse

parser = argparse.ArgumentParser()
parser.add_argument('dir')
parser.add_argument('--tls', nargs=2)
options = parser.parse_args()
lock = threading.Lock()
seen = set()


def log(**what):
    with lock, open(options.dir + '/http.log', 'a') as file:
        file.write(json.dumps(what) + '\n')


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = 'HTTP/1.1'

    def do_POST(self):
        body = self.rfile.read(int(self.headers['Content-Length']))
        log(event='request', path=self.path, headers=dict(self.headers.items()), body=base64.b64encode(body).decode())
        self.close_connection = True
        word, _, rest = self.path[1:].partition('?')[0].partition('/')
        try:
            getattr(self, 'answer_' + word)(rest)
        except (OSError, ssl.SSLError) as error:
            log(event='broken', path=self.path, error=str(error))

    do_GET = do_PUT = do_POST

    def raw(self, data):
        self.wfile.write(data)
        self.wfile.flush()

    def plain(self, status):
        self.send_response(status)
        if 300 <= status < 400:
            self.send_header('Location', '/ok')
        self.send_header('Content-Length', '0')
        self.end_headers()

    def answer_ok(self, rest):
        self.plain(204)

    def answer_status(self, rest):
        self.plain(int(rest))

    def answer_once(self, rest):
        with lock:
            first = rest not in seen
            seen.add(rest)
        self.plain(503 if first else 200)

    def answer_busy(self, rest):
        status, _, when = rest.partition('/')
        if when.startswith('date'):
            when = email.utils.formatdate(time.time() + int(when[4:]), usegmt=True)
        self.send_response(int(status))
        self.send_header('Retry-After', urllib.parse.unquote(when))
        self.send_header('Content-Length', '0')
        self.end_headers()

    def answer_slow(self, rest):
        while not os.path.exists(options.dir + '/release'):
            time.sleep(0.01)
        self.plain(200)

    def answer_hang(self, rest):
        # Until the other side has had enough.
        self.connection.recv(1)
        log(event='left', path=self.path)

    def flood(self, piece, most):
        sent = 0
        try:
            while sent < most:
                self.raw(piece)
                sent += len(piece)
        finally:
            log(event='sent', path=self.path, bytes=sent)

    def answer_big(self, rest):
        self.raw(b'HTTP/1.1 200 OK\r\nContent-Length: 1073741824\r\n\r\n')
        self.flood(b'x' * 65536, 1073741824)

    def answer_head(self, rest):
        self.raw(b'HTTP/1.1 200 OK\r\n')
        self.flood(b'X-Filler: ' + b'x' * 1000 + b'\r\n', 1073741824)

    def answer_hints(self, rest):
        self.flood(b'HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n', 1073741824)

    def drip(self, data):
        for _ in range(600):
            self.raw(data)
            time.sleep(0.1)

    def answer_drip(self, rest):
        self.raw(b'HTTP/1.1 200 OK\r\nX-Drip: ')
        self.drip(b'x')

    def answer_dripbody(self, rest):
        self.raw(b'HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n')
        self.drip(b'x')

    def answer_cut(self, rest):
        pass

    def answer_rubbish(self, rest):
        self.raw(b'220 mail.test ESMTP\r\n')

    def log_message(self, *_):
        pass


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 50

    def handle_error(self, request, address):
        log(event='no request')


server = Server(('127.0.0.1', 0), Handler)
if options.tls:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*options.tls)
    # The handshake is the thread's.
    server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
with open(options.dir + '/http.port.part', 'w') as file:
    file.write(str(server.server_address[1]))
os.rename(options.dir + '/http.port.part', options.dir + '/http.port')
server.serve_forever()
