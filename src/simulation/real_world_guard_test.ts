import { assert, assertEquals, assertThrows } from "@std/assert";
import { RealWorldError, RealWorldGuard } from "./real_world_guard.ts";

const calls: Record<string, () => unknown> = {
  "Date.now": () => Date.now(),
  "new Date": () => new Date(),
  "Math.random": () => Math.random(),
  "performance.now": () => performance.now(),
  "setTimeout": () => setTimeout(() => {}, 1),
  "fetch": () => fetch("http://127.0.0.1:1/"),
  "crypto.randomUUID": () => crypto.randomUUID(),
  "crypto.getRandomValues": () => crypto.getRandomValues(new Uint8Array(1)),
  "Deno.readTextFile": () => Deno.readTextFile("/dev/null"),
  "Deno.Command": () => new Deno.Command("true"),
  "AbortSignal.timeout": () => AbortSignal.timeout(1),
};

for (const [name, call] of Object.entries(calls)) {
  Deno.test(`RealWorldGuard refuses ${name} by name while simulated code runs`, () => {
    using guard = new RealWorldGuard();
    guard.inside = true;
    const error = assertThrows(call, RealWorldError) as RealWorldError;
    guard.inside = false;
    assertEquals(error.call, name);
    assertEquals([...guard.refused], [[name, 1]]);
  });
}

Deno.test("RealWorldGuard leaves alone what runs while no simulation does, and everything once it is gone", () => {
  const before = [Date, Math.random, setTimeout, Deno.readTextFile];
  {
    using guard = new RealWorldGuard();
    assert(Date.now() > 0 && Math.random() < 1);
    guard.inside = true;
    assertEquals(new Date(0).getTime(), 0);
    assert(new Date(5) instanceof Date);
    assertEquals([...guard.refused], []);
  }
  assertEquals(
    [Date, Math.random, setTimeout, Deno.readTextFile],
    before,
  );
});
