import { assertEquals, assertRejects } from "@std/assert";
import { WhorlError } from "../src/base/errors.ts";
import { ReconnectingSession } from "./reconnecting_session.ts";
import { type FakeSession, fakeSession } from "./testing/fake_session.ts";

function sessions(): { opened: FakeSession[]; session: ReconnectingSession } {
  const opened: FakeSession[] = [];
  const session = new ReconnectingSession(() => {
    opened.push(fakeSession(`n${opened.length + 1}@h`));
    return Promise.resolve(opened.at(-1)!);
  });
  return { opened, session };
}

Deno.test("ReconnectingSession opens once for calls that come together", async () => {
  const { opened, session } = sessions();
  await Promise.all([session.call("ping", {}), session.kv.get("b", "k")]);
  assertEquals([opened.length, session.node], [1, "n1@h"]);
  await session[Symbol.asyncDispose]();
  assertEquals(opened[0]?.closed, 1);
  await assertRejects(() => session.call("ping", {}), WhorlError, "closed");
});

Deno.test("ReconnectingSession fails the call that met the break and opens anew for the next", async () => {
  const { opened, session } = sessions();
  await session.call("ping", {});
  opened[0]!.answers.ping = new WhorlError("connection_closed", "Cannot hear");
  await assertRejects(() => session.call("ping", {}), WhorlError, "hear");
  assertEquals(opened[0]?.closed, 1);
  assertEquals((await session.call("ping", {})).node, "n2@h");
  await session[Symbol.asyncDispose]();
});

Deno.test("ReconnectingSession keeps the connection when a call fails for another reason", async () => {
  const { opened, session } = sessions();
  await session.call("ping", {});
  opened[0]!.answers.ping = new WhorlError("timeout", "Cannot wait");
  await assertRejects(() => session.call("ping", {}), WhorlError, "wait");
  assertEquals((await session.call("services", {}))["n1@h"], ["kv"]);
  await session[Symbol.asyncDispose]();
});

Deno.test("ReconnectingSession tries again to open after it could not", async () => {
  let isUp = false;
  const session = new ReconnectingSession(() =>
    isUp
      ? Promise.resolve(fakeSession())
      : Promise.reject(new WhorlError("node_not_running", "Cannot connect"))
  );
  await assertRejects(() => session.call("ping", {}), WhorlError, "connect");
  isUp = true;
  assertEquals((await session.call("ping", {})).node, "dev1@127.0.0.1");
  await session[Symbol.asyncDispose]();
});
