/**
 * Clients that operate on a store and write down what they saw. Each is
 * connected to the nodes over TCP, to a node of its own first, and has one
 * operation at a time. What they do is up to the store: `kv_load.ts`,
 * `ra_kv/ra_kv_load.ts`.
 *
 * @module
 */
import { type Chance, seededChance } from "../../src/base/chance.ts";
import {
  type ErrorCode,
  isWhorlError,
  reasonOf,
  WhorlError,
} from "../../src/base/errors.ts";
import type { Address } from "../../src/environment/transport.ts";
import { connect, type WhorlClient } from "../../src/node/connect.ts";
import type { HistoryRecorder } from "../../src/simulation/history.ts";
import { NEMESIS_COOKIE } from "./nemesis_cluster.ts";

/** Time an operation gets, in milliseconds. */
export const OPERATION_MS_MAX = 2_000;
/** How much later than that it must have been answered, in milliseconds. */
export const ANSWER_GRACE_MS = 1_000;
/** When a client stops waiting for what should have been answered. */
const GIVEN_UP_MS = OPERATION_MS_MAX + 5_000;
/** Time from one operation of a client to the next, in milliseconds. */
const PACE_MS = 20;
/** Keys in use at a time. The window moves on, so that what went wrong with a key is not soon mended by a later write. */
const KEYS_AT_ONCE = 12;
/** Time after which the oldest key is left alone and a new one begun, in milliseconds. */
const KEY_STEP_MS = 400;
/** Pause before a client that finds no node looks again, in milliseconds. */
const LOOK_AGAIN_MS = 100;

/** What says that the node at the other end is there no more. */
const GONE_CODES: ReadonlySet<ErrorCode> = new Set<ErrorCode>([
  "closed",
  "connection_closed",
  "not_reachable",
  "timeout",
]);

/** What one client does, of whatever store. */
export interface LoadUser<Input, Output> {
  /** Draws what to do next with `key`. */
  draw(key: string): Input;
  /** Does it. @throws {WhorlError} As the store does. */
  ask(client: WhorlClient, key: string, input: Input): Promise<Output>;
}

/** What clients are told. */
export interface LoadOptions<Input, Output> {
  readonly seed: string;
  readonly clients: number;
  /**
   * Where nodes listen. A list stays as it is, and each client goes round in it.
   * Of members that come and go it is a function: a client is connected to one of
   * them at a time, and asks again who there is when that one has gone.
   */
  readonly addresses: readonly Address[] | (() => readonly Address[]);
  /** Makes the name of the key of that number. */
  readonly keyName: (number: number) => string;
  readonly history: HistoryRecorder<Input, Output>;
  /** Makes the client of that name; they are numbered from 0. */
  readonly user: (
    name: string,
    chance: Chance,
    number: number,
  ) => LoadUser<Input, Output>;
  /** Whether what failed so may have been done. */
  readonly outcomeUnknown: (error: unknown) => boolean;
}

/** A running load. */
export interface Load {
  /** Names of the keys that were in use so far. */
  readonly keys: readonly string[];
  /** Ends it: resolves once every operation has been answered, or is given up. */
  stop(): Promise<void>;
}

/** Begins a load. */
export function startLoad<Input, Output>(
  options: LoadOptions<Input, Output>,
): Load {
  const stop = new AbortController();
  const window = new KeyWindow(options.keyName);
  const clients = Array.from(
    { length: options.clients },
    (_, number) => new LoadClient(number, options, window, stop.signal).run(),
  );
  return {
    get keys() {
      return window.keys;
    },
    async stop() {
      stop.abort();
      await Promise.all(clients);
    },
  };
}

/** The keys of a load, of which only the newest are in use. */
class KeyWindow {
  readonly #name: (number: number) => string;
  readonly #startedAt = performance.now();
  readonly keys: string[] = [];

  constructor(name: (number: number) => string) {
    this.#name = name;
  }

  /** One of those in use now. */
  pick(chance: Chance): string {
    const elapsedMs = performance.now() - this.#startedAt;
    const count = KEYS_AT_ONCE + Math.floor(elapsedMs / KEY_STEP_MS);
    while (this.keys.length < count) {
      this.keys.push(this.#name(this.keys.length));
    }
    return chance.pick(this.keys.slice(-KEYS_AT_ONCE));
  }
}

class LoadClient<Input, Output> {
  readonly #name: string;
  readonly #options: LoadOptions<Input, Output>;
  readonly #window: KeyWindow;
  readonly #number: number;
  readonly #signal: AbortSignal;
  readonly #chance: Chance;
  readonly #user: LoadUser<Input, Output>;

  constructor(
    number: number,
    options: LoadOptions<Input, Output>,
    window: KeyWindow,
    signal: AbortSignal,
  ) {
    this.#number = number;
    this.#name = `c${number + 1}`;
    this.#options = options;
    this.#window = window;
    this.#signal = signal;
    this.#chance = seededChance(`${options.seed} ${this.#name}`);
    this.#user = options.user(this.#name, this.#chance, number);
  }

  async run(): Promise<void> {
    while (!this.#signal.aborted) {
      const client = await this.#connect();
      if (client === undefined) return;
      try {
        await this.#operateWith(client);
      } finally {
        await client.close();
      }
    }
  }

  /** Operates until the end of the load, or until the member it is connected to has gone. */
  async #operateWith(client: WhorlClient): Promise<void> {
    const follows = typeof this.#options.addresses === "function";
    while (!this.#signal.aborted) {
      const startedAt = performance.now();
      const failure = await this.#operate(client);
      const restMs = PACE_MS - (performance.now() - startedAt);
      if (restMs > 0) await pause(restMs);
      if (follows && failure !== undefined && GONE_CODES.has(failure)) return;
    }
  }

  #addressesNow(): readonly Address[] {
    const { addresses } = this.#options;
    if (typeof addresses === "function") {
      const members = addresses();
      return members.length === 0 ? [] : [this.#chance.pick(members)];
    }
    const first = this.#number % addresses.length;
    return [...addresses.slice(first), ...addresses.slice(0, first)];
  }

  async #connect(): Promise<WhorlClient | undefined> {
    while (!this.#signal.aborted) {
      try {
        const nodes = this.#addressesNow();
        if (nodes.length > 0) {
          return await connect({
            nodes,
            cookie: NEMESIS_COOKIE,
            signal: this.#signal,
          });
        }
      } catch (error) {
        if (!isWhorlError(error) && !this.#signal.aborted) throw error;
      }
      await pause(LOOK_AGAIN_MS);
    }
    return undefined;
  }

  /** Does one operation; resolves to the code of its failure, if it failed. */
  async #operate(client: WhorlClient): Promise<ErrorCode | undefined> {
    const key = this.#window.pick(this.#chance);
    const input = this.#user.draw(key);
    const { history, outcomeUnknown } = this.#options;
    const record = history.invoke(this.#name, key, input);
    const overdue = Promise.withResolvers<never>();
    const timer = setTimeout(
      () => overdue.reject(new WhorlError("timeout", "Nobody has answered")),
      GIVEN_UP_MS,
    );
    try {
      const output = await Promise.race([
        this.#user.ask(client, key, input),
        overdue.promise,
      ]);
      history.succeed(record, output);
      return undefined;
    } catch (error) {
      // What is no answer of Whorl is a bug, of the load or of the client.
      if (!isWhorlError(error)) throw error;
      if (outcomeUnknown(error)) history.lose(record, error.code);
      else history.fail(record, `${error.code}: ${reasonOf(error)}`);
      return error.code;
    } finally {
      clearTimeout(timer);
    }
  }
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
