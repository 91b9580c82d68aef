"""What arrived, by other implementations than the courier's.

read.py mail FILE...            each mail's fields and parts, as Python's parser finds them, and complaints about its form
read.py signatures LOG SECRET   for each request of http_server.py its path and "good" or what is wrong with it
"""

import base64
import email
import email.policy
import email.utils
import hashlib
import hmac
import json
import re
import sys
import time


def mail(path):
    data = open(path, 'rb').read()
    message = email.message_from_bytes(data, policy=email.policy.default)
    for name in 'Date', 'From', 'To', 'Subject', 'Message-ID', 'MIME-Version', 'Auto-Submitted':
        values = message.get_all(name, [])
        print(f'{name}: ' + ' | '.join(str(value) for value in values))
    print('fields: ' + ' '.join(message.keys()))
    print('type: ' + message.get_content_type())
    for part in message.walk():
        if part.is_multipart():
            continue
        print(f'part: {part.get_content_type()} {part.get_content_charset()} {part["Content-Transfer-Encoding"]}')
        print(json.dumps(part.get_content().replace('\r\n', '\n')))
    for where in message.walk():
        for defect in where.defects:
            print(f'defect: {defect!r}')
    written = email.utils.parsedate_to_datetime(message['Date'])
    if abs(written.timestamp() - time.time()) > 3600:
        print('wrong date')
    if b'\n' in data.replace(b'\r\n', b'') or b'\r' in data.replace(b'\r\n', b''):
        print('a line does not end in CRLF')
    if any(byte >= 0x7f or (byte < 0x20 and byte not in (9, 10, 13)) for byte in data):
        print('not ASCII')
    if any(len(line) > 78 for line in data.split(b'\r\n')):
        print('a long line')


def signatures(log, secret):
    key = base64.b64decode(secret.removeprefix('whsec_'))
    for line in open(log):
        entry = json.loads(line)
        if entry['event'] != 'request':
            continue
        headers = {name.lower(): value for name, value in entry['headers'].items()}
        body = base64.b64decode(entry['body'])
        content = headers['webhook-id'].encode() + b'.' + headers['webhook-timestamp'].encode() + b'.' + body
        right = 'v1,' + base64.b64encode(hmac.new(key, content, hashlib.sha256).digest()).decode()
        wrong = []
        if not re.fullmatch(r'msg_[A-Za-z0-9_-]+', headers['webhook-id']):
            wrong.append('id')
        if not any(hmac.compare_digest(right, one) for one in headers['webhook-signature'].split(' ')):
            wrong.append('signature')
        if abs(int(headers['webhook-timestamp']) - time.time()) > 300:
            wrong.append('timestamp')
        if headers['content-type'] != 'application/json':
            wrong.append('type')
        print(entry['path'], ' '.join(wrong) or 'good')


if sys.argv[1] == 'mail':
    for file in sys.argv[2:]:
        mail(file)
else:
    signatures(*sys.argv[2:])
