/**
 * What a vnode says of its load, on its way through coordinator and connection to
 * a client that heeds it.
 *
 * @module
 */
import { assert, assertEquals, assertRejects } from "@std/assert";
import {
  command,
  connect,
  defineVnode,
  isWhorlError,
  startNode,
  type WhorlClient,
} from "../../mod.ts";
import { until } from "../harness/until.ts";

const slow = defineVnode({
  name: "slow",
  commands: { work: command<null, null>() },
  mailbox: { behindAfterMs: 20, waitMsMax: 20 },
  init: () => ({
    handleCommand: {
      work: () => new Promise<null>((done) => setTimeout(done, 5, null)),
    },
    fold: () => [],
    encodeHandoffItem: () => null,
    handleHandoffData() {},
    isEmpty: () => true,
    delete() {},
  }),
});

/** What became of one command. */
type Outcome = "served" | Readonly<Record<string, unknown>>;

async function ask(client: WhorlClient, key: string): Promise<Outcome> {
  try {
    await client.module(slow).request("b", key, "work", null, { n: 1, w: 1 });
    return "served";
  } catch (error) {
    if (!isWhorlError(error, "overload")) throw error;
    return error.details;
  }
}

Deno.test("a client learns of overload from a vnode, refuses operations that share its fate, and asks again soon", async () => {
  await using node = await startNode({
    name: "one@127.0.0.1",
    cookie: "secret",
    ringSize: 8,
    masterPlacement: "task",
    modules: [{ url: import.meta.url, module: slow }],
  });
  const options = { nodes: [node.address], cookie: "secret" };
  await using client = await connect(options);
  await using second = await connect({ ...options, heedWith: client });
  await using other = await connect({ ...options, heedOverload: false });
  for (const heedWith of [other, node as unknown as WhorlClient]) {
    const error = await assertRejects(() => connect({ ...options, heedWith }));
    assert(isWhorlError(error, "invalid_config"));
  }
  await until(
    "the module is served",
    () => ask(client, "k").then(() => true, () => false),
    10_000,
  );

  const outcomes: Outcome[] = [];
  const asked: Promise<void>[] = [];
  const note = (outcome: Outcome): void => void outcomes.push(outcome);
  const isHeeded = (outcome: Outcome): boolean =>
    outcome !== "served" && outcome.heeded === true;
  // In the moment of a refusal, as bursts may always come when it holds no more.
  let heeds = false;
  const noteAndAskAgain = async (outcome: Outcome): Promise<void> => {
    note(outcome);
    if (outcome === "served" || heeds) return;
    const again = await ask(client, "k");
    note(again);
    heeds = heeds || isHeeded(again);
  };
  const askMany = (then: (outcome: Outcome) => Promise<void>): void => {
    for (let i = 0; i < 20; i++) {
      const one = ask(client, "k").then(then);
      // A test that fails before all are answered says why itself.
      one.catch(() => {});
      asked.push(one);
    }
  };
  await until("the client refuses by itself", () => {
    askMany(noteAndAskAgain);
    return Promise.resolve(heeds);
  }, 20_000);
  // So does another one that shares what the first one was told, at that moment.
  let secondHeeds = false;
  const noteAndAskSecond = async (outcome: Outcome): Promise<void> => {
    note(outcome);
    if (outcome === "served" || secondHeeds) return;
    const again = await ask(second, "k");
    secondHeeds = secondHeeds || isHeeded(again);
  };
  await until("the second client refuses by itself", () => {
    askMany(noteAndAskSecond);
    return Promise.resolve(secondHeeds);
  }, 20_000);
  const heeded = outcomes.filter((outcome) => outcome !== "served")
    .find((details) => details.heeded === true);
  assertEquals(heeded?.ringSize, 8);
  // It was told for which keys: another one is asked for.
  const keys = Array.from({ length: 100 }, (_, i) => `other ${i}`);
  const others = await Promise.all(keys.map((key) => ask(client, key)));
  assert(others.includes("served"));
  // Whoever does not heed asks all the same.
  const same = await Promise.all(keys.map(() => ask(other, "k")));
  assert(same.every((outcome) => outcome === "served" || !outcome.heeded));

  await Promise.all(asked);
  await until(
    "the client asks again and is served",
    async () => await ask(client, "k") === "served",
    10_000,
  );
});
