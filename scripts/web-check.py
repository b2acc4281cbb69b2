#!/usr/bin/env python3
"""Opens the page of net-watcher in a headless Chromium, and checks what it shows of
changes, of a lost connection and of what was missed; light and dark, by keyboard and for
screen readers; and what pages of other origins can read.

usage: web-check.py NET-WATCHER CHROMIUM PORT FOLDER    (web-check.sh calls it)

FOLDER gets the pictures of docs/guide.md, page-light.png and page-dark.png."""

import base64, functools, http.server, json, os, subprocess, sys, threading, time

program, chromium, port, folder = sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4]
here = os.path.dirname(os.path.abspath(__file__))
url = f"http://localhost:{port}"
os.chdir(folder)


class Browser:
    """A Chromium, spoken to in the DevTools protocol over a pipe: JSON ended by NUL."""

    def __init__(self):
        ours, self.out = os.pipe()
        self.into, theirs = os.pipe()

        def descriptors():  # Chromium reads from 3 and writes to 4
            a, b = os.dup(ours), os.dup(theirs)
            os.dup2(a, 3)
            os.dup2(b, 4)

        self.process = subprocess.Popen(
            [chromium, "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
             f"--user-data-dir={folder}/profile", "--remote-debugging-pipe", "--window-size=900,700",
             "--host-resolver-rules=MAP rebound.example 127.0.0.1", "about:blank"],
            preexec_fn=descriptors, close_fds=False, stdout=subprocess.DEVNULL, stderr=open("chromium.log", "w"))
        os.close(ours)
        os.close(theirs)
        self.number, self.events, self.rest, self.session = 0, [], b"", None
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self.session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in "Page", "Runtime", "Log", "Accessibility":
            self.call(domain + ".enable")

    def call(self, method, **params):
        self.number += 1
        message = {"id": self.number, "method": method, "params": params}
        if self.session:
            message["sessionId"] = self.session
        os.write(self.out, json.dumps(message).encode() + b"\0")
        while True:
            while b"\0" not in self.rest:
                more = os.read(self.into, 1 << 16)
                if not more:
                    die("Chromium has ended", open("chromium.log").read()[-2000:])
                self.rest += more
            text, self.rest = self.rest.split(b"\0", 1)
            answer = json.loads(text)
            if answer.get("id") == self.number:
                if "error" in answer:
                    die(method, answer["error"])
                return answer["result"]
            self.events.append(answer)

    def open(self, where):
        self.call("Page.navigate", url=where)

    def value(self, expression):
        result = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        return result["result"].get("value")

    def wait(self, what, expression):
        end = time.time() + 60
        while time.time() < end:
            if self.value(expression):
                print("ok:", what)
                return
            time.sleep(0.1)
        self.picture("failed.png")
        die("waited in vain: " + what, self.value("document.documentElement.innerText"))

    def picture(self, name, **size):
        if size:
            self.call("Emulation.setDeviceMetricsOverride", deviceScaleFactor=1.5, mobile=False, **size)
        data = self.call("Page.captureScreenshot", format="png")["data"]
        with open(name, "wb") as f:
            f.write(base64.b64decode(data))

    def prefer(self, scheme):
        self.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])

    def key(self, key):
        for kind in "keyDown", "keyUp":
            self.call("Input.dispatchKeyEvent", type=kind, key=key, code=key, windowsVirtualKeyCode={"Tab": 9}[key])

    def problems(self):
        """What the console has, but that the server was away."""
        return [e["params"]["entry"]["text"] for e in self.events if e["method"] == "Log.entryAdded"
                and "ERR_" not in e["params"]["entry"]["text"]] + [e for e in self.events if e["method"] == "Runtime.exceptionThrown"]


def die(*why):
    print("web-check.py:", *why, file=sys.stderr)
    sys.exit(1)


def check(what, ok, *got):
    if not ok:
        die(what, *got)
    print("ok:", what)


server = None


def serve(*flags, targets=("a.txt", "d", "gone")):
    global server
    log = open("server.log", "a")
    server = subprocess.Popen([program, "-listen", url, "-interval", "50ms", *flags, *targets], stderr=log)


def stop():
    server.terminate()
    check("the server ends", server.wait(10) == 0)


def write(name, text):
    with open(name, "w") as f:
        f.write(text)


status = "document.getElementById('status').textContent"
rows = "[...document.querySelectorAll('#changes tr')].map(r => r.innerText)"


def has_row(text):
    return f"{rows}.some(r => r.includes({json.dumps(text)}))"


def page(browser):
    browser.wait("the page is connected", f"{status} === 'connected'")
    browser.wait("it shows three targets", "document.querySelectorAll('#targets tr').length === 3")
    write("a.txt", "changed")
    browser.wait("it shows a change", has_row("modified\ta.txt"))
    write("d/<img src=x onerror=alert(1)>", "")
    browser.wait("it shows a name as it is", has_row("created\td/<img src=x onerror=alert(1)>"))
    write("gone", "here")
    browser.wait("it shows a target that has come", "document.getElementById('targets').innerText.includes('4 bytes')")
    browser.wait("a screen reader hears of it", "document.getElementById('spoken').textContent.includes('modified a.txt')")

    for what, event, want in (
            ("a time that JSON cannot say is left out", "{size: 4}", "4 bytes"),
            ("what a missed leaves open stays open", "{change: 'missed'}", "changed"),
            ("a count of the greeting has its time", "{unreadable: 2}", "directory, 2 unreadable below it at ")):
        got = browser.value(f"describe({event})")
        check(what, got == want or want.endswith(" at ") and got.startswith(want), got)

    stop()
    browser.wait("the page says that the connection is lost", f"{status}.startsWith('connection lost')")
    write("a.txt", "changed while nobody was connected")
    serve()
    browser.wait("and that it is back", f"{status}.startsWith('connected again')")
    browser.wait("and what was missed", has_row("missed while disconnected\ta.txt"))
    check("and nothing else", browser.value(f"{rows}.filter(r => r.includes('missed')).length") == 1, browser.value(rows))

    for scheme, color in ("light", "rgb(0, 0, 0)"), ("dark", "rgb(255, 255, 255)"):
        browser.prefer(scheme)
        got = browser.value("getComputedStyle(document.body).color")
        check(f"the page is {scheme}", got == color, got)

    names = []
    for _ in range(3):
        browser.key("Tab")
        names.append(browser.value("document.activeElement.getAttribute('aria-labelledby')"))
    check("Tab leads to both tables", {"t", "c"} <= set(names), names)
    tree = browser.call("Accessibility.getFullAXTree")["nodes"]
    shown = {(n.get("role", {}).get("value"), n.get("name", {}).get("value")) for n in tree if not n.get("ignored")}
    roles = {role for role, _ in shown}
    check("a screen reader finds its way", {("heading", "net-watcher"), ("heading", "Targets"), ("region", "Changes")} <= shown
          and {"status", "columnheader", "main"} <= roles, shown)
    check("no script or style was refused", browser.problems() == [], browser.problems())


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *args):
        pass


def others(browser):
    """What a page of another origin, and one of a rebound name, can read."""
    with open(os.path.join(here, "../docs/guide.md")) as f:  # the lines for a live reload
        lines = f.read().split("```html\n", 1)[1].split("```", 1)[0]
    write("page/index.html", "<!doctype html><title>dev</title>\n" + lines.replace("http://localhost:8080", url))
    other = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory="page"))
    threading.Thread(target=other.serve_forever, daemon=True).start()
    origin = f"http://localhost:{other.server_port}"
    read = "Promise.all(['/', '/events', '/healthz', '/metrics'].map(p => fetch('%s' + p).then(r => (r.body.cancel(), r.status), e => 'refused'))).then(all => all.join())" % url

    browser.open(origin)
    browser.wait("a page of another origin", "document.title === 'dev'")
    got = browser.value(read)
    check("it reads nothing", got == "refused,refused,refused,refused", got)
    stop()
    serve("-origin", origin)
    browser.open(origin + "/?again")
    browser.wait("with -origin it reads", read + ".then(s => s === '200,200,200,200')")
    browser.value("window.old = true")
    browser.wait("and it is connected", """fetch('%s/metrics').then(r => r.text()).then(t => t.includes('subscribers{transport="http"} 1'))""" % url)
    os.utime("a.txt", (1, 1))  # one change, and not two, as to write would be
    browser.wait("and reloads, with the lines of the guide", "document.title === 'dev' && !window.old")
    browser.open(f"http://rebound.example:{port}/")
    browser.wait("a name that was bound anew is refused", "document.body.innerText.includes('no host \"rebound.example\" here')")


def pictures(browser):
    """The page as people see it most: a file and a directory, and some changes."""
    os.makedirs("site/posts")
    write("nginx.conf", "user www-data;\n")
    write("site/posts/first.md", "# First\n")
    serve(targets=["nginx.conf", "site"])
    browser.open(url + "/")
    browser.wait("a page to take pictures of", f"{status} === 'connected'")
    write("site/posts/second.md", "# Second\n")
    browser.wait("a file that has come", has_row("created\tsite/posts/second.md"))
    write("nginx.conf", "user www-data;\nevents {}\n")
    browser.wait("a file that is longer", has_row("modified\tnginx.conf"))
    os.remove("site/posts/first.md")
    browser.wait("a file that has gone", has_row("removed\tsite/posts/first.md"))
    for scheme in "light", "dark":
        browser.prefer(scheme)
        browser.picture(f"page-{scheme}.png", width=820, height=400)
    stop()


os.makedirs("d", exist_ok=True)
os.makedirs("page", exist_ok=True)
write("a.txt", "")
serve()
browser = Browser()
try:
    browser.open(url + "/")
    browser.wait("the page", "document.title === 'net-watcher'")
    page(browser)
    others(browser)
    stop()
    pictures(browser)
finally:
    browser.process.terminate()
    browser.process.wait()
    if server.poll() is None:
        server.terminate()
        server.wait()
