/**
 * The arithmetic of puts and gets against a model that tries everything: it says
 * satisfied when the successes meet the definition of the options, and impossible
 * when no way for the open replicas to answer would. After riak_kv's put_fsm_eqc
 * and get_fsm_eqc.
 */
import { assert, assertEquals } from "@std/assert";
import fc from "fast-check";
import { WhorlError } from "../../src/base/errors.ts";
import {
  createGet,
  type GetEffect,
  type GetEvent,
  type GetResult,
  stepGet,
} from "../../src/request/get_fsm.ts";
import type { ObjectMerge } from "../../src/request/object_merge.ts";
import {
  createOp,
  type OpEffect,
  type OpEvent,
  stepOp,
} from "../../src/request/op_fsm.ts";
import {
  createPut,
  type PutEffect,
  type PutEvent,
  type PutResult,
  stepPut,
} from "../../src/request/put_fsm.ts";
import type { Replica } from "../../src/request/quorum.ts";
import type { QuorumRule } from "../../src/request/quorum_options.ts";

const preflist: fc.Arbitrary<Replica[]> = fc.array(
  fc.record({
    partition: fc.nat({ max: 63 }),
    node: fc.nat({ max: 3 }),
    primary: fc.boolean(),
  }),
  { minLength: 1, maxLength: 5 },
);

function rule(kind: "read" | "write"): fc.Arbitrary<QuorumRule> {
  return fc.record({
    kind: fc.constant(kind),
    n: fc.constant(5),
    need: fc.integer({ min: 1, max: 4 }),
    primaries: fc.oneof(
      { weight: 3, arbitrary: fc.constant(0) },
      fc.nat({ max: 3 }),
    ),
    durable: kind === "read" ? fc.constant(0) : fc.nat({ max: 4 }),
    nodeConfirms: fc.oneof(
      { weight: 3, arbitrary: fc.constant(0) },
      fc.nat({ max: 3 }),
    ),
    strict: fc.boolean(),
    timeoutMs: fc.constant(5000),
  });
}

/** What becomes of the next thing that can happen: which one, and how. */
const fates = fc.array(fc.nat({ max: 1 << 16 }), {
  minLength: 1,
  maxLength: 40,
});

/** What a replica has answered, in the words of the model. */
type Answer = "open" | "taken" | "durable" | "failed" | "not asked";

/** The definition of the options, literally. */
function isSatisfied(
  replicas: readonly Replica[],
  rule: QuorumRule,
  answers: readonly Answer[],
): boolean {
  const asked = replicas.filter((replica) => !rule.strict || replica.primary);
  const took = replicas.filter((_, i) =>
    answers[i] === "taken" || answers[i] === "durable"
  );
  const durable = replicas.filter((_, i) => answers[i] === "durable");
  const nodes = (list: Replica[]) => new Set(list.map((r) => r.node)).size;
  const nodesWanted = Math.max(
    rule.nodeConfirms,
    Math.min(rule.need, nodes(asked)),
  );
  return took.length >= rule.need &&
    took.filter((replica) => replica.primary).length >= rule.primaries &&
    durable.length >= rule.durable &&
    nodes(took) >= nodesWanted &&
    nodes(durable) >= Math.min(rule.durable, nodesWanted);
}

/** Whether some way for the open ones to answer would satisfy it. */
function isPossible(
  replicas: readonly Replica[],
  rule: QuorumRule,
  answers: readonly Answer[],
): boolean {
  const at = answers.findIndex((answer) =>
    answer === "open" || answer === "taken"
  );
  if (at < 0) return isSatisfied(replicas, rule, answers);
  return (["durable", "failed"] as const).some((fate) =>
    isPossible(replicas, rule, answers.with(at, fate))
  );
}

/** What the caller should have been told by now. */
function expected(
  replicas: readonly Replica[],
  rule: QuorumRule,
  answers: readonly Answer[],
): "ok" | "error" | "wait" {
  if (isSatisfied(replicas, rule, answers)) return "ok";
  return isPossible(replicas, rule, answers) ? "wait" : "error";
}

const lost = new WhorlError("vnode_crashed", "It crashed");

/** Objects are a set of bits, at least one; merging is union. */
const bitSets: ObjectMerge = {
  nothing: new Uint8Array(1),
  check: (bytes) => assert(bytes[0] !== 0),
  merge(a, b) {
    const union = a[0]! | b[0]!;
    return union === a[0] ? a : union === b[0] ? b : new Uint8Array([union]);
  },
};

/** Where each replica stands before anybody has answered. */
function unanswered(
  replicas: readonly Replica[],
  rule: QuorumRule,
): Answer[] {
  return replicas.map((replica) =>
    rule.strict && !replica.primary ? "not asked" : "open"
  );
}

Deno.test("stepGet() answers when the model does, with the union of what was found, and repairs the rest", () => {
  fc.assert(
    fc.property(preflist, rule("read"), fates, (replicas, rule, fates) => {
      const get = createGet(replicas, rule, bitSets);
      const answers = unanswered(replicas, rule);
      const holds = replicas.map(() => 0);
      let open: number[] = [];
      let responded: GetResult | undefined;
      let finished = false;
      let repaired: number[] = [];
      const step = (event: GetEvent) => {
        const effects: GetEffect[] = [];
        const before = responded;
        stepGet(get, event, effects);
        for (const effect of effects) {
          assert(!finished, "nothing comes after finished");
          if (effect.type === "send_get") open.push(effect.replica);
          else if (effect.type === "send_repair") repaired.push(effect.replica);
          else if (effect.type === "finished") finished = true;
          else if (effect.type === "respond") {
            assert(responded === undefined, "the caller is answered once");
            responded = effect.result;
          }
        }
        if (before !== undefined || event.type === "deadline") return;
        const verdict = expected(replicas, rule, answers);
        assertEquals(responded !== undefined, verdict !== "wait");
        if (responded === undefined) return;
        assertEquals(responded.ok, verdict === "ok");
        if (responded.ok) {
          const union = holds.reduce((all, bits) => all | bits, 0);
          assertEquals(responded.object?.[0] ?? 0, union);
        }
      };
      step({ type: "start" });
      for (let i = 0; open.length > 0; i++) {
        const fate = fates[i % fates.length]! + i;
        const replica = open[fate % open.length]!;
        if (fate % 17 === 0) {
          step({ type: "deadline" });
          if (finished) return;
          assert(responded !== undefined);
        }
        open = open.filter((other) => other !== replica);
        const bits = (fate >> 3) & 7;
        if ((fate >> 6) % 4 === 0) {
          answers[replica] = "failed";
          step({ type: "failed", replica, error: lost });
        } else if (bits === 0) {
          answers[replica] = "durable";
          step({ type: "absent", replica });
        } else {
          answers[replica] = "durable";
          holds[replica] = bits;
          step({ type: "found", replica, bytes: new Uint8Array([bits]) });
        }
      }
      assert(finished, "nothing is open, so the read is over");
      const union = holds.reduce((all, bits) => all | bits, 0);
      repaired = repaired.sort();
      assertEquals(
        repaired,
        replicas.flatMap((replica, i) =>
          answers[i] === "durable" && holds[i] !== union &&
            (holds[i] !== 0 || replica.primary)
            ? [i]
            : []
        ),
      );
    }),
    { numRuns: 2000 },
  );
});

Deno.test("stepPut() answers when the model does and gives every replica the object", () => {
  const made = new Uint8Array([1]);
  fc.assert(
    fc.property(preflist, rule("write"), fates, (replicas, rule, fates) => {
      const put = createPut(replicas, rule, 0);
      const answers = unanswered(replicas, rule);
      /** What each replica has been asked and owes an answer to. */
      const open = new Map<number, "put" | "merge">();
      const asked = new Set<number>();
      let responded: PutResult | undefined;
      let deadline = false;
      let finished = false;
      const step = (event: PutEvent) => {
        const effects: PutEffect[] = [];
        const before = responded;
        stepPut(put, event, effects);
        for (const effect of effects) {
          assert(!finished, "nothing comes after finished");
          if (effect.type === "send_put") {
            assert(put.object === undefined, "one coordinator at a time");
            assert(![...open.values()].includes("put"));
            open.set(effect.replica, "put");
          } else if (effect.type === "send_merge") {
            assert(put.object !== undefined);
            assert(!asked.has(effect.replica), "each is sent the object once");
            asked.add(effect.replica);
            open.set(effect.replica, "merge");
          } else if (effect.type === "send_repair") {
            assertEquals(answers[effect.replica], "failed");
          } else if (effect.type === "finished") finished = true;
          else if (effect.type === "respond") {
            assert(responded === undefined, "the caller is answered once");
            responded = effect.result;
          }
        }
        if (before !== undefined || deadline) return;
        // Before there is an object the only failures are of coordinators, which
        // may take the object yet; then all that matters is that one is asked.
        if (put.object === undefined) {
          assertEquals(responded === undefined, open.size > 0);
          return;
        }
        const verdict = expected(replicas, rule, answers);
        assertEquals(responded !== undefined, verdict !== "wait");
        if (responded !== undefined) {
          assertEquals(responded.ok, verdict === "ok");
        }
      };
      step({ type: "start" });
      if (expected(replicas, rule, answers) === "error") {
        assert(finished);
        return;
      }
      for (let i = 0; open.size > 0; i++) {
        const fate = fates[i % fates.length]! + i;
        const [replica, question] = [...open][fate % open.size]!;
        if (fate % 23 === 0) {
          deadline = true;
          step({ type: "deadline" });
          assert(responded !== undefined);
          assert(!finished, "replicas still owe answers");
        }
        const object = question === "put" ? made : undefined;
        const outcome = (fate >> 5) % 4;
        if (question === "put") asked.add(replica);
        if (outcome === 0) {
          open.delete(replica);
          if (question === "put") asked.delete(replica);
          if (put.object !== undefined) answers[replica] = "failed";
          step({ type: "failed", replica, error: lost });
        } else if (outcome === 1 && answers[replica] === "open") {
          answers[replica] = "taken";
          if (question === "put") open.set(replica, "merge");
          step({ type: "accepted", replica, object });
        } else {
          open.delete(replica);
          answers[replica] = "durable";
          step({ type: "reply", replica, object });
        }
      }
      assert(finished, "nothing is open, so the write is over");
      assert(responded !== undefined);
      if (put.object !== undefined) {
        answers.forEach((answer, i) =>
          assertEquals(asked.has(i), answer !== "not asked")
        );
      }
    }),
    { numRuns: 2000 },
  );
});

Deno.test("stepOp() answers when the model does, and is finished when nothing is open", () => {
  const bytes = new Uint8Array([1]);
  fc.assert(
    fc.property(preflist, rule("write"), fates, (replicas, rule, fates) => {
      const op = createOp(replicas, rule);
      const answers = unanswered(replicas, rule);
      const open = new Set<number>();
      let responded: boolean | undefined;
      let finished = false;
      const step = (event: OpEvent) => {
        const effects: OpEffect[] = [];
        const before = responded;
        stepOp(op, event, effects);
        for (const effect of effects) {
          assert(!finished, "nothing comes after finished");
          if (effect.type === "send") open.add(effect.replica);
          else if (effect.type === "finished") finished = true;
          else if (effect.type === "respond") {
            assert(responded === undefined, "the caller is answered once");
            responded = effect.result.ok;
          }
        }
        if (before !== undefined) return;
        const verdict = expected(replicas, rule, answers);
        assertEquals(
          responded,
          verdict === "wait" ? undefined : verdict === "ok",
        );
      };
      step({ type: "start" });
      for (let i = 0; open.size > 0; i++) {
        const fate = fates[i % fates.length]! + i;
        const replica = [...open][fate % open.size]!;
        const outcome = (fate >> 5) % 4;
        if (outcome === 1 && answers[replica] === "open") {
          answers[replica] = "taken";
          step({ type: "accepted", replica, bytes });
          continue;
        }
        open.delete(replica);
        answers[replica] = outcome === 0 ? "failed" : "durable";
        if (outcome === 0) step({ type: "failed", replica, error: lost });
        else step({ type: "reply", replica, bytes });
      }
      assert(finished, "nothing is open, so the request is over");
      assertEquals(
        op.replies.map((reply) => reply !== undefined),
        answers.map((answer) => answer === "durable"),
      );
    }),
    { numRuns: 2000 },
  );
});
