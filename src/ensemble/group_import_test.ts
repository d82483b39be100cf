import { assert, assertEquals, assertRejects } from "@std/assert";
import { ManualRuntime } from "../../supervisors/manual_runtime.ts";
import { ByteWriter } from "../base/byte_writer.ts";
import { WhorlError } from "../base/errors.ts";
import { silentLog } from "../environment/log.ts";
import { CHANGES_KEPT_MAX } from "../ra_kv/change_log.ts";
import { valueInEntry } from "../ra_kv/entry_values.ts";
import { RA_KV_MACHINE, RaKvOp } from "../ra_kv/ra_kv_command_codec.ts";
import { raKvMachine, versionOf } from "../ra_kv/ra_kv_machine.ts";
import type { RaKvMember } from "../ra_kv/ra_kv_service.ts";
import { writeValueField } from "../ra_kv/ra_kv_value.ts";
import { isCopied, isOpen } from "../ra_kv/succession.ts";
import { sealCommand } from "../ra_kv/succession_codec.ts";
import { entryBody } from "../raft/entry_body.ts";
import { EntryKind, type RaftEntry } from "../raft/raft_entry.ts";
import type { RaftSystem, RaftTarget } from "../raft/raft_member.ts";
import type { Ring } from "../ring/ring.ts";
import { vnodeGroup } from "./ensemble_names.ts";
import { GroupExport } from "./group_export.ts";
import { GroupTakeovers } from "./group_takeovers.ts";
import { type Takeover, takeOver } from "./group_import.ts";
import { partitionOfKey } from "./group_sources.ts";
import { MemberQuestions } from "./member_questions.ts";
import { STUCK_AFTER_MS } from "./stuck_groups.ts";

const machine = raKvMachine();
const encoder = new TextEncoder();
const decoder = new TextDecoder();

/** A group of one member. */
class Group {
  readonly node = "a";
  readonly state = machine.init();
  readonly entries = new Map<number, RaftEntry>();
  role = "leader";
  term = 1;
  appliedIndex = 0;
  /** Called before a command is applied. */
  before = (_op: number): void => {};
  readonly log = {
    config: { machine: RA_KV_MACHINE },
    entryInMemory: (index: number) => this.entries.get(index),
  };

  constructor(readonly group: string) {
    // The no-op of its leader.
    this.appliedIndex++;
  }

  get leader(): string {
    return this.node;
  }

  consistentRead(target: RaftTarget<void>): void {
    target.done();
  }

  propose(
    command: Uint8Array<ArrayBuffer>,
    target?: Parameters<RaKvMember["propose"]>[1],
  ): void {
    this.before(command[0] as number);
    const { term } = this;
    const index = ++this.appliedIndex;
    const body = entryBody(EntryKind.command, 1, command);
    this.entries.set(index, { index, term, body });
    const meta = { index, term, timeMs: 1, machineVersion: 0 };
    const { reply } = machine.apply(meta, command, this.state);
    target?.done({ meta, reply });
  }

  put(key: Uint8Array, value: string): void {
    this.#change(RaKvOp.put, key, value);
  }

  delete(key: Uint8Array): void {
    this.#change(RaKvOp.delete, key);
  }

  #change(op: number, key: Uint8Array, value?: string): void {
    const into = new ByteWriter();
    into.u8(op);
    into.u8(0);
    into.u16(key.length);
    into.raw(key);
    if (value !== undefined) writeValueField(into, value);
    this.propose(into.copy());
  }

  /** Name, version and size of the value of each key. */
  contents(): [string, number, number][] {
    const { state } = this;
    const found: [string, number, number][] = [];
    for (let record = 0; record < state.keys.recordEnd; record++) {
      if (!state.keys.has(record)) continue;
      const key = state.keys.keyOf(record).slice();
      const entry = this.entries.get(state.keys.indexOf(record)) as RaftEntry;
      const hash = state.keys.valueHashOf(record);
      found.push([
        decoder.decode(key.subarray(3)),
        versionOf(state, record),
        valueInEntry(entry, key, hash).length,
      ]);
    }
    return found.sort(([a], [b]) => a < b ? -1 : 1);
  }
}

/** Keys of `partition` in a ring of `size`. */
function keysOf(
  partition: number,
  size: number,
  count: number,
  prefix = "",
): Uint8Array[] {
  const found: Uint8Array[] = [];
  for (let i = 0; found.length < count; i++) {
    const key = encoder.encode(`\0\x01b${prefix}${partition}.${i}`);
    if (partitionOfKey(key, size) === partition) found.push(key);
  }
  return found;
}

/** Numbers below 1, the same for each seed (Lehmer's, of Park and Miller). */
function randomFrom(seed: number): () => number {
  let state = seed;
  return () => (state = state * 48_271 % 0x7fff_ffff) / 0x7fff_ffff;
}

/**
 * A ring of 16 that shrinks to 8 partitions: its groups 1 and 2, and the one
 * that takes over from both.
 */
function shrinking() {
  const sources = [new Group(vnodeGroup(1)), new Group(vnodeGroup(2))] as const;
  const target = new Group(vnodeGroup(1_024 + 1));
  const groups = new Map<string, unknown>(
    [...sources, target].map((group) => [group.group, group]),
  );
  const runtime = new ManualRuntime();
  const members = new MemberQuestions({
    self: "a",
    runtime,
    system: () => ({
      member: (group: string) => groups.get(group),
    } as unknown as RaftSystem),
    isUp: () => true,
    find: () => Promise.resolve([]),
    call: () => Promise.reject(new WhorlError("not_reachable", "nobody")),
  });
  const sealed: number[] = [];
  const world = {
    runtime,
    members,
    exports: new GroupExport(members),
    seal: (vnode: number) => {
      sealed.push(vnode);
      sources[vnode - 1]?.propose(sealCommand({ generation: 1, size: 8 }));
      return Promise.resolve();
    },
    closed: () => false,
  };
  const takeover: Takeover = {
    partition: 1,
    size: 8,
    from: { firstVnode: 0, owners: () => ["a"], size: 16 },
    mayEnd: false,
  };
  const step = (mayEnd = false): Promise<readonly number[]> =>
    takeOver(world, target as unknown as RaKvMember, { ...takeover, mayEnd });
  const both = () =>
    [...sources[0].contents(), ...sources[1].contents()]
      .sort(([a], [b]) => a < b ? -1 : 1);
  return { sources, target, step, sealed, both, runtime, members };
}

Deno.test("takeOver() copies the sources, follows them, and opens the group when they are sealed", async () => {
  const { sources: [one, two], target, step, sealed, both } = shrinking();
  const [a, b, c] = keysOf(1, 16, 3) as [Uint8Array, Uint8Array, Uint8Array];
  const [x, y] = keysOf(2, 16, 2) as [Uint8Array, Uint8Array];
  for (const key of [a, b]) one.put(key, "first");
  two.put(x, "first");
  await step();
  assert(isCopied(target.state.succession));
  assertEquals(target.contents(), both());
  one.put(a, "second");
  one.delete(b);
  one.put(c, "first");
  two.put(y, "first");
  await step();
  assertEquals([isOpen(target.state.succession), sealed], [false, []]);
  assertEquals(target.contents(), both());
  two.delete(x);
  await step(true);
  assertEquals([isOpen(target.state.succession), sealed], [true, [1, 2]]);
  assertEquals(target.contents(), both());
  const before = target.contents().map(([, version]) => version);
  target.put(a, "third");
  const [[, version] = ["", 0]] = target.contents()
    .filter(([, version]) => !before.includes(version));
  assert(version > Math.max(one.appliedIndex, two.appliedIndex));
});

Deno.test("takeOver() imports writes made between its questions and the seal", async () => {
  const { sources: [one], target, step, both } = shrinking();
  const keys = keysOf(1, 16, 40);
  for (const key of keys) one.put(key, "first");
  await step();
  let turns = 0;
  one.before = (op) => {
    if (op !== RaKvOp.seal) return;
    for (const key of keys.slice(0, 20)) one.put(key, `turn ${turns++}`);
    one.delete(keys[30] as Uint8Array);
  };
  await step(true);
  assertEquals([turns, target.state.keys.size], [20, 39]);
  assertEquals(target.contents(), both());
});

Deno.test("takeOver() goes through a source again if that has forgotten changes", async () => {
  const { sources: [one], target, step, both } = shrinking();
  const keys = keysOf(1, 16, 60);
  for (const key of keys) one.put(key, "first");
  await step();
  for (const key of keys.slice(0, 10)) one.delete(key);
  const [last] = keys.slice(-1) as [Uint8Array];
  for (let i = 0; i < CHANGES_KEPT_MAX + 2_000; i++) one.put(last, `${i}`);
  const index = target.appliedIndex;
  await step();
  assertEquals(target.contents(), both());
  // What is already here was not sent again.
  assert(target.appliedIndex - index < 4);
  await step(true);
  assertEquals(target.contents(), both());
});

Deno.test("takeOver() completes a copy while more is written than a source remembers", async () => {
  const { sources: [one], target, step, both } = shrinking();
  const keys = keysOf(1, 16, 1_500, "long".repeat(120));
  for (const key of keys) one.put(key, "first");
  const [busy] = keysOf(1, 16, 1) as [Uint8Array];
  let questions = 0;
  let written = 0;
  one.consistentRead = (told) => {
    if (++questions > 300) throw new Error("The copy does not end");
    for (let i = 0; i < 1_000; i++) one.put(busy, `${written++}`);
    told.done();
  };
  await step();
  assert(written > 2 * CHANGES_KEPT_MAX);
  assert(isCopied(target.state.succession));
  await step(true);
  assertEquals(target.contents(), both());
});

Deno.test("takeOver() copies changes made meanwhile, before and after its current page", async () => {
  for (let seed = 1; seed <= 10; seed++) {
    const { sources: [one], target, step, both } = shrinking();
    const random = randomFrom(seed);
    const keys = keysOf(1, 16, 400, "long".repeat(120));
    const change = (): void => {
      const key = keys[Math.floor(random() * keys.length)] as Uint8Array;
      if (random() < 0.4) one.delete(key);
      else one.put(key, `${random()}`);
    };
    for (const key of keys) one.put(key, "first");
    // What is here from an earlier copy may be gone there, and come again.
    await step();
    for (let i = 0; i < 300; i++) change();
    const [busy] = keysOf(1, 16, 1) as [Uint8Array];
    for (let i = 0; i < CHANGES_KEPT_MAX + 2_000; i++) one.put(busy, `${i}`);
    one.consistentRead = (told) => {
      for (let i = 0; i < 20; i++) change();
      told.done();
    };
    await step();
    one.consistentRead = (told) => told.done();
    await step();
    assertEquals(target.contents(), both(), `seed ${seed}`);
    await step(true);
    assertEquals(target.contents(), both(), `seed ${seed}`);
  }
});

/**
 * Makes `group` write to `keys` in turn, between two questions more often than
 * any group remembers, and never rest.
 *
 * @returns How many questions have come.
 */
function neverRests(group: Group, keys: readonly Uint8Array[]): () => number {
  let questions = 0;
  let written = 0;
  group.consistentRead = (told) => {
    if (++questions > 1_000) throw new Error("The copy does not end");
    for (let i = 0; i < CHANGES_KEPT_MAX + 100; i++) {
      const key = keys[written % keys.length] as Uint8Array;
      if (written % 7 === 0) group.delete(key);
      else group.put(key, `${written}`);
      written++;
    }
    told.done();
  };
  return () => questions;
}

Deno.test("takeOver() completes although a writer always writes more between two questions than a source remembers", async () => {
  const { sources: [one, two], target, step, sealed, both } = shrinking();
  const keys = keysOf(1, 16, 500, "long".repeat(40));
  for (const key of keys) one.put(key, "first");
  for (const key of keysOf(2, 16, 10)) two.put(key, "first");
  const questions = neverRests(one, keys.slice(0, 200));
  assertEquals(await step(), [1]);
  // Everything was gone through, so the ring may be read with it before long.
  assert(isCopied(target.state.succession));
  await step();
  assertEquals([isOpen(target.state.succession), sealed], [false, []]);
  const before = questions();
  let asLeft = 0;
  one.before = (op) => {
    if (op === RaKvOp.seal) asLeft = questions();
  };
  await step(true);
  assert(isOpen(target.state.succession));
  assertEquals(target.contents(), both());
  // One pass before the seal, and one after it, as before.
  const [first, last] = [asLeft - before, questions() - asLeft];
  assert(first < 20 && last < 20, `${first} and ${last} questions`);
});

Deno.test("takeOver() imports changes made in one source while another was copied, before it seals them", async () => {
  const { sources: [one, two], target, step, both } = shrinking();
  const keys = keysOf(1, 16, 40);
  for (const key of keys) one.put(key, "first");
  for (const key of keysOf(2, 16, 40)) two.put(key, "first");
  two.consistentRead = (told) => {
    for (const key of keys) one.put(key, "second");
    two.consistentRead = (next) => next.done();
    told.done();
  };
  let isSealed = false;
  one.before = (op) => {
    if (op !== RaKvOp.seal) return;
    isSealed = true;
    assertEquals(target.contents(), both());
  };
  await step(true);
  assertEquals([isSealed, isOpen(target.state.succession)], [true, true]);
});

Deno.test("GroupTakeovers warns of a group that goes through all keys again and again", async () => {
  const { sources: [one], target, members, runtime } = shrinking();
  const keys = keysOf(1, 16, 20);
  for (const key of keys) one.put(key, "first");
  neverRests(one, keys);
  const told: [string, unknown][] = [];
  const none = () => Promise.reject(new WhorlError("not_reachable", "nobody"));
  const generations = {
    current: 0,
    resize: { generation: 1, owners: Array(8).fill("a") },
  };
  const ring = {
    size: 16,
    ownership: { owners: Array(16).fill("a"), generations },
  } as unknown as Ring;
  const takeovers = new GroupTakeovers({
    self: "a",
    runtime,
    log: {
      ...silentLog,
      info: (message) => void told.push(["info", message]),
      warn: (_message, data) => void told.push(["warn", data?.["reason"]]),
    },
    system: () => undefined,
    ring: () => ring,
    members,
    exports: new GroupExport(members),
    perform: none,
    call: none,
  });
  const step = () =>
    takeovers.takeOver({ group: target.group, partition: 1, mayEnd: false });
  await step();
  assertEquals(told, []);
  await runtime.advance(STUCK_AFTER_MS);
  await step();
  assertEquals(told.map(([kind]) => kind), ["warn"]);
  assert(String(told[0]![1]).startsWith(`more is written to ${one.group}`));
  one.consistentRead = (asker) => asker.done();
  await step();
  assertEquals(told.slice(1), [["info", `${target.group} gets on again`]]);
});

Deno.test("takeOver() does not follow forever if changes are made as fast as they are imported", async () => {
  const { sources: [one], target, step, both } = shrinking();
  const keys = keysOf(1, 16, 1_200, "long".repeat(120));
  for (const key of keys) one.put(key, "first");
  await step();
  let questions = 0;
  let written = 0;
  // More than one answer contains, and less than a source remembers.
  one.consistentRead = (told) => {
    if (++questions > 200) throw new Error("It follows for ever");
    for (let i = 0; i < 200; i++) {
      one.put(keys[written++ % keys.length] as Uint8Array, `${written}`);
    }
    told.done();
  };
  await step();
  await step(true);
  assert(isOpen(target.state.succession));
  assertEquals(target.contents(), both());
});

Deno.test("takeOver() processes many keys of its own in several turns", async () => {
  const { sources: [one], target, step, both, runtime } = shrinking();
  for (const key of keysOf(1, 16, 9_000)) one.put(key, "v");
  let turns = 0;
  const { setTimer } = runtime;
  runtime.setTimer = (ms, callback) => {
    if (ms === 0) turns++;
    return setTimer.call(runtime, ms, callback);
  };
  let isOver = false;
  const taken = step().finally(() => isOver = true);
  while (!isOver) await runtime.advance(1);
  await taken;
  // Those of the first source, among which some of the second one might be.
  assertEquals(turns, 2);
  assertEquals(target.contents(), both());
});

Deno.test("takeOver() imports many keys and large values in parts", async () => {
  const { sources: [one], target, step, both } = shrinking();
  for (const key of keysOf(1, 16, 2_500)) one.put(key, "small");
  for (const key of keysOf(1, 16, 2_505).slice(2_500)) {
    one.put(key, "large".repeat(60_000));
  }
  const sizes: number[] = [];
  const { propose } = target;
  target.propose = function (command, told) {
    sizes.push(command.length);
    propose.call(target, command, told);
  };
  await step(true);
  assertEquals(target.contents(), both());
  assert(sizes.length > 5);
  assert(Math.max(...sizes) < 700_000, `${sizes}`);
});

Deno.test("takeOver() ends when another member leads, which continues where it stopped", async () => {
  const { sources: [one], target, step, both } = shrinking();
  for (const key of keysOf(1, 16, 2_500)) one.put(key, "small");
  let imports = 0;
  target.before = (op) => {
    // It has lost the lead and has it again: what it reads now is as good as
    // another leader's.
    if (op === RaKvOp.import && ++imports === 2) target.term++;
  };
  const error = await assertRejects(() => step(true), WhorlError);
  assertEquals(error.code, "cancelled");
  assertEquals(isOpen(target.state.succession), false);
  target.before = () => {};
  await step(true);
  assertEquals(target.contents(), both());
  assert(isOpen(target.state.succession));
});
