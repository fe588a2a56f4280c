"""A headless Chromium, told what to do by its DevTools protocol, over two pipes."""

import contextlib
import json
import os
import select
import shutil
import subprocess
import tempfile

BROWSERS = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"]
BROWSER = next(filter(None, map(shutil.which, BROWSERS)), None)
FLAGS = """
    --headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-sync
    --disable-background-networking --disable-component-update --hide-scrollbars
""".split()


class Chrome:
    """One page. `events` are all that it has told so far, such as requests and errors."""

    def __init__(self, commands, answers):
        self.commands, self.answers, self.ahead = commands, answers, b""
        self.count, self.events, self.session = 0, [], None
        (page,) = [
            target
            for target in self("Target.getTargets")["targetInfos"]
            if target["type"] == "page"
        ]
        attached = self("Target.attachToTarget", targetId=page["targetId"], flatten=True)
        self.session = attached["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self(f"{domain}.enable")

    def read(self):
        while b"\0" not in self.ahead:
            assert select.select([self.answers], [], [], 60)[0], "Chromium says nothing"
            more = os.read(self.answers.fileno(), 1 << 20)
            assert more, "Chromium has ended"
            self.ahead += more
        message, _, self.ahead = self.ahead.partition(b"\0")
        return json.loads(message)

    def __call__(self, method, **parameters):
        """Send a command; gives its result."""
        self.count += 1
        message = {"id": self.count, "method": method, "params": parameters}
        if self.session:
            message["sessionId"] = self.session
        self.commands.write(json.dumps(message).encode() + b"\0")
        self.commands.flush()
        while True:
            answer = self.read()
            if answer.get("id") == self.count:
                assert "error" not in answer, answer
                return answer["result"]
            self.events.append(answer)

    def open(self, address, width=900, height=900, scripts=True, **media):
        """Show a page, from the start, and wait until it is loaded."""
        self("Emulation.setScriptExecutionDisabled", value=not scripts)
        features = [{"name": name.replace("_", "-"), "value": media[name]} for name in media]
        self("Emulation.setEmulatedMedia", features=features)
        sizes = {"deviceScaleFactor": 1, "mobile": False}
        self("Emulation.setDeviceMetricsOverride", width=width, height=height, **sizes)
        self.events.clear()
        self("Page.navigate", url=address)
        while not any(e.get("method") == "Page.loadEventFired" for e in self.events):
            self.events.append(self.read())
        if scripts:  # what is drawn at the next frame is there
            self.run("new Promise((done) => requestAnimationFrame(() => setTimeout(done)))")

    def run(self, code):
        """The value of an expression of JavaScript."""
        done = self("Runtime.evaluate", expression=code, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in done, done
        return done["result"].get("value")

    def press(self, key, text="", shift=False):
        """Press a key, as a person does."""
        codes = {"Tab": 9, "Enter": 13, " ": 32, "ArrowLeft": 37, "ArrowUp": 38}
        codes |= {"ArrowRight": 39, "ArrowDown": 40, "Backspace": 8, "End": 35, "Home": 36}
        text = text or {"Enter": "\r", " ": " "}.get(key, "")
        about = {"key": key, "modifiers": 8 * shift, "text": text}
        about["windowsVirtualKeyCode"] = codes.get(key, 0)
        self("Input.dispatchKeyEvent", type="keyDown", **about)
        self("Input.dispatchKeyEvent", type="keyUp", **about)

    def wrong(self):
        """What went wrong since the page was opened: errors, and what the console says."""
        kinds = ("Runtime.exceptionThrown", "Runtime.consoleAPICalled", "Log.entryAdded")
        return [event["params"] for event in self.events if event.get("method") in kinds]

    def requests(self):
        """The addresses that were asked for since."""
        sent = [e for e in self.events if e.get("method") == "Network.requestWillBeSent"]
        return [event["params"]["request"]["url"] for event in sent]


@contextlib.contextmanager
def chrome():
    """A Chromium, for as long as the block runs."""
    assert BROWSER, "no Chromium is installed"
    orders, sending = os.pipe()
    receiving, replies = os.pipe()
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as user:
        command = [BROWSER, *FLAGS, f"--user-data-dir={user}", "--remote-debugging-pipe"]
        # Chromium reads its orders from file 3, and answers into file 4.
        shell = f'exec "$@" 3<&{orders} 4>&{replies}'
        process = subprocess.Popen(
            ["bash", "-c", shell, "bash", *command, "about:blank"],
            pass_fds=[orders, replies],
            stderr=subprocess.DEVNULL,
        )
        os.close(orders)
        os.close(replies)
        try:
            with (
                os.fdopen(sending, "wb") as commands,
                os.fdopen(receiving, "rb", buffering=0) as answers,
            ):
                yield Chrome(commands, answers)
        finally:
            process.terminate()
            process.wait()
