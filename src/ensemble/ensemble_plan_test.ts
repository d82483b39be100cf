import { assertEquals } from "@std/assert";
import type { Member } from "../raft/raft_entry.ts";
import { partitionGroup, ROOT_GROUP } from "./ensemble_names.ts";
import {
  type EnsembleAct,
  type EnsembleView,
  LEAD_MS_MIN,
  type MemberHere,
  planEnsembles,
  STRAY_MS,
} from "./ensemble_plan.ts";
import type { GroupTable } from "./group_table.ts";

const ROOT = {
  groupId: 1,
  members: [{ node: "a", uid: 2 }, { node: "b", uid: 3 }],
  formed: false,
};
const TABLE: GroupTable = [
  { groupId: 10, members: [{ node: "a", uid: 11 }, { node: "b", uid: 12 }] },
  { groupId: 20, members: [{ node: "b", uid: 21 }, { node: "a", uid: 22 }] },
];

/** What node "a" of "a" and "b" sees, with nothing to do. */
function view(changes: Partial<EnsembleView> = {}): EnsembleView {
  return {
    self: "a",
    isClaimant: false,
    ringReady: true,
    root: { ...ROOT, formed: true },
    rootOwners: ["a", "b"],
    owners: ["a", "b"],
    table: TABLE,
    formed: true,
    members: [],
    made: new Set(),
    isUp: () => true,
    gone: new Set(),
    ...changes,
  };
}

function voters(nodes: string): Member[] {
  return [...nodes].map((node, at) => ({
    node,
    uid: at + 1,
    kind: "voter",
    target: 0,
  }));
}

function here(group: string, changes: Partial<MemberHere> = {}): MemberHere {
  return {
    group,
    groupId: group === ROOT_GROUP ? 1 : 10,
    uid: 11,
    leads: false,
    leadsMs: 0,
    isLed: true,
    membership: { index: 0, members: voters("ab") },
    settled: true,
    unwantedMs: 0,
    ...changes,
  };
}

/** Types of acts with their groups. */
function named(acts: readonly EnsembleAct[]): string[] {
  return acts.map(({ type, group }) => `${type} ${group}`);
}

const P0 = partitionGroup(0);

Deno.test("planEnsembles() has nothing to do without consistent buckets", () => {
  assertEquals(planEnsembles(view({ root: undefined, table: undefined })), []);
});

Deno.test("planEnsembles() makes the member of the root that is named for the node, once and only before it is formed", () => {
  const forming = view({ root: ROOT, table: undefined, formed: false });
  assertEquals(planEnsembles(forming), [{
    type: "make_member",
    group: ROOT_GROUP,
    groupId: 1,
    uid: 2,
    initial: [
      { node: "a", uid: 2, kind: "voter", target: 0 },
      { node: "b", uid: 3, kind: "voter", target: 0 },
    ],
  }, { type: "read_table", group: ROOT_GROUP }]);
  const never = [
    { ...forming, made: new Set([2]) },
    { ...forming, self: "c" },
    { ...forming, root: { ...ROOT, formed: true } },
    { ...forming, members: [here(ROOT_GROUP)] },
  ];
  for (const one of never) {
    assertEquals(
      planEnsembles(one).some(({ type }) => type === "make_member"),
      false,
    );
  }
});

Deno.test("planEnsembles() has the claimant see that the root is formed, and the root's leader write the table", () => {
  const forming = view({
    root: ROOT,
    isClaimant: true,
    table: undefined,
    formed: false,
    members: [here(ROOT_GROUP, { leads: true })],
  });
  assertEquals(named(planEnsembles(forming)), [
    `check_root ${ROOT_GROUP}`,
    `read_table ${ROOT_GROUP}`,
    `write_table ${ROOT_GROUP}`,
  ]);
});

Deno.test("planEnsembles() makes the members that the table names for the node until all have been made", () => {
  const forming = view({ formed: false, made: new Set([22]) });
  assertEquals(named(planEnsembles(forming)), [
    `read_table ${ROOT_GROUP}`,
    `make_member ${P0}`,
  ]);
  const leading = {
    ...forming,
    members: [
      here(ROOT_GROUP, { leads: true }),
      here(P0, { isLed: false }),
    ],
  };
  // The first owner of a partition stands, so that it is led soon.
  assertEquals(named(planEnsembles(leading)), [
    `read_table ${ROOT_GROUP}`,
    `check_table ${ROOT_GROUP}`,
    `stand ${P0}`,
  ]);
  assertEquals(planEnsembles(view()), []);
});

Deno.test("planEnsembles() has members follow the ring where the node leads, they have agreed and all is formed", () => {
  const grown = view({
    owners: ["a", "c"],
    members: [here(P0, { leads: true })],
  });
  assertEquals(planEnsembles(grown), [
    { type: "change", group: P0, step: { type: "add", node: "c" } },
  ]);
  const still = [
    { ...grown, members: [here(P0)] },
    { ...grown, members: [here(P0, { leads: true, settled: false })] },
    { ...grown, isUp: () => false },
  ];
  for (const one of still) assertEquals(planEnsembles(one), []);
  assertEquals(
    planEnsembles({ ...grown, formed: false }).some(({ type }) =>
      type === "change"
    ),
    false,
  );
});

Deno.test("planEnsembles() changes the root only when all members know that it is formed", () => {
  const grown = view({
    rootOwners: ["a", "b", "c"],
    members: [here(ROOT_GROUP, { leads: true })],
  });
  assertEquals(named(planEnsembles(grown)), [`change ${ROOT_GROUP}`]);
  assertEquals(planEnsembles({ ...grown, ringReady: false }), []);
});

Deno.test("planEnsembles() hands the lead to the first owner, when all is well and has been for a while", () => {
  const leading = here(P0, { leads: true, leadsMs: LEAD_MS_MIN });
  const second = view({ owners: ["b", "a"], members: [leading] });
  assertEquals(planEnsembles(second), [
    { type: "hand_over", group: P0, to: "b" },
  ]);
  const still = [
    view({ members: [leading] }),
    { ...second, isUp: () => false },
    { ...second, members: [{ ...leading, leadsMs: LEAD_MS_MIN - 1 }] },
    view({
      rootOwners: ["b", "a"],
      members: [{ ...leading, group: ROOT_GROUP, groupId: 1 }],
    }),
  ];
  for (const one of still) assertEquals(planEnsembles(one), []);
});

Deno.test("planEnsembles() drops what is of a former cluster, and asks before it drops what nobody wants", () => {
  const former = here(P0, { groupId: 99 });
  assertEquals(planEnsembles(view({ members: [former] })), [
    { type: "drop", group: P0, uid: 11 },
  ]);
  assertEquals(
    planEnsembles(view({ members: [former], table: undefined })),
    [],
  );
  const stray = here(P0, { unwantedMs: STRAY_MS });
  assertEquals(
    named(planEnsembles(view({ owners: ["c", "b"], members: [stray] }))),
    [`ask_stray ${P0}`],
  );
  const alone = { root: undefined, table: undefined };
  assertEquals(
    named(planEnsembles(view({ ...alone, members: [stray] }))),
    [`drop ${P0}`],
  );
  assertEquals(planEnsembles(view({ ...alone, members: [here(P0)] })), []);
});
