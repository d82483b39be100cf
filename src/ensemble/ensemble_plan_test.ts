import { assertEquals } from "@std/assert";
import type { Member } from "../raft/raft_entry.ts";
import { partitionGroup, ROOT_GROUP } from "./ensemble_names.ts";
import {
  type EnsembleAct,
  type EnsembleView,
  type FutureGroups,
  inTurn,
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

const PRESENT = {
  generation: 0,
  owners: ["a", "b"],
  table: TABLE,
  formed: true,
};
/** The groups of the current ring before its table is known. */
const FORMING = { ...PRESENT, table: undefined, formed: false };

/** What node "a" of "a" and "b" sees when there is nothing to do. */
function view(changes: Partial<EnsembleView> = {}): EnsembleView {
  return {
    self: "a",
    isClaimant: false,
    ringReady: true,
    root: { ...ROOT, formed: true },
    rootOwners: ["a", "b"],
    present: PRESENT,
    future: undefined,
    isSettled: false,
    formerTables: undefined,
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
    age: "present",
    isShut: false,
    hasServed: false,
    ...changes,
  };
}

/** Types of acts with their groups. */
function named(acts: readonly EnsembleAct[]): string[] {
  return acts.map(({ type, group }) => `${type} ${group}`);
}

const P0 = partitionGroup(0, 0);

Deno.test("planEnsembles() has nothing to do without consistent buckets", () => {
  assertEquals(planEnsembles(view({ root: undefined, present: FORMING })), []);
});

Deno.test("planEnsembles() creates the node's member of the root once, and only before the root is formed", () => {
  const forming = view({ root: ROOT, present: FORMING });
  assertEquals(planEnsembles(forming), [{
    type: "make_member",
    group: ROOT_GROUP,
    groupId: 1,
    uid: 2,
    initial: [
      { node: "a", uid: 2, kind: "voter", target: 0 },
      { node: "b", uid: 3, kind: "voter", target: 0 },
    ],
  }, { type: "read_table", group: ROOT_GROUP, generation: 0 }]);
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

Deno.test("planEnsembles() makes the claimant check whether the root is formed, and the root's leader write the table", () => {
  const forming = view({
    root: ROOT,
    isClaimant: true,
    present: FORMING,
    members: [here(ROOT_GROUP, { leads: true })],
  });
  assertEquals(named(planEnsembles(forming)), [
    `check_root ${ROOT_GROUP}`,
    `read_table ${ROOT_GROUP}`,
    `write_table ${ROOT_GROUP}`,
  ]);
});

Deno.test("planEnsembles() creates the node's members in the table until all have been created", () => {
  const forming = view({
    present: { ...PRESENT, formed: false },
    made: new Set([22]),
  });
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
  // The first owner of a partition stands for election, so that it has a leader
  // soon.
  assertEquals(named(planEnsembles(leading)), [
    `read_table ${ROOT_GROUP}`,
    `check_table ${ROOT_GROUP}`,
    `stand ${P0}`,
  ]);
  assertEquals(planEnsembles(view()), []);
});

Deno.test("planEnsembles() changes members to follow the ring if the node leads, membership is settled and everything is formed", () => {
  const grown = view({
    present: { ...PRESENT, owners: ["a", "c"] },
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
    planEnsembles({ ...grown, present: { ...grown.present, formed: false } })
      .some(({ type }) => type === "change"),
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

Deno.test("planEnsembles() transfers leadership to the first owner once all has been well for a while", () => {
  const leading = here(P0, { leads: true, leadsMs: LEAD_MS_MIN });
  const second = view({
    present: { ...PRESENT, owners: ["b", "a"] },
    members: [leading],
  });
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

Deno.test("planEnsembles() drops members of a former cluster, and asks before it drops unwanted ones", () => {
  const former = here(P0, { groupId: 99 });
  assertEquals(planEnsembles(view({ members: [former] })), [
    { type: "drop", group: P0, uid: 11, isOfOtherRing: false },
  ]);
  assertEquals(
    planEnsembles(view({
      members: [former],
      present: { ...PRESENT, table: undefined },
    })),
    [],
  );
  const stray = here(P0, { unwantedMs: STRAY_MS });
  assertEquals(
    named(planEnsembles(view({
      present: { ...PRESENT, owners: ["c", "b"] },
      members: [stray],
    }))),
    [`ask_stray ${P0}`],
  );
  const alone = { root: undefined, present: FORMING };
  assertEquals(
    named(planEnsembles(view({ ...alone, members: [stray] }))),
    [`drop ${P0}`],
  );
  assertEquals(planEnsembles(view({ ...alone, members: [here(P0)] })), []);
});

/** A future ring of four, of which nothing is known yet. */
const FUTURE: FutureGroups = {
  generation: 1,
  owners: ["a", "b", "a", "b"],
  table: undefined,
  formed: false,
  phase: "copying",
};
const F0 = partitionGroup(1, 0);

Deno.test("planEnsembles() creates the groups of a future ring once those of the current ring exist", () => {
  const leading = view({
    future: FUTURE,
    members: [here(ROOT_GROUP, { leads: true })],
  });
  const table = (type: "read_table" | "write_table"): EnsembleAct => ({
    type,
    group: ROOT_GROUP,
    generation: 1,
  });
  assertEquals(planEnsembles(leading), [
    table("read_table"),
    table("write_table"),
  ]);
  assertEquals(
    planEnsembles({ ...leading, members: [] }),
    [table("read_table")],
  );
  const forming = { ...leading, present: { ...PRESENT, formed: false } };
  assertEquals(
    planEnsembles(forming).some((act) =>
      "generation" in act && act.generation === 1
    ),
    false,
  );
  const named1 = [{ groupId: 30, members: [{ node: "a", uid: 31 }] }];
  assertEquals(
    named(planEnsembles(view({ future: { ...FUTURE, table: named1 } }))),
    [`read_table ${ROOT_GROUP}`, `make_member ${F0}`],
  );
});

Deno.test("planEnsembles() makes a group led here take over, and end that when all members read from its ring", () => {
  const shut = here(F0, {
    groupId: 30,
    leads: true,
    age: "future",
    isShut: true,
  });
  const future = { ...FUTURE, formed: true };
  const acts = (phase: FutureGroups["phase"], changes = {}): EnsembleAct[] =>
    planEnsembles(
      view({ future: { ...future, phase }, members: [shut], ...changes }),
    );
  const takeOver = (mayEnd: boolean): EnsembleAct[] => [
    { type: "take_over", group: F0, partition: 0, mayEnd },
  ];
  assertEquals(acts("copying"), takeOver(false));
  assertEquals(acts("binding"), takeOver(false));
  assertEquals(acts("reading"), takeOver(true));
  assertEquals(acts("reading", { ringReady: false }), takeOver(false));
  assertEquals(
    acts("reading", { members: [{ ...shut, isShut: false }] }),
    [],
  );
  assertEquals(acts("reading", { members: [{ ...shut, leads: false }] }), []);
});

Deno.test("planEnsembles() makes the claimant check the progress of the groups of a future ring", () => {
  const asked = (phase: FutureGroups["phase"], isClaimant = true) =>
    planEnsembles(
      view({ isClaimant, future: { ...FUTURE, formed: true, phase } }),
    );
  const check = (step: "copied" | "open"): EnsembleAct[] => [
    { type: "check_takeover", group: ROOT_GROUP, generation: 1, step },
  ];
  assertEquals(asked("copying"), check("copied"));
  assertEquals(asked("reading"), check("open"));
  assertEquals(asked("reading", false), []);
});

Deno.test("planEnsembles() drops the groups of an aborted resize at once, and those of a former ring when all use the new one", () => {
  const given = here(partitionGroup(2, 0), { age: "aborted", isShut: true });
  const former = here(partitionGroup(3, 0), {
    age: "former",
    leads: true,
    unwantedMs: STRAY_MS,
  });
  const members = [given, former];
  assertEquals(named(planEnsembles(view({ members }))), [
    `drop ${given.group}`,
  ]);
  assertEquals(named(planEnsembles(view({ members, isSettled: true }))), [
    `drop ${given.group}`,
    `drop ${former.group}`,
  ]);
  // One that has taken over has keys which nobody else has.
  const open = { ...given, isShut: false, hasServed: true };
  assertEquals(planEnsembles(view({ members: [open], isSettled: true })), []);
  // That may be in what it has not applied.
  const restarted = { ...given, hasServed: undefined };
  assertEquals(
    planEnsembles(view({ members: [restarted] })),
    [{ type: "read_log", group: given.group, uid: 11 }],
  );
  // One of an unknown ring may belong to a ring that this node does not know
  // yet.
  const unknown = { ...given, age: "unknown" as const };
  const acts = (member: MemberHere) =>
    named(planEnsembles(view({ members: [member] })));
  assertEquals(acts(unknown), []);
  assertEquals(acts({ ...unknown, unwantedMs: STRAY_MS }), [
    `drop ${given.group}`,
  ]);
  assertEquals(
    acts({ ...unknown, hasServed: true, unwantedMs: STRAY_MS }),
    [],
  );
  const unread = { ...unknown, hasServed: undefined };
  assertEquals(acts(unread), []);
  assertEquals(acts({ ...unread, unwantedMs: STRAY_MS }), [
    `read_log ${given.group}`,
  ]);
  // That needs no warning.
  assertEquals(
    planEnsembles(view({ members, isSettled: true }))
      .map((act) => act.type === "drop" && act.isOfOtherRing),
    [true, true],
  );
});

Deno.test("planEnsembles() makes the root's leader drop tables of former rings when all use the current one", () => {
  const settled = view({
    isSettled: true,
    formerTables: 3,
    members: [here(ROOT_GROUP, { leads: true, leadsMs: 0 })],
  });
  assertEquals(planEnsembles(settled), [
    { type: "drop_tables", group: ROOT_GROUP, generation: 0, newest: 3 },
  ]);
  for (
    const notYet of [
      { isSettled: false },
      { formerTables: undefined },
      { members: [here(ROOT_GROUP)] },
      { future: { ...FUTURE, formed: true } },
      { present: { ...PRESENT, formed: false } },
    ]
  ) {
    assertEquals(
      planEnsembles({ ...settled, ...notYet })
        .some(({ type }) => type === "drop_tables"),
      false,
    );
  }
});

Deno.test("inTurn() puts short acts first, then the group that has waited longest", () => {
  // With the seed 618 of ensemble_resize the first groups took each turn.
  const takeOver = (partition: number): EnsembleAct => ({
    type: "take_over",
    group: partitionGroup(1, partition),
    partition,
    mayEnd: false,
  });
  const drop: EnsembleAct = {
    type: "drop",
    group: P0,
    uid: 1,
    isOfOtherRing: false,
  };
  const takenOn = new Map([
    [partitionGroup(1, 0), 30],
    [partitionGroup(1, 1), 10],
  ]);
  assertEquals(
    inTurn([takeOver(0), takeOver(1), drop, takeOver(2)], takenOn),
    [drop, takeOver(2), takeOver(1), takeOver(0)],
  );
});
