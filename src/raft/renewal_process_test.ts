import { assertEquals } from "@std/assert";
import { ManualRuntime } from "../../supervisors/manual_runtime.ts";
import { WhorlError } from "../base/errors.ts";
import { silentLog } from "../environment/log.ts";
import type { Member, MemberKind } from "./raft_entry.ts";
import { RENEWAL_LOOK_MS, RenewalProcess } from "./renewal_process.ts";

function rotten(kinds: Readonly<Record<string, MemberKind>>, up: string[]) {
  const members = Object.entries(kinds).map(([node, kind], at): Member => ({
    node,
    uid: at + 1,
    kind,
    target: 0,
  }));
  const runtime = new ManualRuntime();
  const done: string[] = [];
  const renewal = new RenewalProcess({
    runtime,
    log: silentLog,
    isUp: (node) => up.includes(node),
    renew: ({ code }) => void done.push(code),
  }, {
    group: "g",
    node: "a",
    membership: { index: 0, members },
    giveWay: () => void done.push("gives way"),
  });
  renewal.begin(new WhorlError("store_corrupt", "rot"));
  return { runtime, renewal, done, up };
}

Deno.test("RenewalProcess transfers leadership, and then has its own member start over", async () => {
  const { runtime, done } = rotten(
    { a: "voter", b: "voter", c: "voter" },
    ["b", "c"],
  );
  assertEquals(done, ["gives way"]);
  await runtime.advance(RENEWAL_LOOK_MS);
  assertEquals(done, ["gives way", "store_corrupt"]);
  assertEquals(runtime.pendingTimers, 0);
});

Deno.test("RenewalProcess waits while the others could not re-add its member", async () => {
  const { runtime, done, up } = rotten(
    { a: "voter", b: "voter", c: "voter", d: "non_voter" },
    ["b", "d"],
  );
  await runtime.advance(10 * RENEWAL_LOOK_MS);
  assertEquals(done, []);
  up.push("c");
  await runtime.advance(2 * RENEWAL_LOOK_MS);
  assertEquals(done, ["gives way", "store_corrupt"]);
});

Deno.test("RenewalProcess keeps the only voter of a group", async () => {
  const { runtime, done } = rotten({ a: "voter", b: "non_voter" }, ["b"]);
  await runtime.advance(10 * RENEWAL_LOOK_MS);
  assertEquals(done, []);
});

Deno.test("RenewalProcess does nothing after close()", async () => {
  const { runtime, renewal, done } = rotten({ a: "voter", b: "voter" }, ["b"]);
  renewal.close();
  await runtime.advance(10 * RENEWAL_LOOK_MS);
  assertEquals(done, ["gives way"]);
});
