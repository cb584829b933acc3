// Millstream in the browser: <millstream-source> and MillstreamSource. The types, and what each thing means,
// are in millstream.d.ts; the article "Browser" is the manual. Lines that are comments are not served.
//
// A Hub is the one connection to an address. Its subscriptions each know where they stand in their stream,
// so that one that comes later with an earlier place gets what the others have had, and they get it once.
// In a shared hub, every tab tells its subscriptions to the one that leads, which tells every event to all.

/** @typedef {import("./millstream").MillstreamSource | import("./millstream").MillstreamSourceElement} Target */
/** @typedef {{key: number, name: string, at: Record<string, string>, pause?: number, target?: Target}} Subscription */
/** @typedef {{name?: string, pattern?: string, id?: string, status?: number}} Entry */
/** @type {Window & {Turbo?: {connectStreamSource: Function, disconnectStreamSource: Function}}} */
const page = window;

// How long a server may be silent, whose heartbeat comes every 15 s; and the longest pauses, in ms: after
// a fault, and after a refusal, which seldom helps to be asked again.
const silenceMs = 45e3, faultMs = 3e4, refusalMs = 6e5, dayMs = 864e5;
const mostStreams = 256, closed = "millstream:closed";

const parse = (text) => {
  try { return JSON.parse(text) || {} } catch { return {} }
};

/** @type {Record<string, Hub>} */
const hubs = {};
const eachHub = (act) => Object.values(hubs).forEach(act);
// The page is kept for the back button, or frozen: it may have no connection.
let away = false;

class Hub {
  /** Those of this page.
   * @type {Set<Subscription>} */
  own = new Set();
  /** The subscriptions of the other tabs, by tab, as far as they concern the one that leads.
   * @type {Record<string, Subscription[]>} */
  others = {};
  /** For how many minutes each of these tabs has said nothing.
   * @type {Record<string, number>} */
  silent = {};
  /** What the present connection is for.
   * @type {Subscription[]} */
  asked = [];
  /** Those for which it has no room.
   * @type {Subscription[]} */
  beyond = [];
  /** What the server said of each subscription that the connection is for. Those that are not in it yet get
   * nothing from it: it began without regard to where they stand.
   * @type {Record<string, Entry>} */
  entries = {};
  cursor = "";
  retryMs = 2e3;
  faults = 0;
  tab = Math.random();

  constructor(key, url, credentials, shared) {
    this.key = key;
    this.url = url;
    this.credentials = credentials;
    this.leads = !(this.shared = shared);
  }

  // Elements come and go many at a time, and tabs answer one by one: one look at all of them, afterwards.
  change() {
    this.due ||= setTimeout(() => this.settle(), this.shared ? 50 : 0);
  }

  settle(isAsked) {
    clearTimeout(this.due);
    this.due = 0;
    const own = away || this.paused ? [] : [...this.own];
    if (!this.own.size) delete hubs[this.key];
    if (this.shared) {
      if (own[0]) this.join();
      // What is told again would be connected for again.
      if (this.told != (this.told = own.map((one) => one.key) + "") || isAsked) this.channel?.postMessage({
        tab: this.tab, cursor: this.cursor, list: own.map(({ key, name, at }) => ({ key, name, at }))
      });
      if (!own[0]) this.leave();
    }
    const wanted = this.leads ? [...own, ...Object.values(this.others).flat()] : [];
    this.beyond = wanted.splice(mostStreams);
    if (wanted.length == this.asked.length && wanted.every((one) => this.asked.includes(one))) return;
    this.asked = wanted;
    this.close();
    if (wanted[0]) this.connect();
  }

  // One connection for all tabs

  join() {
    if (this.channel) return;
    const channel = this.channel = new BroadcastChannel(this.key), waiting = new AbortController();
    channel.onmessage = ({ data }) => {
      if (data.who) this.settle(true);
      else if (data.hurry) this.hurry();
      else if (!data.tab) this.receive(data);
      else if (this.leads) {
        this.silent[data.tab] = 0;
        if (!data.list) return;
        // What is no subscription throws before it is kept.
        const list = data.list.filter(({ name, at }) => name && at);
        if (list[0]) this.others[data.tab] = list;
        else delete this.others[data.tab];
        this.cursor = data.cursor || this.cursor;
        this.change();
      }
    };
    navigator.locks.request(this.key, { signal: waiting.signal }, () => new Promise((release) => {
      this.free = release;
      this.leads = true;
      channel.postMessage({ who: 1 });
      this.change();
    })).catch(() => {
      if (waiting.signal.aborted) return;
      // There are none, as in a frame with an origin of its own, or somebody has taken it: alone, then.
      channel.close();
      this.others = {};
      this.leads = !(this.shared = this.channel = this.free = null);
      this.change();
    });
    this.free = () => waiting.abort();
    // A tab that crashes does not say goodbye.
    this.pulse = setInterval(() => {
      this.channel?.postMessage({ tab: this.tab });
      for (const tab in this.others) if (this.silent[tab]++ > 2) {
        delete this.others[tab];
        this.change();
      }
    }, 6e4);
  }

  leave() {
    clearInterval(this.pulse);
    this.channel?.close();
    this.free?.();
    this.channel = this.free = this.leads = null;
    this.others = {};
    this.entries = {};
    this.tellAll();
  }

  // The connection

  close() {
    clearTimeout(this.timer);
    clearTimeout(this.later);
    this.current?.abort();
    this.current = null;
    this.tellAll();
  }

  async connect() {
    const current = this.current = new AbortController(), url = new URL(this.url);
    const add = (name, value) => value && url.searchParams.append(name, value);
    for (const { name, at } of this.asked) {
      url.searchParams.append("s", name);
      add("since", at[""]);
    }
    add("cursor", this.cursor);
    const listen = () => {
      clearTimeout(this.timer);
      this.timer = setTimeout(() => current.abort(), silenceMs);
    };
    let rest = "", status, leastMs = 0;
    this.reason = "network";
    listen();
    try {
      const response = await fetch(url, { signal: current.signal, credentials: this.credentials, cache: "no-store" });
      leastMs = +response.headers.get("retry-after") * 1e3 || 0;
      // With `Retry-After`, an event stream is a refusal for those who understand nothing else.
      status = response.ok ? leastMs && 503 : response.status;
      if (response.ok) {
        const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
        for (let part; !(part = await reader.read()).done;) {
          if (this.current != current) return;
          listen();
          const blocks = (rest + part.value).split("\n\n");
          rest = blocks.pop();
          for (const block of blocks) this.read(block);
        }
      }
    } catch {}
    if (this.current == current) this.failed(status, leastMs);
  }

  failed(status, leastMs) {
    this.close();
    if (status == 400) this.cursor = "";
    const retryMs = Math.min(Math.max(this.pauseMs(status < 500 ? refusalMs : faultMs), leastMs), dayMs);
    if (status) this.send({ down: "refused", detail: { status, retryMs } });
    else this.send({ down: "closed", detail: { reason: this.reason, retryMs } });
    this.timer = setTimeout(() => this.connect(), retryMs);
  }

  // Twice as long after each fault, and never the same for all
  pauseMs(mostMs) {
    return Math.min(this.retryMs * 2 ** this.faults++, mostMs) * (.5 + Math.random() / 2);
  }

  // There is a network again, or somebody looks: no need to wait.
  hurry() {
    if (this.current || !this.asked[0]) return;
    clearTimeout(this.timer);
    this.connect();
  }

  read(block) {
    const fields = {};
    for (const line of block.split("\n")) {
      const colon = line.indexOf(":"), name = line.slice(0, colon), value = line.slice(colon + 1).replace(/^ /, "");
      fields[name] = name in fields ? fields[name] + "\n" + value : value;
    }
    const { event, data, id = "", retry } = fields, [cursor, name, at] = id.split(" ");
    this.retryMs = +retry || this.retryMs;
    if (event == "pgbus:connected" && !name) {
      const { connectionId, streams } = parse(data), entries = {};
      this.asked.forEach((one, index) => { entries[one.key] = streams[index] });
      for (const one of this.beyond) entries[one.key] = { status: 400 };
      // A stream of which it cannot be said now who may have it, or that is full, is asked for again.
      if (streams.some(({ status }) => status > 499)) this.again();
      else this.faults = 0;
      this.send({ cursor, connectionId, entries });
    } else if (name && (event != closed || this.asked[1])) {
      this.send({ event, data, cursor, name: decodeURIComponent(name), at, retryMs: event == closed && this.again() });
    } else if (event) this.reason = parse(data).reason;
  }

  // Connects anew after a pause, while the others go on: for a stream that was closed or cannot be had now.
  again() {
    const retryMs = this.pauseMs(faultMs);
    clearTimeout(this.later);
    this.later = setTimeout(() => {
      this.close();
      this.connect();
    }, retryMs);
    return retryMs;
  }

  // What is told, in this tab and the others

  send(message) {
    this.channel?.postMessage(message);
    this.receive(message);
  }

  /** @param {any} message */
  receive(message) {
    const { cursor, entries, connectionId, down, detail } = message;
    this.cursor = cursor || this.cursor;
    if (down) {
      this.tellAll(down, detail);
      // The one that leads may be hidden, and its clock slow.
      if (!document.hidden) setTimeout(() => this.channel?.postMessage({ hurry: 1 }), detail.retryMs);
    } else if (entries) {
      this.entries = entries;
      for (const one of this.all()) this.opened(one, connectionId, entries[one.key] || {});
    } else for (const one of this.all()) this.deliver(one, message);
  }

  all() {
    return [...this.own, ...Object.values(this.others).flat()];
  }

  // Nothing is connected.
  tellAll(type, detail) {
    for (const { target } of this.own) {
      target.connectionId = "";
      if (type) tell(target, type, detail);
    }
  }

  opened(one, connectionId, { name, pattern, status, id }) {
    const { target } = one, isOpen = name || pattern;
    if (id && !one.at[""]) move(one, "", id);
    if (!target) return;
    target.connectionId = isOpen ? connectionId : "";
    if (isOpen) tell(target, "connected", { connectionId });
    if (status) tell(target, "refused", { status });
  }

  deliver(one, { event, data, name, at, retryMs }) {
    const { target } = one, { pattern, name: real } = this.entries[one.key] || {};
    if (pattern ? !fits(pattern, name) : real != name) return;
    const key = pattern ? "*" + name : "", [was, wasEpoch] = (one.at[key] || "").split("-");
    if (event == "pgbus:gap-detected") {
      const detail = { stream: name, ...parse(data) }, isReset = detail.reason == "reset";
      if (isReset) move(one, key, "0");
      else if (+was + 1 >= (detail.archiveOldestId || 1 / 0)) return;
      return target && tell(target, isReset ? "reset" : "gap", detail);
    }
    if (event == closed) {
      if (!target) return;
      target.connectionId = "";
      return tell(target, "closed", { ...parse(data), retryMs });
    }
    if (at) {
      const [id, epoch] = at.split("-");
      if (was && +id <= +was && (!wasEpoch || epoch == wasEpoch)) return;
      move(one, key, at);
    }
    if (!target) return;
    if (event == "presence") target.present = parse(data).present ?? target.present;
    if (event == "turbo-stream") {
      event = "message";
      if (target.isConnected) page.Turbo?.connectStreamSource(target);
    }
    target.dispatchEvent(Object.assign(new MessageEvent(event, { data, lastEventId: at }), { stream: name }));
  }

  // Hidden for as long as all of it can do without
  look() {
    clearTimeout(this.hiding);
    this.paused &&= document.hidden;
    const seconds = Math.max(...[...this.own].map((one) => one.pause ?? NaN));
    if (document.hidden && seconds >= 0) {
      this.hiding = setTimeout(() => {
        this.paused = true;
        this.settle();
      }, seconds * 1e3);
    }
    this.change();
  }
}

const fits = (pattern, name) =>
  RegExp("^" + pattern.replace(/[^\w*]/g, "\\$&").replaceAll("*", ".*") + "$", "s").test(name);

const tell = (target, type, detail) =>
  target.dispatchEvent(new CustomEvent("millstream:" + type, { detail, bubbles: true }));

const move = (one, key, at) => {
  one.at[key] = at;
  if (!key && one.target) one.target.lastEventId = at;
};

/** Subscribes `target`; what it returns ends that.
 * @param {import("./millstream").MillstreamOptions} options */
const enter = (target, name, options = {}) => {
  let { src, since, shared, pauseHidden, withCredentials } = options;
  const url = new URL(src || "/streams", document.baseURI).href;
  const key = ["millstream", url, !!withCredentials, shared = !!(shared && navigator.locks)] + "";
  const hub = hubs[key] ||= new Hub(key, url, withCredentials ? "include" : "same-origin", shared);
  const one = { key: Math.random(), name, at: { "": (since ?? "") + "" }, pause: pauseHidden, target };
  hub.own.add(one);
  hub.look();
  return () => {
    // Once: its hub may have gone, and another one be there for the same address.
    if (!hub.own.delete(one)) return;
    target.connectionId = "";
    hub.look();
  };
};

// The stream of a signed name, which is another name each time where it has an end in time.
const streamOf = (name) => {
  try {
    const value = JSON.parse(atob(name.split("--")[0])), rails = value._rails;
    return rails ? rails.data ?? JSON.parse(atob(rails.message)) : value;
  } catch { return name }
};

document.addEventListener("visibilitychange", () => eachHub((hub) => {
  hub.look();
  if (!document.hidden) hub.hurry();
}));
addEventListener("online", () => eachHub((hub) => hub.hurry()));
const onEither = (leaving, coming, target) => {
  for (const type of [leaving, coming]) target.addEventListener(type, () => {
    away = type == leaving;
    eachHub((hub) => hub.settle());
  });
};
onEither("pagehide", "pageshow", window);
onEither("freeze", "resume", document);

export class MillstreamSource extends EventTarget {
  connectionId = "";
  lastEventId = "";
  present = 0;

  constructor(name, options) {
    super();
    this.close = enter(this, name, options);
  }
}

export class MillstreamSourceElement extends HTMLElement {
  static observedAttributes =
    ["name", "signed-stream-name", "src", "since-id", "shared", "pause-hidden", "with-credentials"];
  #connectionId = "";
  #leave;
  #moves;
  #stream;
  #place;
  present = 0;

  get connectionId() { return this.#connectionId }
  set connectionId(id) {
    this.#connectionId = id;
    this.toggleAttribute("connected", !!id);
  }

  // In the attribute, so that an element that is moved, copied or kept for later goes on where it was.
  get lastEventId() { return this.getAttribute("since-id") || "" }
  set lastEventId(id) {
    this.#moves = true;
    this.setAttribute("since-id", this.#place = id);
    this.#moves = false;
  }

  attributeChangedCallback() {
    if (this.isConnected && !this.#moves) this.connectedCallback();
  }

  connectedCallback() {
    this.#leave?.();
    let [name, signed, src, since, shared, pause, credentials] =
      MillstreamSourceElement.observedAttributes.map((one) => this.getAttribute(one));
    const stream = streamOf(signed || name);
    // Where it was in one stream says nothing of another.
    if (stream && stream != this.#stream && since && since == this.#place) this.lastEventId = since = "";
    this.#stream = stream || this.#stream;
    this.#leave = signed || name ? enter(this, signed || name, {
      src, since, shared: shared != null, withCredentials: credentials != null,
      pauseHidden: pause == null ? null : +(pause || 30)
    }) : null;
  }

  disconnectedCallback() {
    this.#leave?.();
    this.#leave = null;
    page.Turbo?.disconnectStreamSource(this);
  }
}

customElements.get("millstream-source") || customElements.define("millstream-source", MillstreamSourceElement);
