import { assert, assertEquals } from "@std/assert";
import { ByteWriter } from "../base/byte_writer.ts";
import { RaKvOperation } from "./ra_kv_codec.ts";
import { writePutChange } from "./ra_kv_command_codec.ts";
import { write } from "./ra_kv_service.ts";
import { importCommand, sealCommand, shutCommand } from "./succession_codec.ts";
import type { FakeMember } from "./testing/fake_cluster.ts";
import {
  applied,
  failureOf,
  found,
  get,
  onCluster,
  put,
  remove,
  submit,
  written,
} from "./testing/routed_operations.ts";

onCluster(
  "an operation on a key that has moved continues with the group that has it, once that is open",
  async (cluster, group) => {
    const next = await cluster.form("next", ["b", "c", "d"]);
    cluster.successor = (name, key, { size }) =>
      name === "store" && size === 16 && new TextDecoder().decode(key) === "k"
        ? "next"
        : undefined;
    await written(cluster, "a", put("k", "v"));
    await applied(next, shutCommand([0]));
    await applied(group, sealCommand({ generation: 1, size: 16 }));
    const writes = ["a", "d"].map((node) =>
      written(cluster, node, put("k", node))
    );
    const read = found(cluster, "c", get("k"));
    // Nobody has a key of another group.
    const error = await failureOf(submit(cluster, "b", put("j", "v")));
    assertEquals(error.code, "moved");
    await cluster.runtime.advance(100);
    assertEquals(cluster.node("a").router.size, 1);
    const last = { term: next.term, source: 0, upTo: 9, sealedAt: 50 };
    await applied(next, importCommand(last, []));
    await cluster.runtime.advance(100);
    const indexes = (await Promise.all(writes)).map(({ index }) => index);
    assert(indexes.every((index) => index > 50), `${indexes}`);
    await read;
    const answer = await found(cluster, "a", get("k"));
    assertEquals(answer.index, Math.max(...indexes));
    await written(cluster, "a", remove("k"));
    assertEquals((await found(cluster, "d", get("k"))).found, false);
  },
);

onCluster(
  "an operation on a group that does not open fails at its deadline, and was not done",
  async (cluster, group) => {
    await applied(group, shutCommand([0]));
    const failures = ["a", "b", "d"].map((node) =>
      failureOf(submit(cluster, node, put("k", "v")))
    );
    await cluster.runtime.advance(6_000);
    for (const { code, details } of await Promise.all(failures)) {
      assertEquals([code, details["outcomeUnknown"]], ["timeout", false]);
    }
  },
);

onCluster(
  "a write to a group that is not open adds no entry to its log, whichever node it came through",
  async (cluster, group) => {
    await written(cluster, "a", put("k", "v"));
    await applied(group, sealCommand({ generation: 1, size: 16 }));
    const { length } = group.entries;
    for (const node of ["a", "b", "d"]) {
      const error = await failureOf(submit(cluster, node, put("k", "w")));
      assertEquals(error.code, "moved");
      assertEquals(error.details["size"], 16);
    }
    assertEquals(group.entries.length, length);
    const next = await cluster.form("next", ["b", "c", "d"]);
    await applied(next, shutCommand([0]));
    const before = next.entries.length;
    const write = written(cluster, "a", put("k", "v", "next"));
    await cluster.runtime.advance(1_000);
    assertEquals(next.entries.length, before);
    const last = { term: next.term, source: 0, upTo: 9, sealedAt: 50 };
    await applied(next, importCommand(last, []));
    await cluster.runtime.advance(100);
    assert((await write).index > 50);
  },
);

onCluster(
  "a member that does not lead never refuses a write as not open, because its state may be old",
  async (cluster, group) => {
    const failed: string[] = [];
    await applied(group, shutCommand([0]));
    for (const node of ["a", "b"]) {
      const into = new ByteWriter();
      into.u8(RaKvOperation.put);
      writePutChange(into, "k", "v");
      const member = group.members.get(node) as FakeMember;
      write(member, into.copy(), {
        answered: () => failed.push("none"),
        failed: ({ code }) => failed.push(code),
      });
    }
    assertEquals(failed, ["not_open", "not_leader"]);
    await cluster.runtime.advance(10);
  },
);
