"""docs/PERFORMANCE.md and its plots, from what measure.py measured. The SVG is made here, line by line."""

import datetime
import html
import pathlib
import statistics

HMAC = "oauth1-hmac-sha1"


def processor():
    for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return "unknown"


def median(case, name):
    return statistics.median(result[name] for result in case.results)


def named(cases, name):
    return next((case for case in cases if case.name == name and case.results), None)


def bars(cases, facts):
    """The bars: (what, measured, bar, whether more is better). Measured is None where the case did not run."""

    def ratio(name):
        case = named(cases, name)
        return statistics.median(case.ratios) if case and case.ratios else None

    def cpu(name):
        case = named(cases, name)
        return statistics.median(case.cpu_ratios) if case and case.cpu_ratios else None

    def times(library, where):
        ours, theirs = named(cases, f"{HMAC}, 64"), named(cases, f"{library}'s provider, nonces in {where}, 64")
        if not (ours and theirs):
            return None
        return median(ours, "requests_per_second") / median(theirs, "requests_per_second")

    def against(name, other, of=lambda case: [result["requests_per_second"] for result in case.results]):
        """The median of the ratios of two cases that were measured one after the other in each round."""
        case, other = named(cases, name), named(cases, other)
        if not (case and other):
            return None
        return statistics.median(ours / theirs for ours, theirs in zip(of(case), of(other)))

    asking, itself = "nginx asking Countersign, 64", "Countersign as the proxy, 64"
    plain = "nginx asking Countersign, no request ids, 64"
    tails = [case.tail["p99_ms"] if case and case.tail else None for case in (named(cases, itself), named(cases, asking))]
    main = named(cases, f"{HMAC}, 256")
    flood = against(f"{HMAC} during a flood of guesses, 256", f"{HMAC}, 256")
    tail = main.tail["p99_ms"] if main and main.tail else None
    loaded = named(cases, "api-key, 1024")
    memory = max(result["resident_mib"] for result in loaded.results) if loaded else None
    return [
        ("HMAC-SHA1, durable, 256 connections ÷ hello world", ratio(f"{HMAC}, 256"), 0.52, True),
        ("the same, 64 connections", ratio(f"{HMAC}, 64"), 0.45, True),
        ("CPU per request ÷ hello world's", cpu(f"{HMAC}, 256"), 2.0, False),
        ("with 2 ms added to every commit, 1,024 connections", ratio(f"{HMAC}, 2 ms a commit, 1024"), 0.37, True),
        ("RSA-SHA1, 2048 bits", ratio("oauth1-rsa-sha1, 256"), 0.18, True),
        ("PostgreSQL", ratio(f"{HMAC}, PostgreSQL, 256"), 0.30, True),
        ("Redis", ratio(f"{HMAC}, Redis, 256"), 0.40, True),
        ("÷ oauthlib's provider, both with durable nonces", times("oauthlib", "SQLite"), 50, True),
        ("÷ Authlib's provider, both with durable nonces", times("Authlib", "SQLite"), 50, True),
        ("÷ oauthlib's provider that remembers nonces in its memory", times("oauthlib", "memory"), 50, True),
        ("÷ Authlib's provider that remembers nonces in its memory", times("Authlib", "memory"), 50, True),
        ("Basic with an API key", ratio("api-key, 256"), 0.75, True),
        ("Basic with a verified password", ratio("password, 256"), 0.70, True),
        ("Digest", ratio("digest, 256"), 0.60, True),
        ("JWT", ratio("jwt, 256"), 0.65, True),
        ("signed traffic during a flood of guesses ÷ without", flood, 0.7, True),
        ("p99 in ms at 70 % of its own maximum", tail, 3.0, False),
        ("nginx asking Countersign ÷ nginx asking a bare 204", against(asking, "nginx asking a bare 204, 64"), 0.80, True),
        ("the same without `gateway.request_id_header`", against(plain, "nginx asking a bare 204, 64"), 0.80, True),
        ("Countersign as the proxy ÷ nginx asking it, same upstream", against(itself, asking), 0.9, True),
        ("their p99 at the same rate, the first ÷ the second", tails[0] / tails[1] if all(tails) else None, 1.5, False),
        ("resident MiB after the start", facts.get("started_mib"), 40, False),
        ("resident MiB at rest, after password checks and 1,024 connections", facts.get("idle_mib"), None, False),
        ("resident MiB under 1,024 connections, without nonces", memory, 100, False),
        *facts.get("scale", []),
    ]


def verdict(value, bar, more):
    if value is None:
        return "not measured"
    if bar is None:
        return ""
    return "met" if (value >= bar) == more or value == bar else "missed"


def number(value):
    if value is None:
        return "–"
    return f"{value:.2f}" if value < 10 else f"{value:.0f}"


def bars_text(cases, facts):
    """The bars for the terminal; only those that were measured."""
    lines = [
        f"{what:56} {number(value):>7}  bar {bar or '–':<5} {verdict(value, bar, more)}"
        for what, value, bar, more in bars(cases, facts)
        if value is not None
    ]
    return "\n".join(lines)


def plot(title, rows, unit="", marks=None):
    """Horizontal bars as SVG. `rows`: (label, value); `marks`: label → a value to reach, drawn as a line."""
    marks = marks or {}
    left, width, height, top = 330, 420, 24, 46
    most = max([value for _, value in rows] + list(marks.values()) + [1e-9])
    total = top + height * len(rows) + 14
    out = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{left + width + 90}" height="{total}" '
        f'viewBox="0 0 {left + width + 90} {total}" role="img" font-family="sans-serif" font-size="13">',
        f"<title>{html.escape(title)}</title>",
        '<rect width="100%" height="100%" fill="#ffffff"/>',
        f'<text x="12" y="26" font-size="15" font-weight="bold" fill="#1b1f24">{html.escape(title)}</text>',
    ]
    for place, (label, value) in enumerate(rows):
        y = top + place * height
        length = width * value / most
        color = "#8b949e" if label.startswith(("hello", "nginx")) or "provider" in label else "#1f6feb"
        out += [
            f'<text x="{left - 10}" y="{y + 15}" text-anchor="end" fill="#1b1f24">{html.escape(label)}</text>',
            f'<rect x="{left}" y="{y + 2}" width="{length:.1f}" height="{height - 7}" fill="{color}"/>',
            f'<text x="{left + length + 6:.1f}" y="{y + 15}" fill="#1b1f24">{number(value)}{html.escape(unit)}</text>',
        ]
        if label in marks:
            x = left + width * marks[label] / most
            out.append(
                f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{y}" y2="{y + height - 3}" stroke="#cf222e" stroke-width="2"/>'
            )
    out.append("</svg>\n")
    return "\n".join(out)


def table(cases):
    rows = [
        "| case | requests/s | ÷ hello | CPU µs/request | ÷ hello's | p50 ms | p99 ms | p99 ms at 70 % | resident MiB |",
        "| --- | --: | --: | --: | --: | --: | --: | --: | --: |",
    ]
    for case in cases:
        if not case.results:
            continue
        ratio = f"{statistics.median(case.ratios):.3f}" if case.ratios else "–"
        cpu = f"{statistics.median(case.cpu_ratios):.2f}" if case.cpu_ratios else "–"
        tail = f"{case.tail['p99_ms']:.2f}" if case.tail else "–"
        rows.append(
            f"| {case.name} | {median(case, 'requests_per_second'):,.0f} | {ratio} | {median(case, 'cpu_us_per_request'):.1f} "
            f"| {cpu} | {median(case, 'p50_ms'):.2f} | {median(case, 'p99_ms'):.2f} | {tail} "
            f"| {max(result['resident_mib'] for result in case.results):.0f} |"
        )
    return "\n".join(rows)


def write(path, cases, lost, facts):
    folder = path.parent / "performance"
    folder.mkdir(parents=True, exist_ok=True)
    measured = [case for case in cases if case.results]
    found = bars(cases, facts)

    throughput = [(case.name, statistics.median(case.ratios)) for case in measured if case.ratios]
    marks = {f"{HMAC}, 256": 0.52, f"{HMAC}, 64": 0.45, "oauth1-rsa-sha1, 256": 0.18, "api-key, 256": 0.75}
    marks |= {"password, 256": 0.70, "digest, 256": 0.60, "jwt, 256": 0.65, f"{HMAC}, 2 ms a commit, 1024": 0.37}
    marks |= {f"{HMAC}, PostgreSQL, 256": 0.30, f"{HMAC}, Redis, 256": 0.40}
    marks = {label: bar for label, bar in marks.items() if any(label == name for name, _ in throughput)}
    plots = {
        "throughput.svg": plot("Requests per second, as a share of hello world's (red: the bar)", throughput, marks=marks),
        "cpu.svg": plot(
            "CPU time per request, in µs", [(case.name, median(case, "cpu_us_per_request")) for case in measured
                                            if "provider" not in case.name and "apr1" not in case.name]
        ),
        "latency.svg": plot(
            "99th percentile at 70 % of the case's own maximum, in ms",
            [(case.name, case.tail["p99_ms"]) for case in measured if case.tail],
            " ms",
        ),
    }
    for name, text in plots.items():
        (folder / name).write_text(text)

    lines = [
        "# Performance",
        "",
        "Written by `./tests/bench/run`; run it to get the figures of your own machine. What counts is the ratio to an actix-web",
        "“hello world” that answers the same JSON and checks nothing, measured in the same interleaved round.",
        "",
        f"Measured {datetime.date.today().isoformat()} on {facts['cpu']}, {facts['cores']} cores, Linux {facts['kernel']}: "
        f"rounds: {facts['rounds']}, of {facts['seconds']} s a case,",
        f"the server on core {facts['server_core']}, the load generator on core {facts['generator_core']}, keep-alive, no "
        "pipelining, every answer checked to be a 200.",
        "Figures are medians over the rounds.",
        "",
        "## The bars",
        "",
        "| what | measured | bar | |",
        "| --- | --: | --: | --- |",
    ]
    for what, value, bar, more in found:
        wanted = f"{'≥' if more else '≤'} {bar}" if bar is not None else "–"
        lines.append(f"| {what} | {number(value)} | {wanted} | {verdict(value, bar, more)} |")
    lines += ["", "## All cases", "", "![Throughput](performance/throughput.svg)", "", table(measured), ""]
    lines += ["![CPU](performance/cpu.svg)", "", "![Latency](performance/latency.svg)", ""]
    if lost:
        lines += ["Not measured:", ""]
        lines += [f"- {name}: {why.splitlines()[0] if why else 'no reason given'}" for name, why in lost.items()] + [""]
    lines += [
        "## How it is measured",
        "",
        "- The generator (`tests/bench/`) signs all requests just before the run, then sends them from one thread over N",
        "  keep-alive connections with one request in flight on each. A second, open loop sends at 70 % of the case's median",
        "  maximum; there latency counts from the time at which a request was due, and the best of several tries is given.",
        "- CPU time is user and system time of the server from `/proc`, divided by the requests; for PostgreSQL and Redis their",
        "  own CPU time is counted, and they share the server's core.",
        "- “2 ms a commit” adds two milliseconds to every commit of the replay journal, as a slower disk would.",
        "- Passwords, API keys and JWTs are sent again and again, as scripts do; each was checked in full the first time.",
        "- In front of an API: nginx runs `docs/deploy/nginx.conf`, the API behind is hello world, and all of it shares one core.",
        "  The bare 204 is an actix handler that answers every question of nginx so. Their latency is measured at one rate, 70 % of",
        "  the slowest's maximum. “assertions” is `gateway.assertion = true`: an ES256 signature for each request.",
        "- oauthlib's and Authlib's providers run in Flask under gunicorn (one gthread worker, 8 threads, keep-alive), with their",
        "  one client and token in memory, which spares them a store. Their nonces are in SQLite, as durable as ours by default",
        "  (WAL, `synchronous=FULL`, one commit a request), or in memory. nginx serves a file of the same size.",
    ]
    if facts["shared_core"]:
        lines.append("- This machine has two cores, so two workers share one core too: their case shows the cost of a second worker.")
    path.write_text("\n".join(lines) + "\n")
