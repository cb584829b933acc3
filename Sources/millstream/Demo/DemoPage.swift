/// The page that `millstream demo` serves at `/`: one document without a request to anywhere but
/// the demo server itself (the two event streams, `/demo/publish` and `/demo/info`).
///
/// What is received is put into the page as text, never as HTML. The `id` and `data-…` attributes
/// are what `Tests/System/test_demo_page.py` holds on to.
enum DemoPage {
  static let html: String = #"""
    <!doctype html>
    <html lang="en">
    <head>
    <meta charset="utf-8">
    <meta name="viewport" content="width=device-width, initial-scale=1">
    <meta name="color-scheme" content="light dark">
    <title>Millstream demo</title>
    <link rel="icon" href="data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 16 16'%3E%3Cpath d='M1 5c3-3 4 3 7 0s4 3 7 0M1 11c3-3 4 3 7 0s4 3 7 0' fill='none' stroke='%231b7f86' stroke-width='2' stroke-linecap='round'/%3E%3C/svg%3E">
    <style>
      :root {
        color-scheme: light dark;
        --paper: #f7f7f4; --panel: #ffffff; --well: #fbfbf9;
        --ink: #1b201f; --soft: #59625f; --faint: #68716e;
        --line: #dfe2dd; --edge: #8b9591;
        --water: #0b6b72; --on-water: #ffffff; --wash: #e4f1f1;
        --amber: #8a5200; --amber-wash: #fbf1de; --red: #ae2a1f; --red-wash: #fbe9e6;
        --sans: -apple-system, BlinkMacSystemFont, "Segoe UI", Roboto, "Adwaita Sans", Cantarell, Ubuntu, "Helvetica Neue", "Liberation Sans", Arial, sans-serif;
        --mono: ui-monospace, "SF Mono", SFMono-Regular, Menlo, Consolas, "DejaVu Sans Mono", "Liberation Mono", monospace;
      }
      @media (prefers-color-scheme: dark) {
        :root {
          --paper: #101413; --panel: #161b1a; --well: #131817;
          --ink: #e4e9e7; --soft: #a3adaa; --faint: #8c9793;
          --line: #2a3230; --edge: #65706d;
          --water: #62c6c9; --on-water: #06201f; --wash: #16302f;
          --amber: #e5ad59; --amber-wash: #2b2213; --red: #ff9485; --red-wash: #341c19;
        }
      }
      *, *::before, *::after { box-sizing: border-box; }
      html { -webkit-text-size-adjust: 100%; text-size-adjust: 100%; }
      body {
        margin: 0 auto; max-width: 76rem; padding: 2rem clamp(1rem, 3.2vw, 2.5rem) 1.5rem;
        background: var(--paper); color: var(--ink);
        font: 400 0.9375rem/1.5 var(--sans); font-variant-numeric: tabular-nums;
      }
      h1, h2, p, dl, dd, ol { margin: 0; padding: 0; }
      h2 { font-size: 0.9375rem; font-weight: 650; letter-spacing: -0.005em; }
      code, .mono { font-family: var(--mono); font-size: 0.86em; }
      :focus-visible { outline: 2px solid var(--water); outline-offset: 2px; }
      [hidden] { display: none !important; }

      header { display: grid; grid-template-columns: minmax(0, 1fr) minmax(0, 27rem); gap: 1rem 3rem; align-items: center; }
      h1 { font-size: 1.875rem; line-height: 1.1; font-weight: 680; letter-spacing: -0.028em; }
      #version { margin-left: 0.5rem; color: var(--faint); font: 400 0.8125rem var(--mono); letter-spacing: 0; }
      .lede { margin-top: 0.625rem; max-width: 37em; color: var(--soft); font-size: 1rem; text-wrap: pretty; }

      #flow { display: block; width: 100%; height: auto; overflow: visible; }
      #flow text { fill: var(--ink); font: 500 12px var(--sans); text-anchor: middle; }
      #flow .label { fill: var(--soft); font: 400 10.5px var(--mono); }
      #flow .shape { fill: var(--panel); stroke: var(--edge); stroke-width: 1.25; }
      #flow .thin { fill: none; stroke: var(--edge); stroke-width: 1.25; }
      #flow .turn { fill: none; stroke: var(--water); stroke-width: 2; stroke-linecap: round; stroke-linejoin: round; }
      #flow .wire { fill: none; stroke: var(--edge); stroke-width: 1.25; }
      #flow .pulse { fill: none; stroke: var(--water); stroke-width: 3; stroke-linecap: round; stroke-dasharray: 9 300; stroke-dashoffset: 10; visibility: hidden; }
      #flow .leg[data-state="cut"] .wire { stroke: var(--red); stroke-dasharray: 3 5; }
      #flow .leg[data-state="reconnecting"] .wire, #flow .leg[data-state="connecting"] .wire { stroke-dasharray: 3 5; }
      #flow .leg[data-state="cut"] .shape { stroke: var(--red); stroke-dasharray: 3 3; }
      #flow .leg:not([data-state="open"]) .thin { opacity: 0.35; }

      main { display: grid; grid-template-columns: repeat(2, minmax(0, 1fr)); gap: 1.375rem 1.5rem; margin-top: 1.75rem; }
      .hint { color: var(--soft); font-size: 0.8125rem; }
      .row-of { display: flex; gap: 0.5rem; }
      .under { display: flex; flex-wrap: wrap; justify-content: space-between; gap: 0.125rem 1rem; margin-top: 0.4375rem; min-height: 1.375rem; align-items: center; }
      .check { display: inline-flex; align-items: center; gap: 0.4375rem; color: var(--soft); font-size: 0.8125rem; cursor: pointer; }
      .check input { width: 0.9375rem; height: 0.9375rem; margin: 0; accent-color: var(--water); cursor: inherit; }
      .check:has(input:disabled) { opacity: 0.6; cursor: default; }
      .title { display: block; margin-bottom: 0.4375rem; font-weight: 650; font-size: 0.9375rem; letter-spacing: -0.005em; }

      input[type="text"], #psql-line {
        flex: 1; min-width: 0; border: 1px solid var(--edge); border-radius: 0.4375rem;
        background: var(--panel); color: var(--ink); padding: 0.5rem 0.6875rem;
      }
      input[type="text"] { font: inherit; font-size: 1rem; line-height: 1.375rem; }
      input[type="text"]::placeholder { color: var(--faint); opacity: 1; }
      #psql-line { border-color: var(--line); font: 400 0.78125rem/1.375rem var(--mono); white-space: pre-wrap; overflow-wrap: anywhere; padding-block: 0.5625rem; }

      button {
        flex: none; border: 1px solid var(--edge); border-radius: 0.4375rem; background: var(--panel); color: var(--ink);
        padding: 0.4375rem 0.875rem; font: 550 0.875rem/1.375rem var(--sans); cursor: pointer; touch-action: manipulation;
      }
      button:hover { border-color: var(--water); color: var(--water); }
      button:active { transform: translateY(1px); }
      #publish-button { border-color: var(--water); background: var(--water); color: var(--on-water); padding-inline: 1.125rem; }
      #publish-button:hover { filter: brightness(1.1); }
      #psql-copy { align-self: flex-start; padding-block: 0.5625rem; min-width: 5.25rem; }
      #publish-status[data-state="failed"] { color: var(--red); }

      .pane { display: flex; flex-direction: column; min-width: 0; overflow: hidden; border: 1px solid var(--line); border-radius: 0.75rem; background: var(--panel); }
      .pane-head { display: flex; flex-wrap: wrap; align-items: center; gap: 0.375rem 0.75rem; padding: 0.75rem 0.875rem 0.625rem 1rem; min-height: 3.5rem; }
      .pane-head h2 { font-size: 1.0625rem; }
      .pane-head button { margin-left: auto; padding: 0.25rem 0.75rem; font-size: 0.8125rem; }
      .pane[data-state="open"] .pane-head button:hover { border-color: var(--red); color: var(--red); }
      .pane[data-state="cut"] .pane-head button { border-color: var(--water); color: var(--water); }
      .state { display: inline-flex; align-items: center; gap: 0.4375rem; padding: 0.0625rem 0.625rem 0.0625rem 0.5rem; border-radius: 1rem; background: var(--wash); color: var(--water); font-size: 0.8125rem; font-weight: 550; }
      .state::before { content: ""; width: 0.5rem; height: 0.5rem; border: 2px solid currentColor; border-radius: 50%; }
      .pane[data-state="open"] .state::before { background: currentColor; }
      .pane[data-state="cut"] .state { background: var(--red-wash); color: var(--red); }
      .pane[data-state="cut"] .state::before { border-width: 0 0 2px; border-radius: 0; height: 0; transform: rotate(-45deg); width: 0.625rem; }
      .pane[data-state="connecting"] .state, .pane[data-state="reconnecting"] .state { background: var(--amber-wash); color: var(--amber); }
      .detail { color: var(--soft); font-size: 0.8125rem; }

      .facts { display: grid; grid-template-columns: 10.5em minmax(0, 1fr) auto auto auto; gap: 0.125rem 1.25rem; padding: 0 1rem 0.75rem; font-size: 0.8125rem; }
      .facts div { min-width: 0; }
      .facts dt, .totals dt { color: var(--soft); font-size: 0.75rem; line-height: 1.25rem; white-space: nowrap; }
      .facts dd { font-family: var(--mono); line-height: 1.25rem; white-space: nowrap; overflow: hidden; text-overflow: ellipsis; }
      .facts .number { text-align: right; min-width: 3.75em; }
      .facts dd[data-some="true"] { color: var(--amber); }

      .list { height: clamp(15rem, 100vh - 36.25rem, 46rem); overflow-y: auto; overscroll-behavior: contain; border-block: 1px solid var(--line); background: var(--well); }
      .list:focus-visible { outline-offset: -3px; }
      .list ol { list-style: none; }
      .empty { padding: 1rem; color: var(--faint); font-size: 0.875rem; }
      .list:has(li) .empty { display: none; }
      .item { display: grid; grid-template-columns: 2.75em minmax(0, 1fr) auto 4.5em; gap: 0 0.75rem; align-items: baseline; padding: 0.25rem 1rem 0.25rem 0.8125rem; border-left: 3px solid transparent; line-height: 1.3125rem; }
      .item + .item { border-top: 1px solid color-mix(in srgb, var(--line) 55%, transparent); }
      .item .seq, .item .when, .item .took { font: 400 0.75rem/1.3125rem var(--mono); color: var(--faint); white-space: nowrap; }
      .item .when { text-align: right; }
      .item .text { white-space: pre-wrap; overflow-wrap: anywhere; font-weight: 500; }
      .item[data-kind="tick"] .text { color: var(--soft); font-weight: 400; font-size: 0.875rem; }
      .item .name { margin-right: 0.5em; padding: 0 0.375em; border-radius: 0.25em; background: var(--wash); color: var(--water); font: 400 0.75rem var(--mono); }
      .item[data-replayed="true"] { border-left-color: var(--amber); background: var(--amber-wash); }
      .item[data-replayed="true"] .took { color: var(--amber); font: 600 0.75rem/1.3125rem var(--sans); }
      .item[data-odd] { border-left-color: var(--red); }
      .item[data-odd] .took { color: var(--red); }
      .note { padding: 0.3125rem 1rem; border-block: 1px solid var(--line); background: var(--panel); color: var(--soft); font-size: 0.8125rem; text-align: center; text-wrap: balance; }
      .note:first-child { border-top: 0; }
      .note[data-kind="cut"] { color: var(--red); }
      .note[data-kind="back"] { color: var(--amber); }
      .pane-foot { display: flex; flex-wrap: wrap; justify-content: space-between; align-items: center; gap: 0.125rem 1rem; padding: 0.5rem 1rem; min-height: 2.4375rem; }

      .totals { grid-column: 1 / -1; display: flex; flex-wrap: wrap; gap: 0.5rem 2.75rem; align-items: baseline; border-top: 1px solid var(--line); padding-top: 0.9375rem; }
      .totals div { display: flex; gap: 0.5rem; align-items: baseline; }
      .totals dt { font-size: 0.8125rem; }
      .totals dd { font-weight: 600; }
      .totals .unit { margin-left: auto; color: var(--soft); font-size: 0.8125rem; font-weight: 400; }
      #total-odd[data-some="true"] { color: var(--red); }

      @media (prefers-reduced-motion: no-preference) {
        .item { animation: arrive 1.1s ease-out; }
        @keyframes arrive { from { background: var(--wash); } }
        .pane[data-state="connecting"] .state::before, .pane[data-state="reconnecting"] .state::before { animation: breathe 1.4s ease-in-out infinite; }
        @keyframes breathe { 50% { opacity: 0.25; } }
      }
      @media (max-width: 60rem) { header { grid-template-columns: 1fr; } #flow { max-width: 27rem; } }
      @media (max-width: 68rem) {
        .facts { grid-template-columns: auto auto auto; justify-content: space-between; }
        .facts .number { text-align: left; min-width: 0; }
        .facts .wide { grid-column: auto / span 2; }
        .facts .wide + .wide { grid-column: auto; }
      }
      @media (max-width: 46rem) {
        body { padding-top: 1.25rem; }
        h1 { font-size: 1.625rem; }
        .lede { font-size: 0.9375rem; margin-top: 0.5rem; }
        main { grid-template-columns: minmax(0, 1fr); gap: 1.125rem; margin-top: 1.25rem; }
        .psql { order: 1; }
        .totals { order: 2; }
        .list { height: clamp(9rem, 26vh, 15rem); }
        .pane-head button { padding-block: 0.4375rem; }
        .item { grid-template-columns: 2.5em minmax(0, 1fr) auto 4.5em; gap: 0 0.5rem; }
      }
      @media (forced-colors: active) {
        .item[data-replayed="true"] { border-left-color: Highlight; }
        .item:not([data-replayed="true"]):not([data-odd]) { border-left-color: Canvas; }
      }
    </style>
    </head>
    <body>
    <header>
      <div>
        <h1>Millstream<span id="version"></span></h1>
        <p class="lede">What is committed in Postgres reaches browsers over Server-Sent Events. Below are two
          connections to one stream, <code id="stream">demo:feed</code>. Cut one, publish, and see what it missed
          come back: all of it, once, in order.</p>
      </div>
      <svg id="flow" viewBox="0 0 432 108" role="img" aria-labelledby="flow-title">
        <title id="flow-title">Postgres notifies one libev loop, which writes to every browser.</title>
        <path class="shape" d="M2 26v56c0 6 19 11 43 11s43-5 43-11V26"/>
        <ellipse class="shape" cx="45" cy="26" rx="43" ry="11"/>
        <text x="45" y="65">Postgres</text>
        <path class="wire" d="M88 56H178"/><path class="thin" d="M173 52l5 4-5 4"/>
        <path class="pulse" id="pulse-in" pathLength="100" d="M90 56H178"/>
        <text class="label" x="132" y="46">NOTIFY</text>
        <circle class="shape" cx="218" cy="56" r="36"/>
        <path class="turn" d="M242.4 41.8A28.2 28.2 0 1 1 232.1 31.6"/><path class="turn" d="M226.8 34.6l5.3-3-1.4-5.6"/>
        <text x="218" y="54">libev</text><text x="218" y="68">loop</text>
        <g class="leg" id="flow-a" data-state="connecting">
          <path class="wire" d="M254 56C292 56 292 26 330 26"/><path class="thin" d="M325 22l5 4-5 4"/>
          <path class="pulse" id="pulse-a" pathLength="100" d="M256 56C292 56 292 26 328 26"/>
          <rect class="shape" x="331" y="5" width="98" height="42" rx="5"/><path class="thin" d="M331 15h98"/>
          <text x="380" y="36">Pane A</text>
        </g>
        <g class="leg" id="flow-b" data-state="connecting">
          <path class="wire" d="M254 56C292 56 292 84 330 84"/><path class="thin" d="M325 80l5 4-5 4"/>
          <path class="pulse" id="pulse-b" pathLength="100" d="M256 56C292 56 292 84 328 84"/>
          <rect class="shape" x="331" y="63" width="98" height="42" rx="5"/><path class="thin" d="M331 73h98"/>
          <text x="380" y="94">Pane B</text>
        </g>
        <text class="label" x="281" y="102" id="flow-sse">SSE</text>
      </svg>
    </header>

    <main>
      <form id="publish-form" class="publish" autocomplete="off">
        <label class="title" for="publish-text">Publish from here</label>
        <div class="row-of">
          <input type="text" id="publish-text" maxlength="1000" placeholder="Type something, press Enter" enterkeyhint="send" aria-describedby="publish-status">
          <button type="submit" id="publish-button">Publish</button>
        </div>
        <div class="under">
          <label class="check"><input type="checkbox" id="publish-exclude" disabled> not to pane A</label>
          <span class="hint" id="publish-status" role="status" data-state="idle"></span>
        </div>
      </form>
      <section class="psql" aria-labelledby="psql-title">
        <h2 class="title" id="psql-title">Publish from SQL</h2>
        <div class="row-of">
          <code id="psql-line" aria-labelledby="psql-title">…</code>
          <button type="button" id="psql-copy" aria-label="Copy the psql line">Copy</button>
        </div>
        <div class="under"><span class="hint" id="psql-status" role="status">Any language that speaks SQL publishes in its own transaction.</span></div>
      </section>

      <template id="pane-template">
        <section class="pane" data-state="connecting">
          <div class="pane-head">
            <h2 data-part="title"></h2>
            <span class="state" data-part="state" role="status">connecting</span>
            <span class="detail" data-part="detail"></span>
            <button type="button" data-part="toggle">Cut the connection</button>
          </div>
          <dl class="facts">
            <div class="wide"><dt>Connection</dt><dd data-part="connection">–</dd></div>
            <div class="wide"><dt>Last event id</dt><dd data-part="last-id">–</dd></div>
            <div class="number"><dt>Received</dt><dd data-part="count">0</dd></div>
            <div class="number"><dt>Replayed</dt><dd data-part="replayed">0</dd></div>
            <div class="number" title="Median of the last 50: from the time in the message, or from pressing Publish, to here"><dt>Latency</dt><dd data-part="latency">–</dd></div>
          </dl>
          <div class="list" data-part="scroll" tabindex="0" role="region"><p class="empty">Nothing received yet.</p><ol data-part="list"></ol></div>
          <div class="pane-foot">
            <label class="check"><input type="checkbox" data-part="auto" checked> after a cut, come back by itself in 3 s</label>
          </div>
        </section>
      </template>

      <dl class="totals" id="totals" aria-label="Both panes together">
        <div><dt>Received</dt><dd id="total-received">0</dd></div>
        <div><dt>Replayed after a cut</dt><dd id="total-replayed">0</dd></div>
        <div><dt>Published here</dt><dd id="total-published">0</dd></div>
        <div><dt>Reconnects</dt><dd id="total-reconnects">0</dd></div>
        <div><dt>Twice or out of order</dt><dd id="total-odd">0</dd></div>
      </dl>
    </main>
    <noscript><p>This page needs JavaScript: it is what reads the stream.</p></noscript>

    <script>
    (() => {
      "use strict";
      const streamPath = "/streams/demo:feed";
      const rowsKept = 200, textShown = 2000, samplesKept = 50, seenKept = 2000;
      const backAfterMs = 3000, quietAfterMs = 5000, burstGapMs = 150, hintAfterMs = 6000;
      const eventNames = ["turbo-stream", "tick", "message"];
      const calm = matchMedia("(prefers-reduced-motion: reduce)");
      const byId = (id) => document.getElementById(id);
      const panes = [];
      const totals = { received: 0, replayed: 0, published: 0, reconnects: 0, odd: 0 };
      /** The newest id that any pane of this page has seen: the border between missed and live. */
      let newest = { epoch: "", seq: 0 };
      /** What was published here and has not been seen by every pane yet. */
      let underway = [];

      const clock = (ms) => new Date(ms).toLocaleTimeString("en-GB");
      const seconds = (ms) => (ms < 9950 ? (ms / 1000).toFixed(1) : Math.round(ms / 1000)) + " s";
      const milliseconds = (ms) => (ms < 1 ? "<1" : Math.round(ms)) + " ms";
      const median = (list) => [...list].sort((x, y) => x - y)[list.length >> 1];

      function element(tag, className, text) {
        const made = document.createElement(tag);
        made.className = className;
        if (text !== undefined) made.textContent = text;
        return made;
      }

      function count(name, by = 1) {
        totals[name] += by;
        const shown = byId("total-" + name);
        shown.textContent = totals[name].toLocaleString("en");
        shown.dataset.some = totals[name] > 0;
      }

      /** `17-3fa9` is message 17 of epoch 3fa9; a plain `17` has no epoch. */
      function parseId(id) {
        const found = /^(\d+)(?:-([0-9a-f]+))?$/i.exec(id);
        return found && { seq: Number(found[1]), epoch: found[2] || "" };
      }

      /** The time in a tick, in milliseconds; `exact` is false where it has whole seconds only. */
      function parseTick(data) {
        try {
          const tick = JSON.parse(data), at = Date.parse(tick.at);
          return { n: tick.n, at, exact: !Number.isNaN(at) && /:\d\d\.\d/.test(tick.at) };
        } catch { return null; }
      }

      function pulse(name, delay) {
        const path = byId("pulse-" + name);
        if (calm.matches || document.hidden || path.getAnimations().length) return;
        path.animate(
          [{ visibility: "visible", strokeDashoffset: 9 }, { visibility: "visible", strokeDashoffset: -100 }],
          { duration: 420, delay, easing: "ease-in-out" });
      }

      class Pane {
        constructor(key) {
          this.key = key;
          this.label = "Pane " + key.toUpperCase();
          this.source = null;
          this.state = "connecting";
          this.connectionId = "";
          this.lastId = "";
          this.everOpen = false;
          this.attempt = 0;
          this.count = this.replayed = 0;
          this.samples = [];
          this.seen = new Set();
          this.lost = null;
          this.replay = null;
          this.heardAt = 0;
          this.build();
        }

        build() {
          const root = byId("pane-template").content.firstElementChild.cloneNode(true);
          root.id = "pane-" + this.key;
          root.dataset.pane = this.key;
          this.root = root;
          this.part = {};
          for (const node of root.querySelectorAll("[data-part]")) {
            node.id = root.id + "-" + node.dataset.part;
            this.part[node.dataset.part] = node;
          }
          this.part.title.textContent = this.label;
          root.setAttribute("aria-labelledby", this.part.title.id);
          this.part.scroll.setAttribute("aria-label", "Messages received by " + this.label + ", newest first");
          this.part.toggle.addEventListener("click", () => (this.state === "open" ? this.cut() : this.connect()));
          this.part.auto.addEventListener("change", () => this.state === "cut" && this.armReturn());
          byId("totals").before(root);
        }

        setState(state, text, detail = "") {
          this.state = state;
          this.root.dataset.state = state;
          byId("flow-" + this.key).dataset.state = state;
          if (this.part.state.textContent !== text) this.part.state.textContent = text;
          this.part.detail.textContent = detail;
          this.part.toggle.textContent =
            state === "open" ? "Cut the connection" : state === "cut" ? "Reconnect" : "Try now";
          if (state !== "open") this.setConnection("");
          if (this.key === "a") byId("publish-exclude").disabled = state !== "open";
        }

        setConnection(id) {
          this.connectionId = id;
          this.root.dataset.connectionId = id;
          this.part.connection.textContent = id || "–";
        }

        /** A new EventSource cannot send Last-Event-ID, so the cursor goes into the address. */
        connect() {
          this.drop();
          const cursor = this.lastId ? "?since=" + encodeURIComponent(this.lastId) : "";
          const source = new EventSource(streamPath + cursor);
          this.source = source;
          this.sourceId = "";
          const again = this.everOpen ? "reconnecting" : "connecting";
          this.setState(again, again);
          this.hintTimer = setTimeout(() => this.hint(), hintAfterMs);
          const on = (name, act) => source.addEventListener(name, (event) => {
            if (this.source === source) act(event);
          });
          on("pgbus:connected", (event) => this.connected(event));
          on("pgbus:shutdown", () => this.goodbye());
          on("pgbus:gap-detected", (event) => this.gap(event));
          on("error", () => this.failed());
          for (const name of eventNames) on(name, (event) => this.received(event));
        }

        drop() {
          clearTimeout(this.returnTimer);
          clearTimeout(this.hintTimer);
          clearInterval(this.countdown);
          if (this.source) this.source.close();
          this.source = null;
        }

        cut() {
          this.drop();
          this.setState("cut", "cut");
          this.markLost("Cut at", "Cut for");
          this.armReturn();
        }

        /** A page kept for the back button must not keep its connections. */
        leave() {
          if (this.state === "open") this.markLost("Page left at", "Away for");
          this.drop();
        }

        comeBack() {
          if (this.state === "cut") this.armReturn();
          else this.connect();
        }

        armReturn() {
          clearTimeout(this.returnTimer);
          clearInterval(this.countdown);
          this.part.detail.textContent = "";
          if (!this.part.auto.checked) return;
          let left = backAfterMs / 1000;
          const tell = () => { this.part.detail.textContent = left > 0 ? "back in " + left + " s" : ""; left -= 1; };
          tell();
          this.countdown = setInterval(tell, 1000);
          this.returnTimer = setTimeout(() => this.connect(), backAfterMs);
        }

        /** The browser itself tries again after a lost connection, but never after a refusal. */
        failed() {
          if (this.state === "open") this.markLost("Connection lost at", "Connection lost for");
          const gaveUp = this.source.readyState === EventSource.CLOSED;
          const again = this.everOpen ? "reconnecting" : "connecting";
          const detail = this.everOpen ? "the server is away" : "no answer yet";
          this.setState(again, again, detail);
          if (!gaveUp) return;
          this.drop();
          const pauseMs = Math.min(8000, 1000 * 2 ** this.attempt++) * (0.75 + Math.random() / 2);
          this.returnTimer = setTimeout(() => this.connect(), pauseMs);
        }

        goodbye() {
          this.markLost("Server shut down at", "Server away for");
          this.setState("reconnecting", "reconnecting", "the server is restarting");
        }

        hint() {
          if (this.state !== "connecting" && this.state !== "reconnecting") return;
          if (this.part.detail.textContent) return;
          this.part.detail.textContent = "still waiting: a browser opens six connections to one host, over all tabs";
        }

        connected(event) {
          clearTimeout(this.hintTimer);
          let id = "";
          try { id = JSON.parse(event.data).connectionId; } catch { /* shown as unknown */ }
          this.attempt = 0;
          this.first = true;
          this.heardAt = performance.now();
          this.setState("open", "open");
          this.setConnection(id);
          if (this.everOpen) {
            count("reconnects");
            this.beginReplay();
          }
          this.everOpen = true;
          loadInfo();
        }

        markLost(lostAt, awayFor) {
          if (this.lost) return;
          const note = this.addNote("cut", lostAt + " " + clock(Date.now()));
          this.lost = { at: performance.now(), from: this.lastId, awayFor, note };
        }

        /**
         * What was missed ends at the newest id that this page had seen when the stream opened.
         * If no other pane was open to see it, what comes in one go with the opening was missed.
         */
        beginReplay() {
          const lost = this.lost || { at: performance.now(), from: this.lastId, awayFor: "", note: null };
          const witnessed = panes.some((pane) => pane !== this && pane.state === "open");
          this.replay = {
            what: lost.awayFor + " " + seconds(performance.now() - lost.at), from: lost.from, note: lost.note,
            upTo: { ...newest }, witnessed, lastAt: performance.now(), count: 0,
          };
          this.lost = null;
          this.tellReplay();
        }

        tellReplay() {
          const { note, what, from, count: missed } = this.replay;
          if (!note) return;
          note.dataset.kind = "back";
          note.textContent = what + (from ? ", resumed after " + from : "") + (missed ? ", " + missed + " replayed" : "");
        }

        isReplayed(id) {
          const replay = this.replay;
          if (!replay) return false;
          const now = performance.now();
          const seenElsewhere = id.epoch === replay.upTo.epoch && id.seq <= replay.upTo.seq;
          const inOneGo = !replay.witnessed && now - replay.lastAt < burstGapMs;
          if (!seenElsewhere && !inOneGo) {
            this.replay = null;
            return false;
          }
          replay.lastAt = now;
          replay.count += 1;
          this.tellReplay();
          return true;
        }

        received(event) {
          this.heardAt = performance.now();
          if (this.state === "open") this.part.detail.textContent = "";
          const id = this.isStored(event) ? parseId(event.lastEventId) : null;
          this.sourceId = event.lastEventId;
          this.first = false;
          const odd = id ? this.judge(id, event.lastEventId) : "";
          const replayed = id && !odd ? this.isReplayed(id) : false;
          if (id && !odd) this.moveCursor(id, event.lastEventId);
          this.lastData = event.type + "\n" + event.data;
          this.tally(replayed, odd);
          this.addItem(event, id, replayed, odd);
        }

        /**
         * A frame without an id (never stored) shows the id of the one before it. Only the first
         * frame of a connection can be that very message once more: then it says the same.
         */
        isStored(event) {
          const repeated = this.first && this.lastData === event.type + "\n" + event.data;
          return event.lastEventId !== "" && (event.lastEventId !== this.sourceId || repeated);
        }

        judge(id, text) {
          if (this.seen.has(text)) return "twice";
          const last = parseId(this.lastId);
          return last && last.epoch === id.epoch && id.seq < last.seq ? "out of order" : "";
        }

        moveCursor(id, text) {
          this.lastId = text;
          this.root.dataset.lastEventId = text;
          this.part["last-id"].textContent = text;
          this.part["last-id"].title = text;
          this.seen.add(text);
          if (this.seen.size > seenKept) this.seen.delete(this.seen.values().next().value);
          if (id.epoch !== newest.epoch || id.seq > newest.seq) {
            newest = id;
            pulse("in", 0);
          }
          pulse(this.key, 300);
        }

        tally(replayed, odd) {
          this.count += 1;
          this.root.dataset.count = this.count;
          this.part.count.textContent = this.count.toLocaleString("en");
          count("received");
          if (odd) count("odd");
          if (!replayed) return;
          this.replayed += 1;
          this.root.dataset.replayed = this.replayed;
          this.part.replayed.textContent = this.replayed.toLocaleString("en");
          this.part.replayed.dataset.some = true;
          count("replayed");
        }

        sample(ms) {
          this.samples.push(ms);
          if (this.samples.length > samplesKept) this.samples.shift();
          this.part.latency.textContent = milliseconds(median(this.samples));
        }

        /** From the time in a tick, or from the press of Publish, to now; null if neither is known. */
        latency(event, tick) {
          if (tick) {
            const ms = tick.exact ? Date.now() - tick.at : -1;
            return ms >= 0 && ms < 60000 ? ms : null;
          }
          const mine = underway.find((sent) => sent.text === event.data && !sent.seenBy.has(this.key));
          if (!mine) return null;
          mine.seenBy.add(this.key);
          return performance.now() - mine.at;
        }

        addItem(event, id, replayed, odd) {
          const tick = event.type === "tick" ? parseTick(event.data) : null;
          const ms = this.latency(event, tick);
          if (ms !== null && !replayed) this.sample(ms);
          const item = element("li", "item");
          Object.assign(item.dataset, {
            kind: tick ? "tick" : "message", event: event.type, id: id ? event.lastEventId : "", replayed,
          });
          if (odd) item.dataset.odd = odd;
          const text = element("span", "text");
          if (event.type !== "tick" && event.type !== "turbo-stream") text.append(element("span", "name", event.type));
          const data = tick ? "tick " + tick.n : event.data;
          const body = element("span", "body", data.length > textShown ? data.slice(0, textShown) + "…" : data);
          text.append(body);
          if (data.length > textShown) text.append(" (" + data.length.toLocaleString("en") + " characters)");
          const mark = odd || (replayed ? "replayed" : !id ? "not stored" : ms === null ? "" : milliseconds(ms));
          item.append(
            element("span", "seq", id ? String(id.seq) : "–"), text, element("span", "took", mark),
            element("span", "when", clock(Date.now())));
          this.addRow(item);
        }

        addNote(kind, text) {
          const note = element("li", "note", text);
          note.dataset.kind = kind;
          this.addRow(note);
          return note;
        }

        addRow(row) {
          const list = this.part.list;
          list.prepend(row);
          while (list.childElementCount > rowsKept) list.lastElementChild.remove();
        }

        gap(event) {
          let text = "Gap: some messages are no longer kept";
          try {
            const gap = JSON.parse(event.data);
            text = "Gap: what came after " + gap.lastSeenId + " is kept from " + gap.archiveOldestId + " on only";
          } catch { /* the plain sentence will do */ }
          this.addNote("gap", text);
        }

        tellQuiet() {
          const quietMs = performance.now() - this.heardAt;
          if (this.state === "open" && quietMs > quietAfterMs) {
            this.part.detail.textContent = "quiet for " + Math.round(quietMs / 1000) + " s";
          }
        }
      }

      async function loadInfo() {
        try {
          const answer = await fetch("/demo/info", { cache: "no-store" });
          if (!answer.ok) return;
          const info = await answer.json();
          byId("psql-line").textContent = info.psql;
          byId("stream").textContent = info.stream;
          byId("version").textContent = info.version;
        } catch { /* comes with the next connection */ }
      }

      function tellPublish(state, text) {
        const shown = byId("publish-status");
        shown.dataset.state = state;
        shown.textContent = text;
      }

      async function publish(text) {
        const excluded = byId("publish-exclude").checked && panes[0].connectionId;
        // A lone surrogate has no UTF-8, and encodeURIComponent throws on it.
        const data = text.replace(/[\uD800-\uDFFF]/gu, "\uFFFD");
        const exclude = excluded ? "&exclude=" + encodeURIComponent(excluded) : "";
        const sent = { text: data, at: performance.now(), seenBy: new Set(excluded ? ["a"] : []) };
        underway = underway.filter((one) => sent.at - one.at < 30000 && one.seenBy.size < panes.length);
        underway.push(sent);
        tellPublish("sending", "…");
        const give = new AbortController(), timer = setTimeout(() => give.abort(), 8000);
        try {
          const answer = await fetch("/demo/publish?data=" + encodeURIComponent(data) + exclude,
            { method: "POST", signal: give.signal });
          if (!answer.ok) throw new Error((await answer.text()).trim().slice(0, 200) || "HTTP " + answer.status);
          count("published");
          tellPublish("done", "Sent in " + milliseconds(performance.now() - sent.at) + (excluded ? ", not to pane A" : ""));
          return true;
        } catch (error) {
          underway = underway.filter((one) => one !== sent);
          const reason = error.name === "AbortError" ? "no answer in 8 s; is this page open in other tabs?"
            : error instanceof TypeError ? "the server is away" : error.message;
          tellPublish("failed", "Not published: " + reason);
          return false;
        } finally { clearTimeout(timer); }
      }

      byId("publish-form").addEventListener("submit", async (event) => {
        event.preventDefault();
        const box = byId("publish-text"), text = box.value;
        if (!text) return tellPublish("idle", "Type something first");
        box.value = "";
        if (!(await publish(text)) && !box.value) box.value = text;
      });

      byId("psql-copy").addEventListener("click", async () => {
        const line = byId("psql-line"), button = byId("psql-copy");
        let copied = true;
        try { await navigator.clipboard.writeText(line.textContent); } catch {
          getSelection().selectAllChildren(line);
          copied = document.execCommand("copy");
        }
        button.textContent = copied ? "Copied" : "Selected";
        byId("psql-status").textContent = copied ? "Copied. Paste it into a terminal." : "Selected: copy it with the keyboard.";
        setTimeout(() => { button.textContent = "Copy"; }, 1600);
      });

      for (const key of ["a", "b"]) panes.push(new Pane(key));
      for (const pane of panes) pane.connect();
      loadInfo();
      setInterval(() => panes.forEach((pane) => pane.tellQuiet()), 1000);
      addEventListener("pagehide", () => panes.forEach((pane) => pane.leave()));
      addEventListener("pageshow", (event) => { if (event.persisted) panes.forEach((pane) => pane.comeBack()); });
    })();
    </script>
    </body>
    </html>
    """#
}
