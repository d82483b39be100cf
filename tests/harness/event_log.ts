/**
 * What a node has told, in order and with times, and a way to wait for what it
 * will tell: tests wait for events, never for time to pass.
 *
 * @module
 */

/** Something a node told, as plain data. */
export interface PlainEvent {
  readonly type: string;
  readonly [detail: string]: unknown;
}

/** An event and when it arrived here, in monotonic milliseconds. */
export interface TimedEvent {
  readonly atMs: number;
  readonly event: PlainEvent;
}

/** Milliseconds a wait may take before it fails: far beyond what any of them should. */
export const WAIT_MS_MAX = 15_000;

/** Events in order of arrival. */
export class EventLog {
  readonly #name: string;
  readonly #events: TimedEvent[] = [];
  readonly #waiters = new Set<() => void>();

  /** @param name Whose events they are, for messages. */
  constructor(name: string) {
    this.#name = name;
  }

  /** How many there are; pass it to {@linkcode EventLog.until} to wait for later ones only. */
  get mark(): number {
    return this.#events.length;
  }

  /** Takes in an event. */
  record(event: PlainEvent): void {
    this.#events.push({ atMs: performance.now(), event });
    for (const waiter of [...this.#waiters]) waiter();
  }

  /** Those from `mark` on that match. */
  since(
    mark: number,
    matches: (event: PlainEvent) => boolean = () => true,
  ): TimedEvent[] {
    return this.#events.slice(mark).filter(({ event }) => matches(event));
  }

  /**
   * Resolves to the first event from `mark` on that matches.
   *
   * @throws {Error} If none comes in {@linkcode WAIT_MS_MAX}; the message lists those that came.
   */
  async until(
    what: string,
    mark: number,
    matches: (event: PlainEvent) => boolean,
  ): Promise<TimedEvent> {
    const found = (): TimedEvent | undefined => this.since(mark, matches)[0];
    const first = found();
    if (first !== undefined) return first;
    const { promise, resolve, reject } = Promise.withResolvers<TimedEvent>();
    const look = (): void => {
      const event = found();
      if (event !== undefined) resolve(event);
    };
    const timer = setTimeout(() => {
      const types = this.since(mark).map(({ event }) => event.type);
      reject(
        new Error(
          `${this.#name} has not told of ${what} in ${WAIT_MS_MAX} ms; it told: ${
            types.join(", ") || "nothing"
          }`,
        ),
      );
    }, WAIT_MS_MAX);
    this.#waiters.add(look);
    try {
      return await promise;
    } finally {
      clearTimeout(timer);
      this.#waiters.delete(look);
    }
  }
}

/** The plain part of what a node tells: rings stay where they are. */
export function plainEvent(event: { readonly type: string }): PlainEvent {
  const { ring: _, ...plain } = event as Record<string, unknown>;
  return plain as PlainEvent;
}
