/**
 * An admin session to nowhere: answers every method from a table that a test
 * can change, and remembers what was asked.
 *
 * @module
 */
import { WhorlError } from "../../src/base/errors.ts";
import type {
  AdminMethods,
  AdminSession,
} from "../../src/node/admin_protocol.ts";
import { type FakeKv, fakeKv } from "./fake_kv.ts";

/** What each method answers; an error is thrown. */
export type FakeAnswers = {
  -readonly [M in keyof AdminMethods]: AdminMethods[M]["result"] | Error;
};

/** A session with a view into it. */
export interface FakeSession extends AdminSession {
  readonly answers: FakeAnswers;
  readonly asked: { method: string; args: unknown }[];
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
    kv: fakeKv(),
    closed: 0,
    call<M extends keyof AdminMethods>(
      method: M,
      args: AdminMethods[M]["args"],
    ): Promise<AdminMethods[M]["result"]> {
      session.asked.push({ method, args });
      if (!(method in answers)) {
        return Promise.reject(
          new WhorlError("unknown_command", `Cannot call ${method}`),
        );
      }
      const answer = answers[method];
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
