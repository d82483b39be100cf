import { assertEquals } from "@std/assert";
import { ByteWriter } from "../base/byte_writer.ts";
import { ManualRuntime } from "../../supervisors/manual_runtime.ts";
import { entryBody } from "./entry_body.ts";
import type { MachineEffect, RaftMachine } from "./machine.ts";
import { MachineHost, PROPOSE_AGAIN_MS } from "./machine_host.ts";
import { writeMembership } from "./membership_codec.ts";
import { EntryKind, type Membership } from "./raft_entry.ts";

const utf8 = new TextEncoder();
const text = (bytes: Uint8Array): string => new TextDecoder().decode(bytes);

/** Remembers its calls, and returns the effects that its commands ask for. */
const machine: RaftMachine<string[]> = {
  name: "log",
  version: 3,
  init: () => [],
  apply(meta, command, state) {
    const words = text(command);
    state.push(`${meta.index}.${meta.term}v${meta.machineVersion} ${words}`);
    return { reply: utf8.encode(words), effects: EFFECTS[words] ?? [] };
  },
  encode: (state) => [utf8.encode(state.join("|"))],
  decode: (pieces) => text([...pieces][0]!).split("|"),
  liveIndexes: (state) => state.map((_, at) => at),
  enterRole(leader, state) {
    state.push(leader ? "leads" : "follows");
    return leader ? EFFECTS["timer"] as MachineEffect[] : [];
  },
  handleAux: (command, state) => ({
    reply: [command, state.length],
    effects: [{ type: "release_cursor", index: 0 }],
  }),
  upgrade: (from, to, state) => void state.push(`upgrade ${from} to ${to}`),
};

const EFFECTS: Record<string, readonly MachineEffect[]> = {
  timer: [{
    type: "timer",
    name: "t",
    afterMs: 100,
    command: utf8.encode("tick"),
  }],
  stop: [{
    type: "timer",
    name: "t",
    afterMs: undefined,
    command: utf8.encode(""),
  }],
  watch: [{ type: "monitor", node: "b", command: utf8.encode("b is lost") }],
  watchDown: [{ type: "monitor", node: "down", command: utf8.encode("gone") }],
  unwatch: [{ type: "monitor", node: "b", command: undefined }],
  notify: [{ type: "notify", to: 5, message: utf8.encode("hello") }],
  release: [{ type: "release_cursor", index: 1 }],
  end: [{ type: "end" }],
  point: [{ type: "checkpoint" }],
};

const INITIAL: Membership = { index: 0, members: [] };

function makeHost(leads = true) {
  const runtime = new ManualRuntime();
  const did: string[] = [];
  const role = { leads, refuses: false };
  const host = new MachineHost(machine, [] as string[], undefined, INITIAL, {
    runtime,
    leads: () => role.leads,
    isUp: (node) => node !== "down",
    propose: (command, refused) => {
      did.push(`propose ${text(command)}`);
      if (role.refuses) refused();
    },
    applied: ({ index }, reply) =>
      void did.push(`reply ${index} ${text(reply!)}`),
    release: () => void did.push("release"),
    checkpoint: () => void did.push("checkpoint"),
  });
  let index = 0;
  const apply = (words: string): void =>
    host.apply({
      index: ++index,
      term: 2,
      body: entryBody(EntryKind.command, 0, utf8.encode(words)),
    });
  return { host, runtime, did, role, apply };
}

Deno.test("MachineHost applies commands in order and returns their replies", () => {
  const { host, did, apply } = makeHost();
  apply("one");
  apply("release");
  apply("point");
  assertEquals(host.state, ["1.2v0 one", "2.2v0 release", "3.2v0 point"]);
  assertEquals(did, [
    "reply 1 one",
    "release",
    "reply 2 release",
    "checkpoint",
    "reply 3 point",
  ]);
  assertEquals([host.index, host.version], [3, 0]);
});

Deno.test("MachineHost changes its version at a leader's first entry, only upwards, and its members at theirs", () => {
  const { host, apply } = makeHost();
  const noop = (index: number, version: number): void =>
    host.apply({
      index,
      term: 4,
      body: entryBody(EntryKind.noop, 0, Uint8Array.of(version >> 8, version)),
    });
  apply("old");
  noop(2, 3);
  noop(3, 1);
  const into = new ByteWriter();
  const members = [
    { node: "a", uid: 9, kind: "voter", target: 0 },
  ] as const;
  writeMembership(into, { index: 4, members });
  host.apply({
    index: 4,
    term: 4,
    body: entryBody(EntryKind.membership, 0, into.copy()),
  });
  assertEquals(host.state, ["1.2v0 old", "upgrade 0 to 3"]);
  assertEquals(host.meta, {
    index: 4,
    term: 4,
    membership: { index: 4, members },
    machineVersion: 3,
  });
});

Deno.test("MachineHost keeps timers while its member leads, the last one of each name", async () => {
  const { host, runtime, did, role, apply } = makeHost();
  apply("timer");
  await runtime.advance(60);
  apply("timer");
  await runtime.advance(60);
  const proposed = (): string[] =>
    did.filter((line) => line.startsWith("propose"));
  assertEquals(proposed(), []);
  await runtime.advance(40);
  assertEquals(proposed(), ["propose tick"]);
  apply("timer");
  apply("stop");
  await runtime.advance(200);
  assertEquals(proposed().length, 1);
  apply("timer");
  role.leads = false;
  host.roleChanged(false);
  apply("timer");
  await runtime.advance(200);
  assertEquals(proposed().length, 1);
  role.leads = true;
  host.roleChanged(true);
  await runtime.advance(100);
  assertEquals(proposed().length, 2);
});

Deno.test("MachineHost proposes again what its leader refused, for example during a transfer", async () => {
  const { host, runtime, did, role, apply } = makeHost();
  const proposed = (): number =>
    did.filter((line) => line.startsWith("propose")).length;
  role.refuses = true;
  apply("timer");
  await runtime.advance(100);
  assertEquals(proposed(), 1);
  await runtime.advance(2 * PROPOSE_AGAIN_MS);
  assertEquals(proposed(), 3);
  role.refuses = false;
  await runtime.advance(10 * PROPOSE_AGAIN_MS);
  assertEquals([proposed(), runtime.pendingTimers], [4, 0]);
  role.refuses = true;
  apply("watchDown");
  role.leads = false;
  host.roleChanged(false);
  await runtime.advance(10 * PROPOSE_AGAIN_MS);
  assertEquals([proposed(), runtime.pendingTimers], [5, 0]);
});

Deno.test("MachineHost proposes once when a watched node is lost, even if it was lost before", () => {
  const { host, did, apply } = makeHost();
  apply("watch");
  host.nodeLost("c");
  host.nodeLost("b");
  host.nodeLost("b");
  apply("watchDown");
  apply("watch");
  apply("unwatch");
  host.nodeLost("b");
  assertEquals(did.filter((line) => line.startsWith("propose")), [
    "propose b is lost",
    "propose gone",
  ]);
});

Deno.test("MachineHost applies nothing after the end of its group, and keeps no timer", async () => {
  const { host, runtime, did, apply } = makeHost();
  apply("timer");
  apply("end");
  assertEquals(host.isOver, true);
  apply("late");
  host.roleChanged(true);
  await runtime.advance(1_000);
  assertEquals(host.state, ["1.2v0 timer", "2.2v0 end"]);
  assertEquals(did, ["reply 1 timer", "reply 2 end"]);
  assertEquals(host.index, 3);
});

Deno.test("MachineHost notifies listeners on every member, and answers queries outside the log", () => {
  const { host, did, apply } = makeHost(false);
  const heard: string[] = [];
  const stop = host.listen((to, message) =>
    void heard.push(`${to} ${text(message)}`)
  );
  apply("notify");
  stop();
  apply("notify");
  assertEquals(heard, ["5 hello"]);
  assertEquals(host.aux("how many"), ["how many", 2]);
  assertEquals(did.at(-1), "release");
});

Deno.test("MachineHost continues from a snapshot of another member", () => {
  const { host, apply } = makeHost();
  apply("mine");
  const { pieces } = (() => {
    const other = makeHost();
    for (const words of ["x", "y", "z"]) other.apply(words);
    return other.host.view();
  })();
  const decoder = host.decoder();
  for (const piece of pieces) decoder.add(piece);
  const state = decoder.end();
  assertEquals([...host.liveIn(state)], [0, 1, 2]);
  host.install(
    { index: 3, term: 2, membership: INITIAL, machineVersion: 2 },
    state,
  );
  assertEquals([host.index, host.version, host.state.length], [3, 2, 3]);
});

Deno.test("MachineHost.view() shows one moment, even for a machine without views", () => {
  const { host, apply } = makeHost();
  apply("before");
  const view = host.view();
  apply("later");
  assertEquals([...view.pieces].map(text), ["1.2v0 before"]);
  assertEquals([...view.live], [0]);
  view.release();
});
