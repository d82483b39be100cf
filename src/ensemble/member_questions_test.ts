import { assert, assertEquals, assertRejects } from "@std/assert";
import { ManualRuntime } from "../../supervisors/manual_runtime.ts";
import { WhorlError } from "../base/errors.ts";
import { MemberQuestions } from "./member_questions.ts";

/** Asks b and c, neither of which answers before `answerMs`. */
async function asked(
  answerMs: number,
  limits: { readonly answerTimeoutMs?: number },
) {
  const runtime = new ManualRuntime();
  const calls: [string, number][] = [];
  const questions = new MemberQuestions({
    self: "a",
    runtime,
    system: () => undefined,
    isUp: () => true,
    find: () => Promise.resolve([]),
    call: (node, _method, _args, timeoutMs) => {
      calls.push([node, timeoutMs]);
      const { promise, resolve, reject } = Promise.withResolvers<unknown>();
      runtime.setTimer(
        Math.min(answerMs, timeoutMs),
        () =>
          answerMs <= timeoutMs
            ? resolve(node)
            : reject(new WhorlError("timeout", `${node} is late`)),
      );
      return promise;
    },
  });
  const answer = questions.ask({
    group: "g",
    owners: () => ["b", "c"],
    partition: 0,
    deadlineMs: runtime.now() + 10_000,
    purpose: "ask",
    here: () => Promise.reject(new WhorlError("unknown_cluster", "none")),
    method: "m",
    args: {},
    read: (answer) => answer as string,
    ...limits,
  });
  answer.catch(() => {});
  await runtime.advance(11_000);
  return { answer, calls };
}

Deno.test("ask() tries the next member after two seconds, or after the question's own timeout", async () => {
  const brief = await asked(3_000, {});
  const error = await assertRejects(() => brief.answer, WhorlError);
  assertEquals(error.code, "timeout");
  assert(brief.calls.length > 2);
  assertEquals(brief.calls.slice(0, 2), [["b", 2_000], ["c", 2_000]]);
  const patient = await asked(3_000, { answerTimeoutMs: 4_000 });
  assertEquals(await patient.answer, "b");
  assertEquals(patient.calls, [["b", 4_000]]);
});

Deno.test("ask() limits each member to the remaining time", async () => {
  const { answer, calls } = await asked(9_000, { answerTimeoutMs: 8_000 });
  await assertRejects(() => answer, WhorlError);
  assertEquals(calls, [["b", 8_000], ["c", 2_000]]);
});
