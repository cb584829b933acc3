/**
 * Millstream in the browser. Importing the module defines `<millstream-source>`; programs without an
 * element use {@link MillstreamSource}. All subscriptions of a page to one address have one connection.
 */

/** Where and how to subscribe. */
export interface MillstreamOptions {
  /** Where the streams are, relative to the page; it may have a query, such as a token. Default: `/streams`. */
  src?: string | null;
  /** The last id that is known: what comes behind it is delivered. 0 is all that is kept; absent, from now on. */
  since?: string | number | bigint | null;
  /** One connection for all tabs of the browser. Without Web Locks (no HTTPS) it is as if not set. */
  shared?: boolean;
  /** After so many seconds in a hidden tab the connection is closed, until the tab is seen again. */
  pauseHidden?: number | null;
  /** Cookies are sent to another origin, too. */
  withCredentials?: boolean;
}

/** A message. Its type is `message`, or the name that the publisher gave. */
export interface MillstreamMessage extends MessageEvent<string> {
  /** The name of the stream that it is of. */
  readonly stream: string;
}

/** What is told beside messages, as the `detail` of a `CustomEvent` that bubbles. */
export interface MillstreamDetails {
  /** Subscribed: what comes from here on arrives. */
  "millstream:connected": {
    /** The connection's name: a publisher can exclude it. */
    connectionId: string;
  };
  /** The connection, or this stream on it, is over, and another is made after `retryMs`. */
  "millstream:closed": {
    /** `network`, or what the server said: `worker_restart`, `expired`, or what the application gave. */
    reason: string;
    retryMs: number;
  };
  /** The server said no, to this stream (then there is no `retryMs`) or to all of the connection. */
  "millstream:refused": { status: number; retryMs?: number };
  /** What lies between the two ids cannot be had any more. */
  "millstream:gap": { stream: string; lastSeenId: number; archiveOldestId: number };
  /** The stream has begun anew, and all of the new one follows. */
  "millstream:reset": { stream: string; lastSeenId: number; archiveOldestId: number; reason: "reset" };
}

/** What is told beside messages, as events. */
export type MillstreamEvents = { [type in keyof MillstreamDetails]: CustomEvent<MillstreamDetails[type]> };

/** All events that have a type of ours. */
export type MillstreamEventMap = MillstreamEvents & { message: MillstreamMessage; presence: MillstreamMessage };

interface Subscribed {
  /** The name of the connection; empty: there is none, or the stream was refused. */
  connectionId: string;
  /** The last id that came: where a new subscription would go on. */
  lastEventId: string;
  /** How many members were present when that was told last. */
  present: number;
}

export interface MillstreamSource extends Subscribed {}

/** A subscription without an element. */
export class MillstreamSource extends EventTarget {
  /** Subscribes to a stream: a signed name, a plain one where it is public, or a pattern. */
  constructor(name: string, options?: MillstreamOptions);
  /** Ends it: nothing more is delivered. */
  close(): void;
  addEventListener<Type extends keyof MillstreamEventMap>(
    type: Type, listener: (event: MillstreamEventMap[Type]) => void, options?: boolean | AddEventListenerOptions,
  ): void;
  /** Messages of a type of their own. */
  addEventListener(
    type: string, listener: ((event: MillstreamMessage) => void) | EventListenerObject | null,
    options?: boolean | AddEventListenerOptions,
  ): void;
}

export interface MillstreamSourceElement extends Subscribed {}

/**
 * `<millstream-source>`. Attributes: `name` or `signed-stream-name`, `src`, `since-id` (which moves with what
 * comes), `shared`, `pause-hidden` (seconds; 30 if empty), `with-credentials`. It has the attribute `connected`
 * while it is. Messages go to Turbo, where it is there.
 */
export class MillstreamSourceElement extends HTMLElement {
  addEventListener<Type extends keyof HTMLElementEventMap>(
    type: Type, listener: (event: HTMLElementEventMap[Type]) => void, options?: boolean | AddEventListenerOptions,
  ): void;
  /** Messages, and those of a type of their own. */
  addEventListener(
    type: string, listener: ((event: MillstreamMessage) => void) | EventListenerObject | null,
    options?: boolean | AddEventListenerOptions,
  ): void;
}

declare global {
  interface GlobalEventHandlersEventMap extends MillstreamEvents {}
  interface HTMLElementTagNameMap {
    "millstream-source": MillstreamSourceElement;
  }
}
