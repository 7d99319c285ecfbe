"""An SMTP server that can be told to fail.

The first argument is a folder: mails that are taken are files in it, the file `manner` says what the server does, and
`port` names where it listens (0: anywhere). Further arguments: `implicit` or `starttls` with certificate and key, and
`login` with user and password.
"""

import asyncio
import json
import os
import ssl
import sys

from aiosmtpd.smtp import SMTP, AuthResult

folder = sys.argv[1]
options = sys.argv[2:]
taken = 0


def manner():
    try:
        with open(os.path.join(folder, "manner")) as file:
            return file.read().strip()
    except FileNotFoundError:
        return ""


class Handler:
    async def handle_MAIL(self, server, session, envelope, address, mail_options):
        said = manner()
        if said.startswith("mail "):
            return said[5:]
        envelope.mail_from = address
        return "250 OK"

    async def handle_RCPT(self, server, session, envelope, address, rcpt_options):
        said = manner()
        if said.startswith("rcpt "):
            return said[5:]
        if said.startswith("nobody ") and address == said.split(" ")[1]:
            return "550 5.1.1 no such user"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server, session, envelope):
        global taken
        said = manner()
        if said.startswith("data "):
            return said[5:]
        if said.startswith("most ") and len(envelope.content) > int(said[5:]):
            return "552 5.3.4 message too large"
        if said == "slow":
            await asyncio.sleep(3600)
        name = os.path.join(folder, f"{taken:06}.json")
        taken += 1
        mail = {
            "hello": session.host_name,
            "tls": server.transport.get_extra_info("sslcontext") is not None,
            "from": envelope.mail_from,
            "to": envelope.rcpt_tos,
            "content": envelope.content.decode("ascii"),
        }
        with open(name + ".part", "w") as file:
            json.dump(mail, file)
        os.rename(name + ".part", name)
        if said == "loses-answer":
            server.transport.abort()
        return "250 OK"


class Server(SMTP):
    def data_received(self, data):
        # A command is short: what is long is a mail that is under way.
        if manner() == "cuts" and len(data) > 200:
            self.transport.abort()
            return
        super().data_received(data)


def authenticator(server, session, envelope, mechanism, data):
    user, password = options[options.index("login") + 1 :][:2]
    is_right = data.login.decode() == user and data.password.decode() == password
    return AuthResult(success=is_right, handled=True) if is_right else AuthResult(success=False, handled=False)


async def main():
    global taken
    taken = len([name for name in os.listdir(folder) if name.endswith(".json")])
    arguments = {"hostname": "mail.example", "ident": "test"}
    implicit = None
    for kind in ("implicit", "starttls"):
        if kind in options:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*options[options.index(kind) + 1 :][:2])
            if kind == "implicit":
                implicit = context
            else:
                arguments.update(tls_context=context, require_starttls=True)
    if "login" in options:
        arguments.update(authenticator=authenticator, auth_required=True, auth_require_tls=False)
    with open(os.path.join(folder, "port")) as file:
        port = int(file.read())
    loop = asyncio.get_running_loop()
    make = lambda: Server(Handler(), loop=loop, **arguments)
    server = await loop.create_server(make, "127.0.0.1", port, ssl=implicit)
    port = server.sockets[0].getsockname()[1]
    name = os.path.join(folder, "port")
    with open(name + ".part", "w") as file:
        file.write(str(port))
    os.rename(name + ".part", name)
    print(port, flush=True)
    await server.serve_forever()


asyncio.run(main())
