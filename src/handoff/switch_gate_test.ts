import { assertEquals } from "@std/assert";
import { SwitchGate } from "./switch_gate.ts";

Deno.test("SwitchGate admits up to its limit, in order of arrival, and each leaves once", async () => {
  const gate = new SwitchGate(2);
  const inside: string[] = [];
  const leave = new Map<string, () => void>();
  for (const name of ["a", "b", "c", "d"]) {
    gate.enter().then((left) => {
      inside.push(name);
      leave.set(name, left);
    });
  }
  const settle = () => new Promise((resolve) => setTimeout(resolve, 0));
  await settle();
  assertEquals(inside, ["a", "b"]);
  leave.get("b")?.();
  leave.get("b")?.();
  await settle();
  assertEquals(inside, ["a", "b", "c"]);
  leave.get("a")?.();
  leave.get("c")?.();
  await settle();
  assertEquals(inside, ["a", "b", "c", "d"]);
  leave.get("d")?.();
  await gate.enter();
  await gate.enter();
});
