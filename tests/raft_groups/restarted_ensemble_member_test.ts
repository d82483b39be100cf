/**
 * What becomes of the member of a group whose ring is no more when its node is
 * started again after a crash: it has applied nothing then, and nobody leads.
 *
 * @module
 */
import { assertEquals } from "@std/assert";
import { ByteWriter } from "../../src/base/byte_writer.ts";
import { silentLog } from "../../src/environment/log.ts";
import { partitionGroup } from "../../src/ensemble/ensemble_names.ts";
import { STRAY_MS } from "../../src/ensemble/ensemble_plan.ts";
import {
  EnsembleProcess,
  type EnsembleWorld,
} from "../../src/ensemble/ensemble_process.ts";
import { GroupExport } from "../../src/ensemble/group_export.ts";
import { GroupTakeovers } from "../../src/ensemble/group_takeovers.ts";
import { MemberQuestions } from "../../src/ensemble/member_questions.ts";
import { RA_KV_MACHINE, RaKvOp } from "../../src/ra_kv/ra_kv_command_codec.ts";
import { writeValueField } from "../../src/ra_kv/ra_kv_value.ts";
import {
  importCommand,
  shutCommand,
} from "../../src/ra_kv/succession_codec.ts";
import { entryBody } from "../../src/raft/entry_body.ts";
import { EntryKind } from "../../src/raft/raft_entry.ts";
import {
  markConsistent,
  markRootFormed,
} from "../../src/ring/consistent_buckets.ts";
import type { Ring } from "../../src/ring/ring.ts";
import {
  abortResize,
  beginResize,
  freshRing,
  setStatus,
} from "../../src/ring/ring_change.ts";
import { NodeBench } from "./node_bench.ts";

const GROUP = partitionGroup(1, 0);
const UID = 7;
const TERM = 3;

function cluster(): Ring {
  let ring = freshRing({
    clusterName: "default",
    size: 8,
    seed: "0000000000000001",
    node: { name: "a@h", address: "a:1", nodeId: "id-a" },
    wallMs: 0,
  });
  for (const name of ["b@h", "c@h"]) {
    ring = setStatus(ring, "a@h", name, "valid");
  }
  const numbers = [11, 12, 13, 14];
  ring = markConsistent(ring, "a@h", { bucket: "safe", numbers, wallMs: 1 });
  return markRootFormed(ring, "a@h", 2);
}

const NEVER_RESIZED = cluster();
const GIVEN_UP = abortResize(
  beginResize(NEVER_RESIZED, "a@h", Array<string>(16).fill("a@h")),
  "a@h",
);

function put(): Uint8Array<ArrayBuffer> {
  const into = new ByteWriter();
  into.u8(RaKvOp.put);
  into.u8(0);
  into.u16(1);
  into.u8(107);
  writeValueField(into, "value");
  return into.copy();
}

const imports = (source: number, sealedAt: number): Uint8Array<ArrayBuffer> =>
  importCommand({ term: TERM, source, upTo: 9, sealedAt }, []);

/** Whether the member of a group of three is there, long after a crash, whose leader had sent it `commands`. */
async function isKept(
  ring: Ring,
  commands: readonly Uint8Array[],
): Promise<boolean> {
  const node = new NodeBench("restarted member");
  await node.run(node.begin());
  const member = await node.run(node.system.createMember({
    group: GROUP,
    groupId: 1,
    uid: UID,
    machine: RA_KV_MACHINE,
    initial: ["a@h", "b@h", "c@h"].map((name, i) => ({
      node: name,
      uid: UID + i,
      kind: "voter",
      target: 0,
    })),
  }));
  const noop = entryBody(EntryKind.noop, 1, Uint8Array.of(0, 0));
  member.log.append(
    [noop, ...commands.map((each) => entryBody(EntryKind.command, 1, each))]
      .map((body, i) => ({ index: i + 1, term: TERM, body })),
  );
  await node.bench.happen(100);
  await node.again();
  const restarted = node.system.member(GROUP);
  assertEquals(restarted?.log.lastIndex, 1 + commands.length);
  assertEquals(restarted?.appliedIndex, 0);

  const process = ensemblesOf(node, ring);
  const { time } = node.bench;
  await time.run(time.now() + 2 * STRAY_MS);
  process.close();
  return node.system.member(GROUP) !== undefined;
}

function ensemblesOf(node: NodeBench, ring: Ring): EnsembleProcess {
  const { environment: runtime, system } = node;
  const unanswered = () => new Promise<never>(() => {});
  const world: EnsembleWorld = {
    self: "a@h",
    runtime,
    log: silentLog,
    system: () => system,
    ring: () => ring,
    isUp: () => false,
    newNumber: () => 999,
    // Nobody answers for the root, as nobody leads it.
    raKv: { get: unanswered } as unknown as EnsembleWorld["raKv"],
    async perform(method, args) {
      assertEquals([method, args], ["ra_kv_drop_member", {
        cluster: GROUP,
        uid: UID,
      }]);
      return await system.dropMember(UID);
    },
    call: unanswered,
    rootFormed() {},
    takenOver() {},
    emptied() {},
    failed(error) {
      throw error;
    },
  };
  const members = new MemberQuestions({
    ...world,
    find: () => Promise.resolve([]),
  });
  const exports = new GroupExport(members);
  return new EnsembleProcess(
    world,
    new GroupTakeovers({ ...world, members, exports }),
  );
}

const RINGS = [["given up", GIVEN_UP], ["unknown", NEVER_RESIZED]] as const;

for (const [name, ring] of RINGS) {
  Deno.test(`a member of a group of a ring that is ${name} is kept after a crash if its log says that it has served`, async () => {
    const shut = shutCommand([3, 4]);
    const taken = [shut, imports(3, 0), imports(3, 5), imports(4, 6)];
    assertEquals(await isKept(ring, taken), true);
    assertEquals(await isKept(ring, [put()]), true);
  });

  Deno.test(`a member of a group of a ring that is ${name} is dropped after a crash if its log says that it has not served`, async () => {
    assertEquals(await isKept(ring, []), false);
    const shut = shutCommand([3, 4]);
    assertEquals(await isKept(ring, [shut, imports(3, 5)]), false);
    // None of that is carried out.
    assertEquals(
      await isKept(ring, [shut, put(), Uint8Array.of(99), imports(9, 5)]),
      false,
    );
  });
}
