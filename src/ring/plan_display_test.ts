/**
 * Tests of plans and messages against what a cluster of three printed on its
 * way from a staged join to a settled ring (tests/golden/display_plan.txt).
 *
 * @module
 */
import { assertEquals, assertStringIncludes } from "@std/assert";
import {
  commitFailureText,
  COMMITTED_TEXT,
  joinFailureText,
  planFailureText,
  ringReadyText,
  stagedJoinText,
} from "./admin_messages.ts";
import {
  clusterStatusText,
  type MemberRow,
  membershipTable,
} from "./membership_display.ts";
import { planText, stagedChangesTable } from "./plan_display.ts";
import { ringStatusText } from "./ring_display.ts";

const recording = await Deno.readTextFile(
  new URL("../../tests/golden/display_plan.txt", import.meta.url),
);
// "##### title", the text, and one empty line that is not part of it.
const sections = new Map(
  recording.split(/^##### (?!#)/m).slice(1).map((section) => {
    const end = section.indexOf("\n");
    return [section.slice(0, end), section.slice(end + 1, -1)] as const;
  }),
);

const NAMES = ["rc6@127.0.0.1", "rc7@127.0.0.1", "rc8@127.0.0.1"];

/** The three members, all valid, by how many of 64 partitions they own. */
function members(
  owned: readonly number[],
  pendingPercent?: readonly number[],
): MemberRow[] {
  return NAMES.map((node, i) => ({
    node,
    status: "valid",
    ringPercent: owned[i]! * 100 / 64,
    ...(pendingPercent ? { pendingPercent: pendingPercent[i]! } : {}),
  }));
}
const JOINED = members([64, 0, 0], [22 / 0.64, 21 / 0.64, 21 / 0.64]);

/**
 * Owners drawn as "abbc
 *
 * abcc
 *
 * ".
 */
const owners = (picture: string): number[] =>
  [...picture.replaceAll("|", "")].map((letter) => letter.charCodeAt(0) - 97);

Deno.test("planText() prints a plan of two joins with its warning and transfers", () => {
  assertEquals(
    planText({
      changes: [
        { type: "join", node: "rc7@127.0.0.1" },
        { type: "join", node: "rc8@127.0.0.1" },
      ],
      transitions: [{
        members: JOINED,
        replicasOnDistinctNodes: false,
        transfers: [
          { from: "rc6@127.0.0.1", to: "rc7@127.0.0.1", count: 21 },
          { from: "rc6@127.0.0.1", to: "rc8@127.0.0.1", count: 21 },
        ],
      }],
    }),
    sections.get("cluster plan (join rc7, rc8 staged on 1-node rc6)"),
  );
});

Deno.test("planText() names the joins that a resize leaves out", () => {
  const text = planText({
    changes: [{ type: "resize", from: 64, to: 128 }],
    transitions: [],
    postponedJoins: ["dev4@127.0.0.1", "dev5@127.0.0.1"],
  });
  assertStringIncludes(
    text,
    "NOTE: This plan does not let in 'dev4@127.0.0.1', 'dev5@127.0.0.1', as a resize",
  );
  assertEquals(
    planText({ changes: [], transitions: [], postponedJoins: [] }),
    "There are no staged changes\n",
  );
});

Deno.test("planText() prints a plan that resizes the ring", () => {
  assertEquals(
    planText({
      changes: [{ type: "resize", from: 64, to: 128 }],
      transitions: [{
        members: members([22, 21, 21], [43 / 1.28, 43 / 1.28, 42 / 1.28]),
        replicasOnDistinctNodes: false,
        transfers: [{ from: "rc6@127.0.0.1", to: "rc7@127.0.0.1", count: 1 }],
        resizing: true,
      }],
    }),
    // Its title occurs twice in the recording; the later one was accepted.
    sections.get("cluster plan (resize-ring 128)"),
  );
});

Deno.test("membershipTable() and clusterStatusText() follow the transfers of the plan", () => {
  assertEquals(
    membershipTable(JOINED),
    sections.get("member-status (transfers pending)"),
  );
  assertEquals(
    clusterStatusText(
      JOINED.map((row, i) => ({ ...row, claimant: i === 0, up: true })),
      false,
    ),
    sections.get("cluster status (pending)"),
  );
  assertEquals(
    membershipTable(
      members([40, 13, 11], JOINED.map((row) => row.pendingPercent!)),
    ),
    sections.get("member-status"),
  );
  assertEquals(
    membershipTable(members([22, 21, 21])),
    sections.get("settled: member-status"),
  );
});

Deno.test("ringStatusText() draws the ring of the plan under way and settled", () => {
  const pictures = [
    [
      "ring pretty_print legend (after bulk join of 2)",
      "abbc|abbc|abbc|abbc|abbc|abcc|abcc|abcc|aaaa|aaaa|aaaa|aaaa|aaaa|aaaa|aaaa|aaaa|",
    ],
    [
      "settled: ring legend",
      "abbc|abbc|abbc|abbc|abbc|abcc|abcc|abcc|abcc|abcc|abca|abca|abca|abca|abca|abca|",
    ],
  ] as const;
  for (const [section, picture] of pictures) {
    assertEquals(
      ringStatusText({ ringSize: 64, nodes: NAMES, owners: owners(picture) }),
      sections.get(section),
    );
  }
});

Deno.test("planFailureText() and COMMITTED_TEXT are the recorded answers", () => {
  assertEquals(COMMITTED_TEXT, sections.get("cluster commit"));
  assertEquals(
    planFailureText("ring_not_ready"),
    sections.get("cluster plan (leave rc8)"),
  );
});

Deno.test("planText() prints the plan of the flaviodb transcript", () => {
  const names = [1, 2, 3, 4].map((n) => `flavio${n}@127.0.0.1`);
  assertEquals(
    planText({
      changes: names.slice(1).map((node) => ({ type: "join", node })),
      transitions: [{
        members: names.map((node, i) => ({
          node,
          status: "valid",
          ringPercent: i === 0 ? 100 : 0,
          pendingPercent: 25,
        })),
        replicasOnDistinctNodes: true,
        transfers: names.slice(1).map((to) => ({
          from: names[0]!,
          to,
          count: 16,
        })),
      }],
    }, { quotedMembers: true }),
    `=============================== Staged Changes ================================
Action         Details(s)
-------------------------------------------------------------------------------
join           'flavio2@127.0.0.1'
join           'flavio3@127.0.0.1'
join           'flavio4@127.0.0.1'
-------------------------------------------------------------------------------


NOTE: Applying these changes will result in 1 cluster transition

###############################################################################
                         After cluster transition 1/1
###############################################################################

================================= Membership ==================================
Status     Ring    Pending    Node
-------------------------------------------------------------------------------
valid     100.0%     25.0%    'flavio1@127.0.0.1'
valid       0.0%     25.0%    'flavio2@127.0.0.1'
valid       0.0%     25.0%    'flavio3@127.0.0.1'
valid       0.0%     25.0%    'flavio4@127.0.0.1'
-------------------------------------------------------------------------------
Valid:4 / Leaving:0 / Exiting:0 / Joining:0 / Down:0

Transfers resulting from cluster changes: 48
  16 transfers from 'flavio1@127.0.0.1' to 'flavio4@127.0.0.1'
  16 transfers from 'flavio1@127.0.0.1' to 'flavio3@127.0.0.1'
  16 transfers from 'flavio1@127.0.0.1' to 'flavio2@127.0.0.1'

`,
  );
});

Deno.test("planText() counts transitions, warns of lost replicas and lists reassigned partitions", () => {
  const step = {
    members: members([32, 32, 0]),
    replicasOnDistinctNodes: true,
    transfers: [],
  };
  const text = planText({
    changes: [
      { type: "force_remove", node: "rc8@127.0.0.1" },
      { type: "force_replace", node: "x", with: "y" },
    ],
    transitions: [{
      ...step,
      reassigned: [{ from: "rc8@127.0.0.1", to: "x", count: 3 }],
    }, step],
  });
  for (
    const part of [
      "\n\nWARNING: All of 'rc8@127.0.0.1' replicas will be lost\nWARNING: All of x replicas will be lost\n\nNOTE:",
      "will result in 2 cluster transitions\n\n",
      "After cluster transition 1/2\n",
      "After cluster transition 2/2\n",
      "Partitions reassigned from cluster changes: 3\n  3 reassigned from 'rc8@127.0.0.1' to x\n\n",
    ]
  ) assertEquals(text.includes(part), true, part);
  assertEquals(text.includes("Transfers resulting"), false);
  assertEquals(
    planText({ changes: [], transitions: [] }),
    "There are no staged changes\n",
  );
});

Deno.test("stagedChangesTable() has a line for every type of change", () => {
  const table = stagedChangesTable([
    { type: "leave", node: "a@host" },
    { type: "force_remove", node: "B@host" },
    { type: "replace", node: "a", with: "it's" },
    { type: "force_replace", node: "end", with: "b.c" },
    { type: "abort_resize", current: 64 },
  ]);
  assertEquals(table.split("\n").slice(3, -2), [
    "leave          a@host",
    "force-remove   'B@host'",
    "replace        a with 'it\\'s'",
    "force-replace  'end' with 'b.c'",
    "resize-ring    abort. current size: 64",
  ]);
});

Deno.test("join, commit and ringready answer in the original's words", () => {
  const node = "flavio1@127.0.0.1";
  assertEquals(
    stagedJoinText("flavio2@127.0.0.1", node),
    "Success: staged join request for 'flavio2@127.0.0.1' to 'flavio1@127.0.0.1'\n",
  );
  assertEquals(
    ([
      "not_reachable",
      "different_ring_sizes",
      "unable_to_get_join_ring",
      "not_single_node",
      "self_join",
      "node_still_starting",
    ] as const).map((code) => joinFailureText(code, node)),
    [
      `Node ${node} is not reachable!\n`,
      `Failed: ${node} has a different ring_creation_size\n`,
      `Failed: Unable to get ring from ${node}\n`,
      "Failed: This node is already a member of a cluster\n",
      "Failed: This node cannot join itself in a cluster\n",
      "Join failed. Try again in a few moments.\n",
    ],
  );
  const commands = {
    down: "whorl down",
    ringStatus: "whorl ring-status",
    clusterPlan: "whorl cluster plan",
  };
  assertEquals(
    commitFailureText("nothing_planned", commands),
    "You must verify the plan with 'whorl cluster plan' before committing\n",
  );
  assertEquals(
    commitFailureText("ring_not_ready", commands),
    "Cannot commit until cluster state has converged.\nCheck 'Ring Ready' in 'whorl ring-status'\n",
  );
  assertEquals(
    commitFailureText("plan_changed"),
    "The plan has changed. Verify with 'riak-admin cluster plan' before committing\n",
  );
  assertEquals(
    ringReadyText({ type: "ready", nodes: ["a", node] }),
    "TRUE All nodes agree on the ring [a,'flavio1@127.0.0.1']\n",
  );
  assertEquals(
    ringReadyText({ type: "different_owners", nodes: ["a", "b"] }),
    "FALSE Node a and b list different partition owners\n",
  );
  assertEquals(
    ringReadyText({ type: "nodes_down", nodes: ["a"] }),
    "FALSE [a] down.  All nodes need to be up to check.\n",
  );
});
