/**
 * Tests of the tables of members against what riak_core printed
 * (tests/golden/display.json).
 *
 * @module
 */
import { assertEquals } from "@std/assert";
import {
  clusterStatusText,
  type MemberRow,
  membershipTable,
  ringStatusReport,
  type ShownStatus,
} from "./membership_display.ts";
import golden from "../../tests/golden/display.json" with { type: "json" };

/** Partitions of 64 owned by dev1, dev2 …, and their statuses. */
function rows(
  members: [owned: number, status: ShownStatus, pending?: number][],
): MemberRow[] {
  return members.map(([owned, status, pending], i) => ({
    node: `dev${i + 1}@127.0.0.1`,
    status,
    ringPercent: owned * 100 / 64,
    ...(pending === undefined ? {} : { pendingPercent: pending * 100 / 64 }),
  }));
}

const states: Record<string, MemberRow[]> = {
  "1 node": rows([[64, "valid"]]),
  "3 valid": rows([[21, "valid"], [22, "valid"], [21, "valid"]]),
  "3 valid + 1 joining": rows([
    [21, "valid"],
    [22, "valid"],
    [21, "valid"],
    [0, "joining"],
  ]),
  "leaving": rows([[21, "valid"], [22, "valid"], [21, "leaving"]]),
  "exiting": rows([[21, "valid"], [22, "valid"], [21, "exiting"]]),
  "down": rows([[21, "valid"], [22, "down"], [21, "valid"]]),
  "4 valid with pending transfers to the new node": rows([
    [21, "valid", 16],
    [22, "valid", 16],
    [21, "valid", 16],
    [0, "valid", 16],
  ]),
};

Deno.test("membershipTable() prints every state as riak_core does, whatever the order of rows", () => {
  assertEquals(
    golden.memberStatus.map(({ name }) => name),
    Object.keys(states),
  );
  for (const { name, text } of golden.memberStatus) {
    assertEquals(membershipTable(states[name]!), text, name);
    assertEquals(membershipTable(states[name]!.toReversed()), text, name);
  }
});

Deno.test("membershipTable() can quote names as the flaviodb transcript shows them", () => {
  const members: MemberRow[] = [
    { node: "flavio1@127.0.0.1", status: "valid", ringPercent: 100 },
    ...[2, 3, 4].map((n): MemberRow => ({
      node: `flavio${n}@127.0.0.1`,
      status: "joining",
      ringPercent: 0,
    })),
  ];
  assertEquals(
    membershipTable(members, { quoted: true }),
    `================================= Membership ==================================
Status     Ring    Pending    Node
-------------------------------------------------------------------------------
joining     0.0%      --      'flavio2@127.0.0.1'
joining     0.0%      --      'flavio3@127.0.0.1'
joining     0.0%      --      'flavio4@127.0.0.1'
valid     100.0%      --      'flavio1@127.0.0.1'
-------------------------------------------------------------------------------
Valid:1 / Leaving:0 / Exiting:0 / Joining:3 / Down:0
`,
  );
});

Deno.test("clusterStatusText() marks the claimant and unexpected availability", () => {
  const row = (node: string, status: ShownStatus, up: boolean) => ({
    node,
    status,
    up,
    claimant: node === "a",
    ringPercent: 25,
  });
  assertEquals(
    clusterStatusText([
      row("a", "valid", true),
      row("b", "valid", false),
      row("c", "down", false),
      row("d", "down", true),
      row("e", "joining", true),
    ], true),
    `---- Cluster Status ----
Ring ready: true

+-------+-------+-------+-----+-------+
| node  |status | avail |ring |pending|
+-------+-------+-------+-----+-------+
|     c | down  | down  | 25.0|  --   |
|     d | down  |  up!  | 25.0|  --   |
|     e |joining|  up   | 25.0|  --   |
| (C) a | valid |  up   | 25.0|  --   |
|     b | valid | down! | 25.0|  --   |
+-------+-------+-------+-----+-------+

Key: (C) = Claimant; availability marked with '!' is unexpected
`,
  );
});

Deno.test("ringStatusReport() describes a settled ring", () => {
  assertEquals(
    ringStatusReport({
      claimant: "dev1@127.0.0.1",
      ringReady: true,
      handoffs: [],
      down: ["dev3@127.0.0.1"],
      markedDown: ["dev3@127.0.0.1"],
    }),
    `================================== Claimant ===================================
Claimant:  'dev1@127.0.0.1'
Status:     up
Ring Ready: true

============================== Ownership Handoff ==============================
No pending changes.

============================== Unreachable Nodes ==============================
All nodes are up and reachable
Not counting those marked as down: ['dev3@127.0.0.1']

`,
  );
});

Deno.test("ringStatusReport() shows what transfers wait for and which members are missing", () => {
  const text = ringStatusReport({
    claimant: "a",
    handoffs: [
      {
        owner: "a",
        nextOwner: "b",
        transfers: [
          { index: 0n, waiting: ["kv_vnode"], complete: ["other_vnode"] },
          {
            index: "22835963083295358096932575511191922182123945984",
            waiting: [],
            complete: ["kv_vnode", "other_vnode"],
          },
        ],
      },
      {
        owner: "a",
        nextOwner: "c",
        transfers: [{ index: 0n, waiting: ["kv_vnode"], complete: [] }],
      },
    ],
    down: ["c"],
    markedDown: [],
  });
  assertEquals(
    text.slice(0, text.indexOf("WARNING")),
    `================================== Claimant ===================================
Claimant:  a
Status:     down
Ring Ready: unknown

============================== Ownership Handoff ==============================
Owner:      a
Next Owner: b

Index: 0
  Waiting on: [kv_vnode]
  Complete:   [other_vnode]

Index: 22835963083295358096932575511191922182123945984
  All transfers complete. Waiting for claimant to change ownership.

-------------------------------------------------------------------------------
Owner:      a
Next Owner: c

!!! c is DOWN !!!

Index: 0

-------------------------------------------------------------------------------

============================== Unreachable Nodes ==============================
The following nodes are unreachable: [c]

`,
  );
});
