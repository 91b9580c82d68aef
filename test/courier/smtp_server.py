"""A mail server for tests: smtp_server.py DIR [options]

DIR/smtp.port has its port as soon as it answers. Each mail that it takes is in DIR/mail/N.eml, byte for byte, and one line of
JSON in DIR/smtp.log tells of it and of all else that happens. The recipient's name decides what does:

    gone      550 to the recipient        full      452 to the recipient
    spam      554 to the message          later     451 to the message
    once      451 to the first message, 250 to the next
    slow      keeps the message, and says so as soon as there is DIR/release
    cut       the connection breaks when the message is there
    silent    550 to the recipient, and no answer to QUIT
    last      is the last of its connection, which breaks at the next mail

Options: --tls CERT KEY   STARTTLS is offered, and demanded
         --wrap           TLS from the first byte on
         --login          user "courier" with the password "s3cret pass=word#" is demanded
         --deny           no recipient is refused, but every sender
         --port N
"""

import argparse
import asyncio
import json
import os
import ssl
import sys

from aiosmtpd.smtp import SMTP, AuthResult

parser = argparse.ArgumentParser()
parser.add_argument('dir')
parser.add_argument('--tls', nargs=2)
parser.add_argument('--wrap', action='store_true')
parser.add_argument('--login', action='store_true')
parser.add_argument('--deny', action='store_true')
parser.add_argument('--port', type=int, default=0)
options = parser.parse_args()

os.makedirs(options.dir + '/mail', exist_ok=True)


def log(**what):
    with open(options.dir + '/smtp.log', 'a') as file:
        file.write(json.dumps(what) + '\n')


class Handler:
    def __init__(self):
        self.mails = 0
        self.seen = set()

    async def handle_MAIL(self, server, session, envelope, address, mail_options):
        if server.last:
            log(event='broken')
            server.transport.abort()
        if options.deny:
            log(event='sender refused', sender=address)
            return '550 5.7.1 you may not send'
        envelope.mail_from = address
        envelope.mail_options.extend(mail_options)
        return '250 2.1.0 ok'

    async def handle_RCPT(self, server, session, envelope, address, rcpt_options):
        name = address.split('@')[0]
        log(event='recipient', recipient=address)
        if name in ('gone', 'silent'):
            server.silent = name == 'silent'
            return '550-5.1.1 there is nobody\r\n550 5.1.1 of this name'
        if name == 'full':
            return '452 4.2.2 mailbox full'
        envelope.rcpt_tos.append(address)
        return '250 2.1.5 ok'

    async def handle_DATA(self, server, session, envelope):
        name = envelope.rcpt_tos[0].split('@')[0]
        log(event='message', recipient=envelope.rcpt_tos[0])
        if name == 'spam':
            return '554 5.7.1 looks like spam'
        if name == 'later' or (name == 'once' and envelope.rcpt_tos[0] not in self.seen):
            self.seen.add(envelope.rcpt_tos[0])
            return '451 4.3.0 not now'
        if name == 'cut':
            server.transport.abort()
            return '250 never heard'
        server.last = name == 'last'
        self.mails += 1
        number = self.mails
        path = f'{options.dir}/mail/{number}.eml'
        with open(path + '.part', 'wb') as file:
            file.write(envelope.original_content)
        os.rename(path + '.part', path)
        log(event='mail', file=path, sender=envelope.mail_from, recipients=envelope.rcpt_tos,
            tls=bool(session.ssl) or options.wrap, user=session.auth_data.decode() if session.auth_data else None)
        while name == 'slow' and not os.path.exists(options.dir + '/release'):
            await asyncio.sleep(0.01)
        return f'250 2.0.0 kept as {number}'


class Server(SMTP):
    silent = False
    last = False

    async def smtp_QUIT(self, arg):
        if self.silent:
            log(event='silent')
            await asyncio.sleep(3600)
        await super().smtp_QUIT(arg)


def authenticate(server, session, envelope, mechanism, data):
    good = data.login == b'courier' and data.password == b's3cret pass=word#'
    log(event='login', user=data.login.decode(), good=good)
    return AuthResult(success=good, auth_data=data.login, handled=False)


async def main():
    context = None
    if options.tls:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*options.tls)
    handler = Handler()

    def protocol():
        server = Server(handler, hostname='mail.test', enable_SMTPUTF8=True,
                        tls_context=None if options.wrap else context,
                        require_starttls=context is not None and not options.wrap,
                        auth_required=options.login, auth_require_tls=False,
                        authenticator=authenticate if options.login else None)
        return server

    server = await asyncio.get_running_loop().create_server(
        protocol, '127.0.0.1', options.port, ssl=context if options.wrap else None)
    port = server.sockets[0].getsockname()[1]
    with open(options.dir + '/smtp.port.part', 'w') as file:
        file.write(str(port))
    os.rename(options.dir + '/smtp.port.part', options.dir + '/smtp.port')
    await server.serve_forever()

try:
    asyncio.run(main())
except KeyboardInterrupt:
    sys.exit(0)
