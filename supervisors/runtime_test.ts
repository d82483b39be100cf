import { assertEquals } from "@std/assert";
import { systemRuntime } from "./runtime.ts";

/** Notes `name` after so many promises, one after the other. */
async function after(promises: number, name: string, into: string[]) {
  for (let i = 0; i < promises; i++) await undefined;
  into.push(name);
}

Deno.test("systemRuntime.defer() calls back after what promises call and before the next timer", async () => {
  const happened: string[] = [];
  const act = (name: string): void => {
    systemRuntime.defer(() => happened.push(`${name} deferred`));
    after(20, `${name} promised`, happened);
  };
  const { promise, resolve } = Promise.withResolvers<void>();
  systemRuntime.setTimer(0, () => act("first"));
  systemRuntime.setTimer(0, () => act("second"));
  systemRuntime.setTimer(0, () => {
    act("third");
    systemRuntime.defer(resolve);
  });
  act("outside");
  await promise;
  assertEquals(
    happened,
    ["outside", "first", "second", "third"].flatMap((name) => [
      `${name} promised`,
      `${name} deferred`,
    ]),
  );
});

Deno.test("systemRuntime.defer() calls back in order, each after what the one before has deferred promises for", async () => {
  const happened: string[] = [];
  const { promise, resolve } = Promise.withResolvers<void>();
  systemRuntime.defer(() => {
    happened.push("first");
    systemRuntime.defer(() => {
      happened.push("third");
      resolve();
    });
  });
  systemRuntime.defer(() => happened.push("second"));
  await promise;
  assertEquals(happened, ["first", "second", "third"]);
});
