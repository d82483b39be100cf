/**
 * A bounded stream of events: they wait for their reader, in order.
 *
 * @module
 */
import { WhorlError } from "../base/errors.ts";

/** Events that may wait for a reader; one that is further behind is told that it has missed some. */
export const EVENTS_WAITING_MAX = 10_000;

/**
 * A subscription to iterate over. It begins when it is created, and ends with
 * `break`, `return()`, `await using`, or when the node has stopped.
 *
 * Iterating throws {@linkcode WhorlError} `overload`, after the events that
 * were kept, if more than 10,000 would wait; the subscription has then ended.
 */
export class EventStream<Event>
  implements AsyncIterableIterator<Event, undefined>, AsyncDisposable {
  readonly #unsubscribe: (stream: EventStream<Event>) => void;
  #waiting: Event[] = [];
  /** Readers that wait for an event; there are none while events wait. */
  readonly #readers: PromiseWithResolvers<IteratorResult<Event, undefined>>[] =
    [];
  #ended = false;
  #missed: WhorlError | undefined;

  /** @internal @param unsubscribe Called once, when it ends. */
  constructor(unsubscribe: (stream: EventStream<Event>) => void) {
    this.#unsubscribe = unsubscribe;
  }

  /** @internal An event has happened. */
  push(event: Event): void {
    if (this.#ended) return;
    const reader = this.#readers.shift();
    if (reader !== undefined) return reader.resolve({ value: event });
    if (this.#waiting.length < EVENTS_WAITING_MAX) {
      this.#waiting.push(event);
      return;
    }
    this.#missed = new WhorlError(
      "overload",
      `Cannot keep more events for their reader: ${EVENTS_WAITING_MAX} wait`,
    );
    this.end();
  }

  /** @internal No more events will come. Those that wait can still be read. */
  end(): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#unsubscribe(this);
    for (const reader of this.#readers.splice(0)) {
      reader.resolve({ value: undefined, done: true });
    }
  }

  /** The next event. */
  next(): Promise<IteratorResult<Event, undefined>> {
    const event = this.#waiting.shift();
    if (event !== undefined) return Promise.resolve({ value: event });
    const missed = this.#missed;
    this.#missed = undefined;
    if (missed !== undefined) return Promise.reject(missed);
    if (this.#ended) return Promise.resolve({ value: undefined, done: true });
    const reader = Promise.withResolvers<IteratorResult<Event, undefined>>();
    this.#readers.push(reader);
    return reader.promise;
  }

  /** Ends the subscription and drops the events that wait. */
  return(): Promise<IteratorResult<Event, undefined>> {
    this.end();
    this.#waiting = [];
    this.#missed = undefined;
    return Promise.resolve({ value: undefined, done: true });
  }

  /** Itself. */
  [Symbol.asyncIterator](): this {
    return this;
  }

  /** {@linkcode EventStream.return}, at the end of an `await using` block. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.return();
  }
}
