/**
 * The vnode of `flavio`: it adds numbers and counts how often, and keeps the
 * messages of the streams whose keys hash to it, in the storage it is given
 * (`message.ts` says how).
 *
 * **Numbers.** A message is stamped by whoever posts it, once, and then stored
 * by all replicas as it is. For its number the poster first asks them all with
 * `reserve`: each says the last one it has, and sets the next one aside for the
 * poster. Reservations are lost when the vnode ends; if two messages get the
 * same number then, or during a network split, both are kept, since they differ
 * in their origins.
 *
 * **Moves.** Messages are only ever added, and a key identifies one message. So
 * receiving a message again changes nothing, and a handoff may send messages in
 * any order and any number of times.
 *
 * @module
 */
import {
  answersLater,
  command,
  type CommandDeclaration,
  defineVnode,
  type HandoffItem,
  isWhorlError,
  type KeySpaces,
  partitionOf,
  type RequestOf,
  type Vnode,
  type VnodeContext,
  type VnodeModule,
} from "../../mod.ts";
import {
  decodeMessage,
  encodeMessage,
  isMessage,
  isName,
  keyAfter,
  keyPrefix,
  type Message,
  messageKey,
  MESSAGES_MAX,
  partsOfKey,
} from "./message.ts";

/** Which stream is meant. */
export interface StreamName {
  readonly user: string;
  readonly stream: string;
}

/** The numbers of a stream at a replica. */
export interface Reserved {
  /** The largest one it has; 0 if it has none. */
  readonly last: number;
  /** The number it has reserved for the requester. */
  readonly next: number;
}

/** The messages of a stream that are requested. */
export interface Wanted extends StreamName {
  /** The first number; `null` for the last `count` messages. */
  readonly from: number | null;
  /** Most messages, from 1 to {@linkcode MESSAGES_MAX}. */
  readonly count: number;
}

/** The messages that a replica has: possibly fewer than requested, and none from beyond the end. */
export type Found =
  | { readonly messages: readonly Message[] }
  | { readonly error: "outofbound" };

/** Why a replica refuses a request. */
export type FlavioFailure =
  /** The request is malformed. */
  | "invalid_request"
  /** A stored message does not match its checksum. */
  | "damaged"
  /** The store has lost commits, and has not fetched them from others yet. */
  | "tail_lost";

/** The commands of the module. Their order is their number on the wire. */
export type FlavioCommands = {
  /** Answers with the vnode's partition. */
  readonly ping: CommandDeclaration<undefined, number, never>;
  readonly add: CommandDeclaration<
    { readonly a: number; readonly b: number },
    number,
    "invalid_request"
  >;
  readonly reserve: CommandDeclaration<StreamName, Reserved, FlavioFailure>;
  readonly store: CommandDeclaration<
    StreamName & { readonly message: Message },
    undefined,
    "invalid_request"
  >;
  readonly read: CommandDeclaration<Wanted, Found, FlavioFailure>;
};

/** The coverage queries of the module. */
export type FlavioCoverage = {
  /** How many additions the vnode has made since it started. */
  readonly stats: CommandDeclaration<
    undefined,
    { readonly opsCount: number },
    never
  >;
  /** Users that have streams, some in each chunk. */
  readonly users: CommandDeclaration<undefined, readonly string[], never>;
  /** Streams of one user, some in each chunk. */
  readonly streams: CommandDeclaration<
    { readonly user: string },
    readonly string[],
    never
  >;
};

const commands: FlavioCommands = {
  ping: command(),
  add: command({ failures: ["invalid_request"] }),
  reserve: command({ failures: ["invalid_request", "damaged", "tail_lost"] }),
  store: command({ failures: ["invalid_request"] }),
  read: command({ failures: ["invalid_request", "damaged", "tail_lost"] }),
};

const coverage: FlavioCoverage = {
  stats: command(),
  users: command(),
  streams: command(),
};

/** Streams for which a vnode remembers reserved numbers; the oldest is dropped first. */
const RESERVED_MAX = 1_024;
/** Names in one chunk of a listing: at most 16 KiB. */
const NAMES_PER_CHUNK = 64;

class FlavioVnode implements Vnode<FlavioCommands, FlavioCoverage> {
  readonly #partition: number;
  readonly #context: VnodeContext;
  #opsCount = 0;
  /** The last reserved number, by stream, until it is stored. */
  readonly #reserved = new Map<string, number>();

  constructor(partition: number, context: VnodeContext) {
    this.#partition = partition;
    this.#context = context;
  }

  readonly handleCommand: Vnode<FlavioCommands>["handleCommand"] = {
    ping: () => this.#partition,
    add: (body, call) => {
      if (!isAddition(body)) return refused(call);
      this.#opsCount++;
      return body.a + body.b;
    },
    reserve: async (body, call) => {
      if (!isStreamName(body)) return refused(call);
      const { user, stream } = body;
      const last = await this.#readable(call, () => this.#last(user, stream));
      return last === undefined
        ? answersLater
        : { last, next: this.#setAside(user, stream, last) };
    },
    // Not a promise: messages that arrive together share one commit.
    store: (body, call) => {
      if (!isStreamName(body) || !isMessage(body.message)) return refused(call);
      const { user, stream, message } = body;
      this.#write(
        messageKey(user, stream, message),
        encodeMessage(message),
        () => call.reply(undefined),
      );
      this.#taken(user, stream, message.id);
      return answersLater;
    },
    read: async (body, call) => {
      if (!isWanted(body)) return refused(call);
      const { user, stream, from, count } = body;
      const found = await this.#readable(
        call,
        () =>
          from === null
            ? this.#newest(user, stream, count)
            : this.#from(user, stream, from, count),
      );
      return found ?? answersLater;
    },
  };

  readonly handleCoverage: Required<
    Vnode<FlavioCommands, FlavioCoverage>
  >["handleCoverage"] = {
    stats: () => [{ opsCount: this.#opsCount }],
    users: (_body, keySpaces, signal) =>
      inChunks(this.#users(keySpaces, signal)),
    streams: (body, keySpaces, signal) =>
      // An invalid name has no streams.
      isName(body?.user)
        ? inChunks(this.#streams(body.user, keySpaces, signal))
        : [],
  };

  /** Calls `durable` when the message is durable. If that fails, this vnode crashes, and its store is reopened. */
  #write(key: Uint8Array, value: Uint8Array, durable: () => void): void {
    this.#context.storage.write([{ key, value }], (error) => {
      if (error === undefined) durable();
      else this.#context.crash(error);
    });
  }

  /** The result of `read`; undefined if there is none and the caller has been told. */
  async #readable<T>(
    call: { fail(failure: FlavioFailure, message: string): void },
    read: () => Promise<T>,
  ): Promise<T | undefined> {
    if (this.#context.store.tailLost) {
      call.fail(
        "tail_lost",
        "Cannot say what a stream holds as the store has lost its newest commits and has not fetched them yet",
      );
      return undefined;
    }
    try {
      return await read();
    } catch (error) {
      if (!isWhorlError(error, "value_corrupt")) throw error;
      call.fail("damaged", "Cannot read a message as it is damaged");
      return undefined;
    }
  }

  async #last(user: string, stream: string): Promise<number> {
    const [newest] = await this.#scan(keyPrefix(user, stream), 1, true);
    return newest?.id ?? 0;
  }

  async #newest(user: string, stream: string, count: number): Promise<Found> {
    const messages = await this.#scan(keyPrefix(user, stream), count, true);
    return { messages: messages.reverse() };
  }

  async #from(
    user: string,
    stream: string,
    id: number,
    count: number,
  ): Promise<Found> {
    const messages = await this.#scan(
      keyPrefix(user, stream),
      count,
      false,
      messageKey(user, stream, { id, origin: "" }),
    );
    return messages.length === 0 ? { error: "outofbound" } : { messages };
  }

  /** At most `limit` messages of the stream with this prefix. */
  async #scan(
    prefix: Uint8Array,
    limit: number,
    reverse: boolean,
    start = prefix,
  ): Promise<Message[]> {
    const range = { start, end: keyAfter(prefix), limit, reverse };
    const messages: Message[] = [];
    for await (const { key, value } of this.#context.storage.scan(range)) {
      messages.push(decodeMessage(key, value));
    }
    return messages;
  }

  #setAside(user: string, stream: string, last: number): number {
    const name = nameOf(user, stream);
    const next = Math.max(last, this.#reserved.get(name) ?? 0) + 1;
    // Inserted again, so that the first entry is the oldest.
    this.#reserved.delete(name);
    this.#reserved.set(name, next);
    if (this.#reserved.size > RESERVED_MAX) {
      for (const oldest of this.#reserved.keys()) {
        this.#reserved.delete(oldest);
        break;
      }
    }
    return next;
  }

  /** Number `id` of the stream is stored, which replaces the reservation. */
  #taken(user: string, stream: string, id: number): void {
    const name = nameOf(user, stream);
    if ((this.#reserved.get(name) ?? Infinity) <= id) {
      this.#reserved.delete(name);
    }
  }

  async *#users(
    keySpaces: KeySpaces,
    signal: AbortSignal,
  ): AsyncGenerator<string> {
    let start: Uint8Array | undefined;
    for (;;) {
      const found = await this.#streamAt({ start }, signal);
      if (found === undefined) return;
      const wanted = this.#isWanted(found, keySpaces);
      if (wanted) yield found.user;
      start = keyAfter(
        keyPrefix(found.user, wanted ? undefined : found.stream),
      );
    }
  }

  async *#streams(
    user: string,
    keySpaces: KeySpaces,
    signal: AbortSignal,
  ): AsyncGenerator<string> {
    let start = keyPrefix(user);
    const end = keyAfter(start);
    for (;;) {
      const found = await this.#streamAt({ start, end }, signal);
      if (found === undefined) return;
      if (this.#isWanted(found, keySpaces)) yield found.stream;
      start = keyAfter(keyPrefix(user, found.stream));
    }
  }

  /** The stream of the first message in `range`, found without going through those of others. */
  async #streamAt(
    range: { start?: Uint8Array | undefined; end?: Uint8Array },
    signal: AbortSignal,
  ): Promise<StreamName | undefined> {
    const { start, end } = range;
    const entries = this.#context.storage.scan({
      ...(start === undefined ? {} : { start }),
      ...(end === undefined ? {} : { end }),
      limit: 1,
      // Other messages of its stream tell as well that there is one.
      onCorrupt: () => {},
    });
    for await (const { key } of entries) {
      return signal.aborted ? undefined : partsOfKey(key);
    }
    return undefined;
  }

  #isWanted({ user, stream }: StreamName, keySpaces: KeySpaces): boolean {
    return keySpaces === null ||
      keySpaces.has(partitionOf(user, stream, this.#context.ringSize));
  }

  async *fold(): AsyncGenerator<HandoffItem> {
    const onCorrupt = () =>
      this.#context.log.warn("A damaged message is left behind in a handoff");
    for await (
      const { key, value } of this.#context.storage.scan({ onCorrupt })
    ) {
      yield { sortKey: key, item: value };
    }
  }

  async itemAt(sortKey: Uint8Array): Promise<HandoffItem | undefined> {
    try {
      const item = await this.#context.storage.get(sortKey);
      return item === undefined ? undefined : { sortKey, item };
    } catch (error) {
      if (!isWhorlError(error, "value_corrupt")) throw error;
      this.#context.log.warn("A damaged message is left behind in a handoff");
      return undefined;
    }
  }

  keySpaceOf({ sortKey }: HandoffItem, ringSize: number): number {
    const { user, stream } = partsOfKey(sortKey);
    return partitionOf(user, stream, ringSize);
  }

  encodeHandoffItem({ sortKey, item }: HandoffItem): Uint8Array {
    const value = item as Uint8Array;
    const bytes = new Uint8Array(2 + sortKey.length + value.length);
    new DataView(bytes.buffer).setUint16(0, sortKey.length);
    bytes.set(sortKey, 2);
    bytes.set(value, 2 + sortKey.length);
    return bytes;
  }

  /** Resolves when the message is durable. One that exists already is the same, and stays. */
  handleHandoffData(bytes: Uint8Array): Promise<void> {
    const end = 2 + new DataView(bytes.buffer, bytes.byteOffset).getUint16(0);
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#write(bytes.subarray(2, end), bytes.subarray(end), resolve);
    return promise;
  }

  async isEmpty(): Promise<boolean> {
    let empty = true;
    // A damaged message is data, too.
    const onCorrupt = () => void (empty = false);
    for await (const _ of this.#context.storage.scan({ limit: 1, onCorrupt })) {
      empty = false;
    }
    return empty;
  }

  async delete(): Promise<void> {
    this.#reserved.clear();
    await this.#context.storage.deleteRange();
  }
}

/** Tells the caller that this module knows no such request. */
function refused(
  call: { fail(failure: "invalid_request", message: string): void },
): typeof answersLater {
  call.fail("invalid_request", "Cannot do it as the request is malformed");
  return answersLater;
}

// The types of bodies are not checked at run time; these functions do.

function isAddition(body: RequestOf<FlavioCommands["add"]>): boolean {
  return Number.isFinite(body?.a) && Number.isFinite(body?.b);
}

function isStreamName(body: StreamName): boolean {
  return isName(body?.user) && isName(body?.stream);
}

function isWanted(body: Wanted): boolean {
  if (!isStreamName(body)) return false;
  const { from, count } = body;
  return (from === null || Number.isSafeInteger(from) && from >= 1) &&
    Number.isInteger(count) && count >= 1 && count <= MESSAGES_MAX;
}

/** A stream as a map key. Names may contain any character, so their lengths delimit them. */
function nameOf(user: string, stream: string): string {
  return `${user.length} ${user}${stream}`;
}

/** The names in arrays, since each chunk of an answer is encoded separately. */
async function* inChunks(
  names: AsyncIterable<string>,
): AsyncGenerator<string[]> {
  let chunk: string[] = [];
  for await (const name of names) {
    chunk.push(name);
    if (chunk.length < NAMES_PER_CHUNK) continue;
    yield chunk;
    chunk = [];
  }
  if (chunk.length > 0) yield chunk;
}

const flavioModule: VnodeModule<FlavioCommands, FlavioCoverage> = defineVnode({
  name: "flavio",
  commands,
  coverage,
  init: (partition, context) => new FlavioVnode(partition, context),
});

export default flavioModule;
