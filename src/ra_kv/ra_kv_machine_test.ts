import { assert, assertEquals, assertThrows } from "@std/assert";
import fc from "fast-check";
import { ByteReader } from "../base/byte_reader.ts";
import { ByteWriter } from "../base/byte_writer.ts";
import { isWhorlError, WhorlError } from "../base/errors.ts";
import type { Applied, MachineEffect } from "../raft/machine.ts";
import { ChangeKind } from "./change_log.ts";
import { checkCommand } from "./entry_values.ts";
import {
  END_COMMAND,
  type PutConditions,
  RaKvOp,
  type RaKvReply,
  readReply,
  writeDeleteChange,
  writePutChange,
} from "./ra_kv_command_codec.ts";
import { valueHash } from "./ra_kv_value.ts";
import {
  liveEntries,
  lookUp,
  raKvMachine,
  type RaKvState,
  stateDigest,
  SWEEP_INTERVAL_MIN_MS,
  SWEEP_KEYS_MAX,
} from "./ra_kv_machine.ts";
import { SNAPSHOT_PIECE_BYTES } from "./state_view.ts";

const encoder = new TextEncoder();
const decoder = new TextDecoder();

type Change =
  | { readonly put: string; readonly value?: string } & PutConditions
  | { readonly delete: string; readonly ifIndex?: number | undefined };

type Command = Change | { readonly batch: readonly Change[] } | "sweep";

function writeChange(into: ByteWriter, change: Change): void {
  if ("put" in change) {
    into.u8(RaKvOp.put);
    writePutChange(into, change.put, change.value ?? "v", change);
  } else {
    into.u8(RaKvOp.delete);
    writeDeleteChange(into, change.delete, change.ifIndex);
  }
}

function bytesOf(command: Command): Uint8Array<ArrayBuffer> {
  const into = new ByteWriter();
  if (command === "sweep") into.u8(RaKvOp.sweep);
  else if ("batch" in command) {
    into.u8(RaKvOp.batch);
    into.u16(command.batch.length);
    for (const change of command.batch) writeChange(into, change);
  } else writeChange(into, command);
  return into.copy();
}

const machine = raKvMachine({ hashSeed: 5 });

/** A store, and the log it has applied. */
class Store {
  state: RaKvState = machine.init();
  index = 0;
  timeMs = 1_000;

  apply(command: Command | Uint8Array<ArrayBuffer>): Applied {
    return machine.apply(
      {
        index: ++this.index,
        term: 1,
        timeMs: this.timeMs,
        machineVersion: 0,
      },
      command instanceof Uint8Array ? command : bytesOf(command),
      this.state,
    );
  }

  reply(command: Command): RaKvReply {
    return replyOf(this.apply(command));
  }

  indexOf(key: string): number {
    const bytes = encoder.encode(key);
    const record = lookUp(this.state, bytes, 0, bytes.length);
    return record < 0 ? 0 : this.state.keys.indexOf(record);
  }

  /** The store of a member that was given a snapshot, in pieces of `pieceBytes`. */
  copy(pieceBytes: number): Store {
    const copy = new Store();
    copy.state = machine.decode(cut(machine.encode(this.state), pieceBytes));
    copy.index = this.index;
    copy.timeMs = this.timeMs;
    return copy;
  }
}

function replyOf({ reply }: Applied): RaKvReply {
  return readReply(new ByteReader(reply as Uint8Array));
}

function cut(
  pieces: Iterable<Uint8Array<ArrayBuffer>>,
  pieceBytes: number,
): Uint8Array<ArrayBuffer>[] {
  const all = new ByteWriter();
  for (const piece of pieces) all.raw(piece);
  const bytes = all.copy();
  const cut: Uint8Array<ArrayBuffer>[] = [];
  for (let at = 0; at < bytes.length; at += pieceBytes) {
    cut.push(bytes.slice(at, at + pieceBytes));
  }
  return cut;
}

function timers({ effects = [] }: Applied): (number | undefined)[] {
  return effects.map((effect: MachineEffect) => {
    assert(effect.type === "timer");
    return (effect as { afterMs: number | undefined }).afterMs;
  });
}

Deno.test("a put is known by the index of its entry, and a delete forgets it", () => {
  const store = new Store();
  assertEquals(store.reply({ put: "a" }), { type: "done" });
  assertEquals(store.reply({ put: "b" }), { type: "done" });
  assertEquals(store.reply({ put: "a" }), { type: "done" });
  assertEquals([store.indexOf("a"), store.indexOf("b")], [3, 2]);
  assertEquals([...machine.liveIndexes!(store.state)].sort(), [2, 3]);
  assertEquals(store.reply({ delete: "a" }), { type: "done" });
  assertEquals(store.reply({ delete: "a" }), { type: "not_found" });
  assertEquals(store.indexOf("a"), 0);
  assertEquals([...machine.liveIndexes!(store.state)], [2]);
});

Deno.test("a change that names an index is carried out only at that index", () => {
  const store = new Store();
  store.apply({ put: "a" });
  const mismatch = (index: number): RaKvReply => ({
    type: "index_mismatch",
    place: 0,
    index,
  });
  assertEquals(store.reply({ put: "a", ifIndex: 0 }), mismatch(1));
  assertEquals(store.reply({ put: "a", ifIndex: 2 }), mismatch(1));
  assertEquals(store.reply({ put: "b", ifIndex: 1 }), mismatch(0));
  assertEquals(store.reply({ delete: "a", ifIndex: 7 }), mismatch(1));
  assertEquals(store.indexOf("a"), 1);
  assertEquals(store.reply({ put: "a", ifIndex: 1 }), { type: "done" });
  assertEquals(store.indexOf("a"), 6);
  assertEquals(store.reply({ delete: "a", ifIndex: 6 }), { type: "done" });
  assertEquals(store.reply({ put: "a", ifIndex: 0 }), { type: "done" });
});

Deno.test("a batch is carried out completely or not at all", () => {
  const store = new Store();
  store.apply({ put: "a" });
  assertEquals(
    store.reply({
      batch: [{ put: "b" }, { delete: "a" }, { put: "c", ifIndex: 4 }],
    }),
    { type: "index_mismatch", place: 2, index: 0 },
  );
  assertEquals(["a", "b", "c"].map((key) => store.indexOf(key)), [1, 0, 0]);
  assertEquals(
    store.reply({
      batch: [{ put: "b" }, { delete: "a" }, { delete: "x" }, {
        put: "c",
        ifIndex: 0,
      }],
    }),
    { type: "done" },
  );
  assertEquals(["a", "b", "c"].map((key) => store.indexOf(key)), [0, 3, 3]);
});

Deno.test("the entry of a batch is live once, until its last key is gone", () => {
  const store = new Store();
  store.apply({ batch: [{ put: "a" }, { put: "b" }, { put: "b" }] });
  store.apply({ put: "c" });
  assertEquals([...machine.liveIndexes!(store.state)].sort(), [1, 2]);
  assertEquals(liveEntries(store.state), 2);
  store.apply({ put: "a" });
  assertEquals([...machine.liveIndexes!(store.state)].sort(), [1, 2, 3]);
  store.apply({ delete: "b" });
  assertEquals([...machine.liveIndexes!(store.state)].sort(), [2, 3]);
  assertEquals(store.state.batches.size, 0);
});

Deno.test("a key expires by the time of the log, for changes and for look-ups", () => {
  const store = new Store();
  store.apply({ put: "a", ttlMs: 500 });
  store.timeMs = 1_499;
  store.apply({ put: "x" });
  assertEquals(store.indexOf("a"), 1);
  store.timeMs = 1_500;
  store.apply({ put: "x" });
  assertEquals(store.indexOf("a"), 0);
  assertEquals(store.reply({ delete: "a" }), { type: "not_found" });
  assertEquals(store.reply({ put: "a", ifIndex: 0 }), { type: "done" });
  assertEquals(store.indexOf("a"), 5);
  // A put without a time to live never expires.
  store.timeMs = 1_000_000;
  store.apply("sweep");
  assertEquals(store.indexOf("a"), 5);
});

Deno.test("the log's time never goes back, even if a leader's clock does", () => {
  const store = new Store();
  store.apply({ put: "a", ttlMs: 100 });
  store.timeMs = 1_100;
  store.apply("sweep");
  store.timeMs = 900;
  store.apply({ put: "b", ttlMs: 100 });
  assertEquals([store.indexOf("a"), store.indexOf("b")], [0, 3]);
  store.timeMs = 1_200;
  store.apply("sweep");
  assertEquals(store.indexOf("b"), 0);
});

Deno.test("the leader sweeps when the next key expires", () => {
  const store = new Store();
  assertEquals(machine.enterRole!(true, store.state), []);
  assertEquals(timers(store.apply({ put: "a" })), []);
  assertEquals(timers(store.apply({ put: "a", ttlMs: 500 })), [500]);
  assertEquals(timers(store.apply({ put: "b", ttlMs: 700 })), []);
  assertEquals(timers(store.apply({ put: "c", ttlMs: 300 })), [300]);
  assertEquals(
    timers(store.apply({ batch: [{ put: "d", ttlMs: 200 }, { put: "e" }] })),
    [200],
  );
  assertEquals(
    machine.enterRole!(true, store.state).map((effect) =>
      effect.type === "timer" && effect.afterMs
    ),
    [0],
  );
  assertEquals(machine.enterRole!(false, store.state), []);
  store.timeMs = 1_500;
  const swept = store.apply("sweep");
  assertEquals(timers(swept), [200]);
  assertEquals(store.state.keys.size, 2);
  store.timeMs = 1_690;
  assertEquals(timers(store.apply("sweep")), [SWEEP_INTERVAL_MIN_MS]);
  store.timeMs = 1_800;
  assertEquals(timers(store.apply("sweep")), [undefined]);
  assertEquals(store.state.expiries.size, 0);
});

Deno.test("a sweep removes a bounded number of keys, and all of one entry", () => {
  const store = new Store();
  const batch = (n: number, ttlMs: number) => ({
    batch: Array.from({ length: 900 }, (_, at) => ({
      put: `${n}-${at}`,
      ttlMs,
    })),
  });
  for (let n = 0; n < 14; n++) store.apply(batch(n, 100));
  store.timeMs = 2_000;
  assertEquals(timers(store.apply("sweep")), [0]);
  const swept = Math.ceil(SWEEP_KEYS_MAX / 900) * 900;
  assertEquals(store.state.keys.size, 14 * 900 - swept);
  assertEquals(store.state.batches.size, 14 - swept / 900);
  assertEquals(timers(store.apply("sweep")), [undefined]);
  assertEquals(store.state.keys.size, 0);
});

Deno.test("the end of a cluster is a command of its own, which no operation on keys may carry", () => {
  const store = new Store();
  store.apply({ put: "k" });
  const ended = store.apply(END_COMMAND);
  assertEquals(replyOf(ended), { type: "done" });
  assertEquals(ended.effects, [{ type: "end" }]);
  assertThrows(() => checkCommand(END_COMMAND), WhorlError, "as an operation");
  checkCommand(bytesOf({ put: "k" }));
});

Deno.test("invalid commands are refused and change nothing", () => {
  const store = new Store();
  store.apply({ put: "a" });
  const before = stateDigest(store.state);
  const put = bytesOf({ put: "b", value: "some value" });
  const batch = bytesOf({ batch: [{ put: "b" }, { put: "c" }] });
  const bad: Uint8Array<ArrayBuffer>[] = [
    new Uint8Array(0),
    Uint8Array.of(0),
    Uint8Array.of(9),
    Uint8Array.of(RaKvOp.sweep, 0),
    Uint8Array.of(RaKvOp.batch, 0, 0),
    ...[put, batch].flatMap((bytes) => [
      bytes.slice(0, -1),
      new Uint8Array([...bytes, 0]),
    ]),
  ];
  for (let end = 1; end < batch.length; end++) bad.push(batch.slice(0, end));
  for (const command of bad) {
    const reply = replyOf(store.apply(command));
    assertEquals(reply.type, "refused", command.toHex());
    assertEquals(stateDigest(store.state), before);
  }
});

Deno.test("apply() accepts any bytes without throwing", () => {
  const store = new Store();
  const damaged = fc.tuple(
    fc.constantFrom<Command>(
      { put: "a", value: "v", ttlMs: 5, ifIndex: 0 },
      { delete: "a" },
      { batch: [{ put: "a" }, { delete: "b", ifIndex: 2 }] },
    ),
    fc.array(fc.tuple(fc.nat(), fc.nat(255)), { minLength: 1, maxLength: 3 }),
  ).map(([command, changes]) => {
    const bytes = bytesOf(command);
    for (const [at, value] of changes) bytes[at % bytes.length] = value;
    return bytes;
  });
  fc.assert(
    fc.property(
      fc.oneof(damaged, fc.uint8Array({ maxLength: 40 })),
      (bytes) => void replyOf(store.apply(new Uint8Array(bytes))),
    ),
    { numRuns: 2_000 },
  );
});

Deno.test("changes are kept in log order for watchers", () => {
  const store = new Store();
  store.apply({ put: "a" });
  store.apply({ delete: "x" });
  store.apply({ batch: [{ put: "b", ttlMs: 10 }, { delete: "a" }] });
  store.apply({ put: "c", ifIndex: 9 });
  store.timeMs = 2_000;
  store.apply("sweep");
  const seen: [number, number, string][] = [];
  store.state.changes.visitAfter(0, ({ index, kind, bytes, start, end }) => {
    seen.push([index, kind, decoder.decode(bytes.subarray(start, end))]);
    return true;
  });
  assertEquals(seen, [
    [1, ChangeKind.put, "a"],
    [3, ChangeKind.put, "b"],
    [3, ChangeKind.delete, "a"],
    [5, ChangeKind.expire, "b"],
  ]);
  const copy = store.copy(100);
  assertEquals(copy.state.changes.floor, 5);
});

/** The expected behaviour of the machine, with a Map. */
class Model {
  readonly values = new Map<string, { index: number; expiresAtMs: number }>();
  timeMs = 0;

  live(key: string): number {
    const found = this.values.get(key);
    if (found === undefined) return 0;
    return found.expiresAtMs > this.timeMs ? found.index : 0;
  }

  apply(command: Command, index: number, timeMs: number): RaKvReply {
    this.timeMs = Math.max(this.timeMs, timeMs);
    if (command === "sweep") return { type: "done" };
    const changes = "batch" in command ? command.batch : [command];
    if (
      !("batch" in command) && "delete" in command && !this.live(command.delete)
    ) {
      return { type: "not_found" };
    }
    for (const [place, change] of changes.entries()) {
      const key = "put" in change ? change.put : change.delete;
      const { ifIndex } = change;
      if (ifIndex !== undefined && ifIndex !== this.live(key)) {
        return { type: "index_mismatch", place, index: this.live(key) };
      }
    }
    for (const change of changes) {
      if ("put" in change) {
        const expiresAtMs = change.ttlMs === undefined
          ? Infinity
          : this.timeMs + change.ttlMs;
        this.values.set(change.put, { index, expiresAtMs });
      } else if (this.live(change.delete)) this.values.delete(change.delete);
    }
    return { type: "done" };
  }
}

const key = fc.constantFrom("a", "b", "c", "d", "e");
const ifIndex = fc.oneof(
  { weight: 3, arbitrary: fc.constant(undefined) },
  { weight: 1, arbitrary: fc.nat(30) },
);
const change: fc.Arbitrary<Change> = fc.oneof(
  {
    weight: 3,
    arbitrary: fc.record({
      put: key,
      ifIndex,
      ttlMs: fc.option(fc.integer({ min: 1, max: 60 }), { nil: undefined }),
    }),
  },
  { weight: 1, arbitrary: fc.record({ delete: key, ifIndex }) },
);
const command: fc.Arbitrary<Command> = fc.oneof(
  { weight: 5, arbitrary: change },
  {
    weight: 2,
    arbitrary: fc.record({
      batch: fc.array(change, { minLength: 1, maxLength: 5 }),
    }),
  },
  { weight: 1, arbitrary: fc.constant("sweep" as const) },
);

Deno.test("the machine behaves like a Map with times, and a restored snapshot makes no difference", () => {
  const step = fc.record({
    command,
    laterMs: fc.constantFrom(0, 1, 10, 40, -20),
    snapshot: fc.constantFrom(0, 0, 0, 1, 7, 100),
  });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      const model = new Model();
      const first = new Store();
      let second = new Store();
      for (const { command, laterMs, snapshot } of steps) {
        first.timeMs += laterMs;
        second.timeMs = first.timeMs;
        const reply = first.reply(command);
        const again = second.apply(command);
        assertEquals(replyOf(again), reply);
        assertEquals(
          reply,
          model.apply(command, first.index, first.timeMs),
        );
        for (const key of ["a", "b", "c", "d", "e"]) {
          assertEquals(first.indexOf(key), model.live(key));
          assertEquals(second.indexOf(key), model.live(key));
        }
        if (command === "sweep") {
          for (const [key] of model.values) {
            if (!model.live(key)) model.values.delete(key);
          }
          assertEquals(first.state.keys.size, model.values.size);
        }
        if (snapshot > 0) second = second.copy(snapshot);
        assertEquals(stateDigest(second.state), stateDigest(first.state));
      }
      const live = new Set(
        [...model.values.values()].map(({ index }) => index),
      );
      const indexes = [...machine.liveIndexes!(first.state)];
      assertEquals(indexes.length, new Set(indexes).size);
      assertEquals(new Set(indexes), live);
      assertEquals(liveEntries(second.state), live.size);
      assertEquals(
        first.state.expiries.size,
        [...model.values.values()].filter((v) => v.expiresAtMs !== Infinity)
          .length,
      );
      assertEquals(second.state.expiries.size, first.state.expiries.size);
    }),
    { numRuns: 300 },
  );
});

Deno.test("a view shows the moment it was taken, whatever changes while its pieces are read", () => {
  const long = "long ".repeat(20);
  const store = new Store();
  for (let n = 0; n < 20_000; n++) {
    store.apply({
      put: `${long}${n}`,
      ...(n % 3 === 0 ? { ttlMs: 1_000 } : {}),
    });
  }
  store.apply({ batch: [{ put: `${long}1` }, { put: `${long}19999` }] });
  const digest = stateDigest(store.state);
  const live = new Set(machine.liveIndexes!(store.state));
  const { timeMs, lastIndex } = store.state;
  const view = machine.view!(store.state);
  const { live: liveThen } = view;
  const pieces: Uint8Array<ArrayBuffer>[] = [];
  let n = 0;
  for (const piece of view.pieces) {
    const before = piece.slice();
    // Keys that are written already, keys that are not yet, and new ones in
    // their records.
    store.timeMs += 500;
    for (const end = n + 700; n < end; n++) {
      store.apply({ delete: `${long}${n}` });
      store.apply({ put: `${long}${19_999 - n}`, value: "later" });
      store.apply({ put: `another ${n}` });
    }
    store.apply("sweep");
    assert(piece.length <= SNAPSHOT_PIECE_BYTES);
    assertEquals(piece, before);
    pieces.push(piece);
  }
  assert(pieces.length > 5);
  const found = machine.decode(pieces);
  assertEquals(stateDigest(found), digest);
  assertEquals([found.timeMs, found.lastIndex], [timeMs, lastIndex]);
  assertEquals(new Set(liveThen), live);
  assert(stateDigest(store.state) !== digest);
});

Deno.test("a released view sees no further changes", () => {
  const store = new Store();
  store.apply({ put: "a" });
  store.apply({ put: "b" });
  const view = machine.view!(store.state);
  view.release();
  store.apply({ delete: "b" });
  assertEquals([...view.live], []);
});

Deno.test("a state is encoded as its format says", () => {
  const store = new Store();
  store.apply({ put: "a", value: "v", ttlMs: 5 });
  store.apply({ batch: [{ put: "b", value: "w" }] });
  store.apply({ delete: "x" });
  const [bytes] = cut(machine.encode(store.state), 1_000_000);
  const hash = (hex: string): string =>
    valueHash(Uint8Array.fromHex(hex)).toString(16).padStart(8, "0");
  assertEquals(
    bytes!.toHex(),
    "01" + "000000000003" + "00000000000003e8" + "00000002" +
      "02" + "000000000001" + hash("01a176") + "0000000003ed" + "0001" + "61" +
      "01" + "000000000002" + hash("01a177") + "0001" + "62",
  );
});

Deno.test("decode() refuses what is not a snapshot", () => {
  const store = new Store();
  store.apply({ put: "a", ttlMs: 5 });
  store.apply({ put: "b" });
  const [bytes] = cut(machine.encode(store.state), 1_000_000);
  machine.decode([bytes!]);
  const refused = (changed: Uint8Array<ArrayBuffer>[]): void => {
    const error = assertThrows(() => machine.decode(changed), WhorlError);
    assert(isWhorlError(error, "protocol_error"), String(error));
  };
  refused([]);
  for (let end = 0; end < bytes!.length; end++) refused([bytes!.slice(0, end)]);
  refused([bytes!, Uint8Array.of(0)]);
  refused([Uint8Array.of(2, ...bytes!.subarray(1))]);
  const flags = bytes!.slice();
  flags[19] = 4;
  refused([flags]);
  // The same key twice.
  const twice = bytes!.slice();
  twice[twice.length - 1] = "a".charCodeAt(0);
  refused([twice]);
});

Deno.test("decoder() reserves no memory for keys that are only announced", () => {
  const store = new Store();
  store.apply({ put: "a" });
  store.apply({ put: "b" });
  const [bytes] = cut(machine.encode(store.state), 1_000_000);
  const many = bytes!.slice();
  many.fill(0xff, 15, 19);
  const decoder = machine.decoder!();
  decoder.add(many);
  const error = assertThrows(() => decoder.end(), WhorlError);
  assert(isWhorlError(error, "protocol_error"), String(error));
});

Deno.test("an overview tells how much there is", () => {
  const store = new Store();
  store.apply({ batch: [{ put: "a" }, { put: "bc", ttlMs: 5 }] });
  assertEquals(machine.overview!(store.state), {
    open: 1,
    sealed: 0,
    sourcesLeft: 0,
    keys: 2,
    keyBytes: 3,
    liveIndexes: 1,
    expiring: 1,
    timeMs: 1_000,
  });
});
