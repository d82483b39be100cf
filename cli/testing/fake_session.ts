/**
 * An admin session to nowhere: answers every method from a table that a test
 * can change, and remembers what was asked.
 *
 * @module
 */
import { raKvClient } from "../../src/ra_kv/ra_kv_client.ts";
import { isWhorlError, WhorlError } from "../../src/base/errors.ts";
import { HANDOFF } from "../../src/cluster/capability.ts";
import type {
  AdminMethods,
  AdminSession,
  MemberAnswers,
  MemberMethods,
  MemberQuestion,
} from "../../src/node/admin_protocol.ts";
import {
  type FakeHandoff,
  fakeHandoff,
} from "../../src/node/testing/fake_handoff.ts";
import { type FakeKv, fakeKv } from "../../src/prompt/testing/fake_kv.ts";

/** What each method answers; an error is thrown. What members answer for themselves is not among them. */
export type FakeAnswers = {
  -readonly [
    M in Exclude<keyof AdminMethods, keyof MemberMethods | "ask_members">
  ]: AdminMethods[M]["result"] | Error;
};

/** A member as `ask_members` finds it: who does not answer is an error. */
export type FakeMember = FakeHandoff | WhorlError;

/** A session with a view into it. */
export interface FakeSession extends AdminSession {
  readonly answers: FakeAnswers;
  readonly asked: { method: string; args: unknown }[];
  /** The handoff of each member, by name; at first only that of the node. */
  readonly members: Map<string, FakeMember>;
  /** Called before each answer, so that a test can let time pass. */
  before: (method: string) => void;
  readonly kv: FakeKv;
  /** How often it was disposed. */
  closed: number;
}

/** A node that is alone in a ring of 64. */
export function fakeSession(node = "dev1@127.0.0.1"): FakeSession {
  const members = [{
    node,
    status: "valid" as const,
    partitions: 64,
    nextPartitions: null,
  }];
  const answers: FakeAnswers = {
    ping: { node },
    node_info: {
      node,
      address: "127.0.0.1:10101",
      cluster: "default",
      version: "0.0.0",
      pid: 4711,
      uptimeMs: 61_000,
      incarnation: 3,
      ringSize: 64,
      dataDirectory: "/data",
      storage: "deno_kv",
      placement: "worker",
      masters: 1,
    },
    stop: {},
    cluster_join: { node, joined: "dev9@127.0.0.1", staged: true },
    cluster_leave: { node, staged: true },
    cluster_force_remove: { node: "dev9@127.0.0.1", staged: true },
    cluster_replace: { node, staged: true },
    cluster_force_replace: { node, staged: true },
    cluster_resize_ring: { ringSize: 64, stagedSize: 128 },
    cluster_abort_resize: { ringSize: 64, stagedSize: null },
    bucket_consistent: { buckets: ["accounts"], formed: true },
    bucket_list: { buckets: ["accounts"], formed: true },
    down: { node: "dev9@127.0.0.1" },
    cluster_plan: { planId: "0", changes: [], transitions: [] },
    cluster_commit: { planId: "0" },
    cluster_clear: {},
    cluster_status: {
      claimant: node,
      ringReady: true,
      ringSize: 64,
      unreachable: [],
      members,
    },
    member_status: { ringSize: 64, members },
    ring_status: {
      claimant: node,
      claimantUp: true,
      ringReady: true,
      ringSize: 64,
      nodes: [node],
      owners: new Array(64).fill(0),
      transfers: [],
      unreachable: [],
      markedDown: [],
    },
    ringready: { type: "ready", nodes: [node] },
    services: { [node]: ["kv"] },
    capabilities: [{
      ...HANDOFF,
      mode: "none",
      by: "negotiated",
      override: {},
      lacking: ["dev2@127.0.0.1"],
      members: [
        { node, modes: ["v1", "none"] },
        { node: "dev2@127.0.0.1", modes: null },
      ],
    }],
    tree: {
      id: "node",
      kind: "supervisor",
      status: "running",
      restarts: 0,
      strategy: "rest_for_one",
      children: [],
    },
    stats: {
      node,
      takenAtMs: 0,
      values: { "put.count": 7, "memory.rssBytes": 1.5 },
    },
  };
  const session: FakeSession = {
    node,
    answers,
    asked: [],
    members: new Map([[node, fakeHandoff(node)]]),
    before: () => {},
    kv: fakeKv(),
    raKv: raKvClient(
      () => {
        throw new WhorlError("closed", "A fake session carries no operations");
      },
      (method, args) => session.call(method as never, args as never),
    ),
    closed: 0,
    call<M extends keyof AdminMethods>(
      method: M,
      args: AdminMethods[M]["args"],
    ): Promise<AdminMethods[M]["result"]> {
      session.asked.push({ method, args });
      session.before(method);
      if (method === "ask_members") {
        return askFakes(session, args as MemberQuestion) as Promise<
          AdminMethods[M]["result"]
        >;
      }
      if (!(method in answers)) {
        return Promise.reject(
          new WhorlError("unknown_command", `Cannot call ${method}`),
        );
      }
      const answer = answers[method as keyof FakeAnswers];
      return answer instanceof Error
        ? Promise.reject(answer)
        : Promise.resolve(answer as AdminMethods[M]["result"]);
    },
    [Symbol.asyncDispose]: () => {
      session.closed++;
      return Promise.resolve();
    },
  };
  return session;
}

async function askFakes(
  session: FakeSession,
  question: MemberQuestion,
): Promise<MemberAnswers<unknown>> {
  const gathered: {
    answers: MemberAnswers<unknown>["answers"][number][];
    failures: MemberAnswers<unknown>["failures"][number][];
  } = { answers: [], failures: [] };
  for (const node of question.nodes ?? session.members.keys()) {
    try {
      const result = await memberAnswer(session, node, question);
      gathered.answers.push({ node, result });
    } catch (error) {
      if (!isWhorlError(error)) throw error;
      const { code, message, details } = error;
      gathered.failures.push({ node, code, message, details });
    }
  }
  return gathered;
}

function memberAnswer(
  session: FakeSession,
  node: string,
  { method, args }: MemberQuestion,
): unknown {
  const member = session.members.get(node) ??
    new WhorlError("not_member", `Cannot ask ${node} as it is no member`);
  if (member instanceof WhorlError) throw member;
  const given = args as Record<string, never>;
  switch (method) {
    case "handoff_status":
      return member.status();
    case "handoff_config":
      return member.config;
    case "handoff_set_concurrency":
      return member.setConcurrency(given["concurrency"]!);
    case "handoff_set_enabled":
      return member.setEnabled(given["direction"]!, given["enabled"]!);
    case "repair":
      return member.repair(given["partition"]!, given["module"] ?? null);
    case "repairs":
      return member.repairs();
    case "held_partitions":
      return heldBy(session, node, member);
    default:
      return method satisfies never;
  }
}

async function heldBy(
  session: FakeSession,
  node: string,
  member: FakeHandoff,
): Promise<MemberMethods["held_partitions"]["result"]> {
  const { ring_status: ring, services } = session.answers;
  if (ring instanceof Error || services instanceof Error) throw ring;
  return {
    node,
    services: services[node] ?? [],
    modules: ["kv"],
    owned: ring.owners.flatMap((owner, partition) =>
      ring.nodes[owner] === node ? [partition] : []
    ),
    held: await member.heldPartitions(),
  };
}
